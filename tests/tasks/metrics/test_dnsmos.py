from __future__ import annotations

import math
import sys
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import AudioError, SettingError, UserError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.asterisk import asterisk
from audiometry.tasks.metrics import dnsmos as module
from audiometry.tasks.metrics.dnsmos import (
    DnsmosScores,
    checked_samples,
    dnsmos,
    dnsmos_batch,
    kept_windows,
    usable_threads,
)
from audiometry.tasks.metrics.dnsmos_kernels import (
    CHANNELS,
    FREQUENCIES,
    STEP,
    TILES,
    WIDTH,
    _outputs_of_points,
    _points_of_inputs,
    first_layer,
    from_points,
    pool,
    to_points,
)
from audiometry.tasks.metrics.dnsmos_winograd import KERNEL_POINTS, MARGIN, build_trunk, pooled_rows

RATE = 16000
NAMES = {"ovrl": "ovrl_mos", "sig": "sig_mos", "bak": "bak_mos", "p808": "p808_mos"}


def bursts(seconds, seed=0):
    """Noise of changing colour and level, with pauses: each window differs from its neighbours."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * time * (300 + 80 * np.sin(time)))
    level = np.clip(np.sin(2 * np.pi * (0.6 + 0.02 * time) * time), 0, 1) * (0.1 + 0.4 * np.sin(0.37 * time) ** 2)
    return (level * (tone + 0.2 * generator.normal(size=len(time)))).clip(-1, 1).astype(np.float32)


def peer(samples, *, personalised=False):
    """What `speechmos` itself says."""
    import speechmos.dnsmos

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return speechmos.dnsmos.run(samples, RATE, model_type="dnsmos_personalized" if personalised else "dnsmos")


def differences(samples, **settings_):
    ours, theirs = dnsmos(Waveform(samples, RATE), **settings_), peer(samples, **settings_)
    return [abs(getattr(ours, name) - theirs[key]) for name, key in NAMES.items()]


@pytest.mark.parametrize("personalised", [False, True])
@pytest.mark.parametrize("seconds", [0.02, 0.3, 1.1777, 9.009, 144160 / RATE, 11.02, 12.5])
def test_scores_equal_those_of_speechmos(seconds, personalised):
    assert max(differences(bursts(seconds), personalised=personalised)) < 1e-4


@pytest.mark.slow
def test_windows_that_speechmos_drops_are_dropped():
    assert max(differences(bursts(34.3))) < 1e-4


def test_silence_and_clicks_equal_those_of_speechmos():
    clicks = np.zeros(RATE * 10, np.float32)
    clicks[::7919] = 1.0
    assert max(differences(np.zeros(4000, np.float32))) < 1e-4
    assert max(differences(clicks)) < 1e-4


def within_one_window(samples):
    """The longest of up to `samples` that comes to one window when it is doubled until it fills one."""
    doublings = max(0, math.ceil(math.log2(9.01 * RATE / samples)))
    return min(samples, int(10 * RATE) >> doublings)


@cache
def real_clips():
    """A hundred clips of 0.3 to 30 s: ten beginnings of prompts, fifty prompts, and forty clips joined from others.

    `speechmos` doubles a clip until it fills a window of 9.01 s: all but eight are cut so that one comes of it.
    """
    utterances = [one for one in asterisk("en").utterances() if one.audio.seconds >= 0.3]
    order = np.random.default_rng(5).permutation(len(utterances))
    prompts = [read(utterances[place].audio, RATE).samples for place in order[:60]]
    cuts = (np.geomspace(0.3, 0.6, 10) * RATE).astype(int)
    prompts[:10] = [prompt[:length] for prompt, length in zip(prompts, cuts, strict=False)]
    prompts = [prompt[: within_one_window(len(prompt))] for prompt in prompts]
    joined = np.concatenate([read(utterances[place].audio, RATE).samples for place in order[60:300]])
    lengths = (np.concatenate([np.geomspace(4, 9.5, 32), np.geomspace(10, 30, 8)]) * RATE).astype(int)
    lengths[:32] = [within_one_window(length) for length in lengths[:32]]
    starts = np.linspace(0, len(joined) - lengths.max(), 40).astype(int)
    return prompts + [joined[start : start + length] for start, length in zip(starts, lengths, strict=True)]


@pytest.mark.speech
@pytest.mark.slow
def test_a_hundred_real_clips_equal_speechmos():
    clips = real_clips()
    assert len(clips) == 100
    assert min(map(len, clips)) == 0.3 * RATE
    assert max(map(len, clips)) == 30 * RATE
    assert max(max(differences(clip)) for clip in clips) < 1e-3


@settings(deadline=None)
@given(st.integers(144160, 60 * RATE) | st.integers(1, 144159))
def test_kept_windows_are_those_that_slicing_fills(given_samples):
    samples = given_samples
    while samples < int(9.01 * RATE):
        samples += samples
    hops = int(np.floor(samples / RATE) - 9.01) + 1
    filled = [k for k in range(hops) if len(range(samples)[int(k * RATE) : int((k + 9.01) * RATE)]) >= int(9.01 * RATE)]
    assert kept_windows(given_samples) == filled


def test_kept_windows_by_hand():
    assert kept_windows(0) == []
    assert kept_windows(11 * RATE - 1) == [0]
    assert kept_windows(11 * RATE) == [0, 1]
    assert kept_windows(16 * RATE) == kept_windows(30 * RATE) == list(range(7))
    assert kept_windows(140 * RATE) == [*range(7), *range(24, 119), *range(123, 131)]


def test_the_number_of_threads_changes_no_bit():
    clip = Waveform(bursts(12.2), RATE)
    assert dnsmos(clip, threads=1) == dnsmos(clip, threads=2) == dnsmos(clip, threads=5) == dnsmos(clip)


def test_a_batch_is_its_clips_one_by_one():
    clips = [Waveform(bursts(seconds, seed), RATE) for seed, seconds in enumerate((0.7, 11.1))]
    assert dnsmos_batch(iter(clips)) == [dnsmos(clip) for clip in clips]


def test_a_short_clip_is_repeated():
    clip = bursts(2.3)
    assert dnsmos(Waveform(clip, RATE)) == dnsmos(Waveform(np.tile(clip, 2), RATE))


def test_windows_in_several_groups_score_the_same(monkeypatch):
    clip = Waveform(bursts(13.0), RATE)
    whole = dnsmos(clip)
    monkeypatch.setattr(module, "GROUP", 2)
    parted = dnsmos(clip)
    assert all(getattr(parted, name) == pytest.approx(getattr(whole, name), abs=1e-4) for name in NAMES)


def test_groups_are_runs_of_limited_length(monkeypatch):
    monkeypatch.setattr(module, "GROUP", 3)
    assert module._groups([0, 1, 2, 3, 7, 8, 11]) == [[0, 1, 2], [3], [7, 8], [11]]


def test_noise_lowers_the_scores():
    clean = bursts(9.5)
    noisy = (clean + 0.1 * np.random.default_rng(1).normal(size=len(clean))).clip(-1, 1).astype(np.float32)
    assert dnsmos(Waveform(clean, RATE)).bak > dnsmos(Waveform(noisy, RATE)).bak + 0.3


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (np.zeros(0), RATE, "320 samples at least and got shape \\(0,\\)"),
        (np.zeros(319), RATE, "320 samples at least and got shape \\(319,\\)"),
        (np.zeros((2, 4000)), RATE, "one channel"),
        (np.zeros(4000), 8000, "16000 Hz and got 8000: resample"),
        (np.full(4000, np.nan), RATE, "not finite"),
        (np.full(4000, np.inf), RATE, "not finite"),
        (np.full(4000, -1.25), RATE, "reach 1.25, beyond -1 to 1"),
    ],
)
def test_what_cannot_be_scored_is_an_error(samples, rate, said):
    with pytest.raises(AudioError, match=said):
        dnsmos(Waveform(samples.astype(np.float32), rate))


def test_full_scale_is_accepted():
    assert checked_samples(Waveform(np.array([-1.0, 1.0], np.float32), RATE), "DNSMOS", 2).tolist() == [-1.0, 1.0]


def test_threads_are_checked():
    with pytest.raises(SettingError, match="threads is 0; give 1 or more"):
        dnsmos(Waveform(bursts(1), RATE), threads=0)
    assert usable_threads(None) >= 1


def test_threads_where_the_system_knows_no_affinity(monkeypatch):
    monkeypatch.delattr(module.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(module.os, "cpu_count", lambda: None)
    assert usable_threads(None) == 1


def test_a_missing_package_is_named(monkeypatch):
    from audiometry.tasks.metrics import dnsmos_network

    monkeypatch.setitem(sys.modules, "speechmos", None)
    with pytest.raises(UserError, match=r"audiometry\[quality\]"):
        dnsmos_network.load_p835.__wrapped__(False)


def test_scores_are_plain_numbers():
    scores = dnsmos(Waveform(bursts(1), RATE))
    assert isinstance(scores, DnsmosScores)
    assert all(type(getattr(scores, name)) is float for name in NAMES)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_the_transforms_filter_exactly(seed):
    """Six outputs of a filter of three weights, by its eight points, in double precision."""
    generator = np.random.default_rng(seed)
    inputs, weights = generator.normal(size=8), generator.normal(size=3)
    products = KERNEL_POINTS @ weights * np.array(_points_of_inputs(*inputs))
    assert _outputs_of_points(*products) == pytest.approx(np.correlate(inputs, weights, "valid"), abs=1e-12)


def direct(picture, weights):
    """The convolutions as they are defined, in double precision, and the pooling."""
    maps = picture[np.newaxis].astype(np.float64)
    for kernel, bias in weights:
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        maps = np.maximum(np.tensordot(kernel, windows, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None], 0)
    return maps[:, :, :160].reshape(len(maps), -1, 2, 80, 2).max((2, 4))


@cache
def random_weights():
    generator = np.random.default_rng(3)
    sizes = [(128, 1), (64, 128), (64, 64), (32, 64)]
    return [
        (
            (generator.normal(size=(outputs, inputs, 3, 3)) * np.sqrt(2 / (9 * inputs))).astype(np.float32),
            (0.1 * generator.normal(size=outputs)).astype(np.float32),
        )
        for outputs, inputs in sizes
    ]


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 16), st.integers(0, 100))
def test_the_large_convolutions_equal_the_direct_form(half_rows, seed):
    picture = np.random.default_rng(seed).normal(size=(2 * half_rows, FREQUENCIES)).astype(np.float32)
    ours = pooled_rows(build_trunk(random_weights()), picture)
    assert ours.shape == (32, half_rows, 80)
    np.testing.assert_allclose(ours, direct(picture, random_weights()), atol=2e-4)


def test_rows_beyond_the_margin_of_a_cut_are_right():
    picture = np.random.default_rng(0).normal(size=(44, FREQUENCIES)).astype(np.float32)
    trunk = build_trunk(random_weights())
    whole, part = pooled_rows(trunk, picture), pooled_rows(trunk, picture[10:40])
    off = MARGIN // 2
    np.testing.assert_allclose(part[:, off:-off], whole[:, 5 + off : 20 - off], atol=2e-4)
    assert np.abs(part[:, off - 1] - whole[:, 5 + off - 1]).max() > 1e-2


def filled(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def both(kernel, *arguments, result):
    """What the compiled kernel and its Python source leave in argument number `result`."""
    outcomes = []
    for function in (kernel, kernel.py_func):
        own = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
        function(*own)
        outcomes.append(own[result])
    return outcomes


def test_compiled_kernels_do_what_their_source_says():
    scratch = np.zeros(64 * CHANNELS, np.float32)
    tiles = filled(64 * TILES * 32)
    rows = filled(STEP * WIDTH * 32, seed=1)
    cases = [
        both(to_points(), filled((STEP + 2) * WIDTH * CHANNELS), np.zeros(64 * TILES * CHANNELS, np.float32), scratch,
             result=1),
        *(both(from_points(32, adds=adds), tiles, filled(32), rows, scratch, np.float32(0), result=2)
          for adds in (False, True)),
        both(first_layer(), filled(4 * (FREQUENCIES + 2)), filled(9 * CHANNELS), filled(CHANNELS),
             np.zeros(2 * WIDTH * CHANNELS, np.float32), result=3),
        both(pool(32), rows, np.zeros((32, STEP // 2, FREQUENCIES // 2), np.float32), result=1),
    ]  # fmt: skip
    for compiled, plain in cases:
        assert np.abs(plain).max() > 0.1
        np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-4)
