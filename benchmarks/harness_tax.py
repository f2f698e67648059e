"""The harness's tax: `audiometry run` on Whisper tiny.en beside the tightest loop over the same clips.

The loop is the same library with the same settings, threads and order; it scores nothing and keeps nothing. It is
tuned as our workers are: NumPy on one thread, freed memory kept. A plain loop without that is timed beside it. Each
runs in a process of its own, in turns, and counts from the model being loaded until the last answer, ours scored and
journalled; what comes before and after is told. The value is ours over the tuned loop's: 1 is the bound. By default 48
clips; ``--full`` takes 500.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from _runs import new_home, run

TASK = "wer-asterisk-en-telephone"
THREADS = 2


def loop(clips: int, *, tuned: bool) -> tuple[float, float]:
    """Seconds of loading the model, and of transcribing every clip."""
    import faster_whisper
    import threadpoolctl

    from audiometry.benchmark.audio import read
    from audiometry.benchmark.memory import keep_freed_memory
    from audiometry.benchmark.plan import RunSettings, make_plan
    from audiometry.benchmark.windows import windows
    from audiometry.models.adapters.whisper import PACKAGED, locate

    plan = make_plan(RunSettings(models=("whisper",), tasks=(TASK,), limit=clips))
    audios = [item.sample.request.audios["input"] for window in windows(plan, 0, 0) for item in window]
    if tuned:
        keep_freed_memory()
        threadpoolctl.threadpool_limits(1, user_api="blas")
    start = time.perf_counter()
    model = faster_whisper.WhisperModel(
        str(locate(PACKAGED)), device="cpu", compute_type="int8", cpu_threads=1, num_workers=THREADS
    )
    loaded = time.perf_counter()

    def transcribe(samples: object) -> str:
        segments, _ = model.transcribe(
            samples, language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False,
            without_timestamps=True, compression_ratio_threshold=None, log_prob_threshold=None,
            no_speech_threshold=None,
        )  # fmt: skip
        return "".join(segment.text for segment in segments)

    with ThreadPoolExecutor(THREADS) as pool:
        texts = list(pool.map(lambda audio: transcribe(heard(read(audio))), audios))
    done = time.perf_counter()
    assert len(texts) == clips
    return loaded - start, done - loaded


def heard(waveform: object) -> object:
    """A waveform at Whisper's rate."""
    import soxr

    return soxr.resample(waveform.samples, waveform.rate, 16_000)  # type: ignore[attr-defined]  # a Waveform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="500 clips")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--loop", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--tuned", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.loop:
        print(*loop(settings.loop, tuned=settings.tuned))
        return
    clips = 500 if settings.full else 48
    plain, tuned, runs = [], [], []
    for _ in range(settings.turns):
        plain.append(looped(clips))
        tuned.append(looped(clips, "--tuned"))
        with new_home() as home:
            done = run(home, "whisper", TASK, "--limit", str(clips), "--workers", "1", "--cpus", str(THREADS))
        told, used = done.document, done.document["models"][0]["utilisation"]
        runs.append(told["asked_seconds"] - used["start_seconds"])
        print(f"plain loop {plain[-1]:.1f} s, tuned loop {tuned[-1]:.1f} s, ours {runs[-1]:.1f} s (Ray's start "
              f"{told['start_seconds']:.1f} s, worker and model {used['start_seconds']:.1f} s, the whole process with "
              f"imports, results and Ray's end {done.seconds:.1f} s); {used}")  # fmt: skip
    print(f"{clips} clips of whisper tiny.en on {THREADS} threads: plain loop {min(plain):.2f} s, tuned loop "
          f"{min(tuned):.2f} s, ours {min(runs):.2f} s ({min(runs) / min(plain):.3f} of the plain loop), "
          f"value {min(runs) / min(tuned):.3f}")  # fmt: skip


def looped(clips: int, *more: str) -> float:
    """Seconds of the loop, in a process of its own."""
    command = [sys.executable, __file__, "--loop", str(clips), *more]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1])


if __name__ == "__main__":
    sys.exit(main())
