"""DNSMOS of real speech, against `speechmos.dnsmos.run` of the same sound, side by side in one run.

The package keeps its two onnxruntime sessions from call to call, so that its plain call is the fair peer. Beside it
stand a harder peer, its own code over sessions whose threads do not spin while they wait (two sessions otherwise take
cores from each other), and its call with a list of clips, which runs clips in threads. Clips of 10 to 30 s are joined
from prompts. All use the same cores, in turns; of each the shortest time counts. ``--full`` takes more clips and
rounds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
import speechmos.dnsmos as peer

from audiometry.benchmark.audio import read
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.asterisk import asterisk
from audiometry.tasks.metrics.dnsmos import dnsmos, dnsmos_batch, kept_windows, usable_threads

RATE = 16000
NAMES = {"ovrl": "ovrl_mos", "sig": "sig_mos", "bak": "bak_mos", "p808": "p808_mos"}


def recordings(prompts: int, lengths: Sequence[float]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Prompts of 0.3 s and more as they are, and clips of the given lengths joined from others."""
    utterances = [one for one in asterisk("en").utterances() if one.audio.seconds >= 0.3]
    order = np.random.default_rng(0).permutation(len(utterances))
    short = [read(utterances[place].audio, RATE).samples for place in order[:prompts]]
    joined = np.concatenate([read(utterances[place].audio, RATE).samples for place in order[prompts : prompts + 100]])
    starts = np.linspace(0, len(joined) - max(lengths) * RATE, len(lengths)).astype(int)
    long = [joined[start : start + round(one * RATE)] for start, one in zip(starts, lengths, strict=True)]
    return short, long


def without_spinning() -> peer.DNSMOS:
    """The package's own class over sessions whose threads sleep while they wait."""
    plain = onnxruntime.InferenceSession

    def quiet(path: str) -> Any:
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return plain(path, options)

    folder = f"{peer.__file__.removesuffix('dnsmos.py')}dnsmos_models"
    peer.ort.InferenceSession = quiet
    try:
        return peer.DNSMOS(f"{folder}/sig_bak_ovr.onnx", f"{folder}/model_v8.onnx")
    finally:
        peer.ort.InferenceSession = plain


def shortest(calls: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Seconds of each call: the shortest of some rounds, in each of which every call has its turn."""
    spans: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, spans, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in spans]


def compare(clips: Sequence[np.ndarray], quiet: peer.DNSMOS, rounds: int) -> np.ndarray:
    """Seconds of ours, of the package and of the harder peer: (clips, 3)."""
    table = []
    for clip in clips:
        ours, plain, harder = shortest(
            [
                lambda clip=clip: dnsmos(Waveform(clip, RATE)),
                lambda clip=clip: peer.run(clip, RATE),
                lambda clip=clip: quiet(clip, RATE, False),
            ],
            rounds,
        )
        windows = len(kept_windows(len(clip)))
        print(
            f"  {len(clip) / RATE:6.2f} s, {windows} windows: {ours:6.3f} s, speechmos {plain:6.3f} s "
            f"({plain / ours:4.1f} x), without spinning {harder:6.3f} s ({harder / ours:4.1f} x)",
            flush=True,
        )
        table.append((ours, plain, harder))
    return np.array(table)


def batches(clips: list[np.ndarray], rounds: int) -> list[float]:
    """Seconds of our batch and of the package's call with a list."""
    return shortest(
        [
            lambda: dnsmos_batch([Waveform(clip, RATE) for clip in clips]),
            lambda: peer.run(clips, RATE, return_df=False),
        ],
        rounds,
    )


def largest_difference(clips: Sequence[np.ndarray]) -> float:
    """Between ours and the package's scores, over all clips and all four scores."""
    pairs = [(dnsmos(Waveform(clip, RATE)), peer.run(clip, RATE)) for clip in clips]
    return max(abs(getattr(ours, name) - theirs[key]) for ours, theirs in pairs for name, key in NAMES.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="more clips and rounds")
    full = parser.parse_args().full
    warnings.filterwarnings("ignore", message="Empty filters")
    lengths = np.arange(10, 31) if full else np.array([10, 11, 13, 16, 20, 25, 30])
    prompts, clips = recordings(40 if full else 8, lengths)
    rounds = 5 if full else 2
    quiet = without_spinning()
    worst = largest_difference([*prompts, *clips])  # warms both up
    print(f"{len(prompts) + len(clips)} clips on {usable_threads(None)} cores: largest difference {worst:.1e}")
    print("prompts")
    short = compare(prompts, quiet, rounds).sum(axis=0)
    print("10 to 30 s")
    table = compare(clips, quiet, rounds)
    long = table.sum(axis=0)
    listed = batches(prompts, rounds)
    print(f"prompts as a list: {listed[0]:.3f} s, speechmos {listed[1]:.3f} s: {listed[1] / listed[0]:.1f} x")
    print(
        f"against speechmos without spinning: prompts {short[2] / short[0]:.2f} x, 10 to 30 s {long[2] / long[0]:.2f} x"
    )
    print(f"slowest gain of 10 to 30 s: {(table[:, 1] / table[:, 0]).min():.2f} x")
    print(f"short prompts: ours {short[0]:.3f} s, speechmos {short[1]:.3f} s, ratio {short[1] / short[0]:.2f}")
    print(
        f"DNSMOS of clips of 10 to 30 s: ours {long[0]:.3f} s, speechmos.dnsmos.run {long[1]:.3f} s, "
        f"ratio {long[1] / long[0]:.2f}"
    )


if __name__ == "__main__":
    main()
