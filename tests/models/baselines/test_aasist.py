from __future__ import annotations

import doctest
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import AudioError, DataError, SettingError
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import Model, Output, Request, Waveform
from audiometry.models.baselines import aasist as aasist_module
from audiometry.models.baselines import aasist_keys, aasist_network, graph_attention, raw_augmentation
from audiometry.models.baselines.aasist import AasistSettings, aasist_settings, fit_length, restore
from audiometry.models.baselines.aasist_keys import published_name
from audiometry.models.baselines.aasist_network import Aasist, sinc_filters
from audiometry.models.baselines.saved import SavedDetector, save

TINY = AasistSettings(
    samples=1_600, filters=6, filter_taps=16, channels=(4, 6), graph_width=5, stack_width=4, input_norm=True
)
FACTS = {"level": "E4", "seed": "0", "corpus": "made", "slope": "2.0", "offset": "-1.0"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(settings: AasistSettings = TINY, seed: int = 0) -> Aasist:
    torch.manual_seed(seed)
    return Aasist(settings).eval()


def trained(network: Aasist, kind: str = "aasist", **facts: str) -> SavedDetector:
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    return SavedDetector(kind, arrays, {**FACTS, "network": json.dumps(asdict(network.settings)), **facts})


def noise(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(0, 0.1, count).astype(np.float32)


def asked(samples: np.ndarray[Any, np.dtype[np.float32]], rate: int = 16_000) -> Request:
    return Request("detect", waveforms={"input": Waveform(samples, rate)})


def answers(spec: str, *requests: Request) -> list[Output]:
    MODELS.check(parse_spec(spec))
    detector = MODELS.create(parse_spec(spec))
    assert isinstance(detector, Model)
    assert detector.fingerprint == MODELS.fingerprint(parse_spec(spec))
    found = detector.generate(requests)
    detector.close()
    return found


def test_sinc_filters_follow_the_formula() -> None:
    filters = sinc_filters(4, 8, (100.0, 4_000.0))
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (100, 4_000))
    edges = [700 * (10 ** ((low + (high - low) * step / 4) / 2595) - 1) for step in range(5)]
    for number in range(4):
        for tap in range(9):
            n = tap - 4
            values = []
            for hertz in edges[number : number + 2]:
                angle = 2 * math.pi * hertz * n / 16_000
                values.append(2 * hertz / 16_000 * (math.sin(angle) / angle if n else 1.0))
            window = 0.54 - 0.46 * math.cos(2 * math.pi * tap / 8)
            assert filters[number, tap] == pytest.approx(window * (values[1] - values[0]), abs=1e-12)


def test_each_filter_lets_its_band_through() -> None:
    filters = sinc_filters(10, 512)
    spectra = np.abs(np.fft.rfft(filters, 4096))
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8_000 / 700), 11) / 2595) - 1)
    centres = np.round((edges[:-1] + edges[1:]) / 2 / 16_000 * 4096).astype(int)
    assert spectra[np.arange(10), centres] == pytest.approx(1.0, abs=0.05)
    assert all(spectra[row, centres[other]] < 0.05 for row in range(10) for other in range(10) if other != row)


@pytest.mark.parametrize(("name", "count"), [("aasist", 297_866), ("aasist-l", 85_306), ("aasist-small", 65_986)])
def test_how_many_parameters_there_are(name: Any, count: int) -> None:
    assert sum(parameter.numel() for parameter in Aasist(aasist_settings(name)).parameters()) == count


@given(
    samples=st.integers(800, 3_000),
    taps=st.integers(1, 40),
    stride=st.integers(1, 4),
    pool=st.integers(1, 7),
    blocks=st.integers(1, 3),
)
def test_the_settings_know_how_many_times_are_left(
    samples: int, taps: int, stride: int, pool: int, blocks: int
) -> None:
    settings = replace(TINY, samples=samples, filter_taps=taps, filter_stride=stride, time_pool=pool, channels=(2,))
    settings = replace(settings, channels=(2,) * blocks)
    network = made(settings)
    with torch.inference_mode():
        maps = network.encoder(network._filtered(torch.zeros(1, samples)))
    assert maps.shape == (1, 2, 2, settings.times)


@pytest.mark.parametrize(
    "change",
    [
        {"samples": 30}, {"filters": 2}, {"filter_stride": 0}, {"channels": ()}, {"channels": (4, 0)},
        {"stack_share": 0.0}, {"temporal_share": 1.5}, {"temperature": 0.0}, {"band": (4_000.0, 300.0)},
        {"band": (0.0, 9_000.0)}, {"graph_width": 0},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_told(change: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=f"setting '{next(iter(change))}'"):
        replace(TINY, **change)


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(SettingError, match="give one of aasist, aasist-l, aasist-small"):
        aasist_settings("aasist-xl")  # type: ignore[arg-type]


def test_answers_do_not_depend_on_the_batch_and_repeat() -> None:
    network, sounds = made(), torch.from_numpy(np.stack([noise(1_600, seed) for seed in range(5)]))
    with torch.inference_mode():
        together = network(sounds)
        assert together.shape == (5, 2)
        assert torch.equal(network(sounds), together)
        torch.testing.assert_close(torch.cat([network(sound[None]) for sound in sounds]), together, atol=1e-5, rtol=0)
        torch.testing.assert_close(network.scores(sounds), together[:, 1] - together[:, 0])


def test_the_input_norm_is_heard_only_where_it_is_on() -> None:
    sounds = torch.from_numpy(noise(1_600))[None]
    for on in (True, False):
        network = made(replace(TINY, input_norm=on))
        with torch.inference_mode():
            before = network(sounds)
            network.encoder[1].input_norm.weight.mul_(3.0)
            assert torch.equal(network(sounds), before) is not on


def test_every_parameter_that_is_used_learns() -> None:
    network = made().train()
    sounds = torch.from_numpy(np.stack([noise(1_600, seed) for seed in range(6)]))
    network(sounds).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


def test_made_tones_are_told_from_noise_after_a_short_training() -> None:
    network = made().train()
    generator = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)

    def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = np.arange(size) % 2
        times = np.arange(1_600) / 16_000
        tones = np.sin(2 * np.pi * generator.uniform(300, 3_000, (size, 1)) * times)
        sounds = np.where(labels[:, None] == 1, tones, generator.normal(0, 0.7, (size, 1_600)))
        return torch.from_numpy(sounds.astype(np.float32)), torch.from_numpy(labels)

    for _ in range(40):
        sounds, labels = batch(16)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(sounds), labels).backward()
        optimiser.step()
    sounds, labels = batch(100)
    network.eval()
    with torch.inference_mode():
        scores = network.scores(sounds)
    assert scores[labels == 1].min() > scores[labels == 0].max()


@given(st.integers(1, 50), st.integers(1, 120))
def test_sounds_are_repeated_or_cut(length: int, count: int) -> None:
    samples = np.arange(length, dtype=np.float32)
    fitted = fit_length(samples, count)
    assert fitted.tolist() == [float(place % length) for place in range(count)]
    assert fitted.dtype == np.float32


def test_no_samples_are_told() -> None:
    with pytest.raises(AudioError, match="no samples"):
        fit_length(np.zeros(0, np.float32), 4)


def test_a_saved_detector_answers_as_its_network_does(tmp_path: Path) -> None:
    network = made()
    save(tmp_path / "own.safetensors", trained(network))
    sounds = [noise(1_600), noise(900, 1), noise(4_000, 2)]
    found = answers(f"aasist:path={tmp_path / 'own.safetensors'}", *map(asked, sounds))
    with torch.inference_mode():
        raw = network.scores(torch.from_numpy(np.stack([fit_length(sound, 1_600) for sound in sounds])))
    assert [output.status for output in found] == ["ok"] * 3
    assert [output.score for output in found] == pytest.approx((2.0 * raw - 1.0).tolist(), abs=1e-5)


def test_a_bad_clip_is_an_error_and_the_others_are_answered(tmp_path: Path) -> None:
    save(tmp_path / "own.safetensors", trained(made()))
    broken = np.full(1_600, np.nan, np.float32)
    found = answers(
        f"aasist:path={tmp_path / 'own.safetensors'}",
        asked(noise(0)), asked(broken), Request("detect"), asked(noise(800), rate=8_000),
    )  # fmt: skip
    assert [output.status for output in found] == ["error", "error", "error", "ok"]
    assert "no samples" in found[0].error
    assert "score is nan" in found[1].error
    assert "'input'" in found[2].error


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_published_weights_answer_with_the_bona_fide_logit_as_the_authors_program_does(
    tmp_path: Path, suffix: str
) -> None:
    from safetensors.torch import save_file

    network = made(aasist_settings("aasist-l"))
    state = {str(published_name(name)): value for name, value in network.state_dict().items()}
    path = tmp_path / f"AASIST-L.{suffix}"
    if suffix == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    sound = noise(20_000)
    found = answers(f"aasist-l:path={path}", asked(sound))
    with torch.inference_mode():
        logits = network(torch.from_numpy(np.tile(sound, 4)[:64_600])[None])[0]
    assert found[0].score == pytest.approx(float(logits[1]), abs=1e-5)
    detector = MODELS.create(parse_spec(f"aasist-l:path={path}"))
    assert detector.name == f"aasist-l:path={path}"


def test_weights_that_are_not_there_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiometry.models.baselines.saved.weights_file", lambda *_: tmp_path / "none.safetensors")
    with pytest.raises(DataError, match=r"audiometry train aasist --level E4 .* give path=FILE"):
        MODELS.check(parse_spec("aasist"))
    with pytest.raises(DataError, match=r"other\.pth does not exist; make it with `audiometry train aasist-l"):
        MODELS.check(parse_spec("aasist-l:path=other.pth"))


def test_settings_and_files_are_checked_before_anything_is_made(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save(path, trained(made()))
    MODELS.check(parse_spec(f"aasist:path={path},device=cuda:1"))
    for wrong, told in (("device=tpu", "'device': 'tpu'"), ("threads=-1", "-1 is less than 0"), ("level=E1", "not E1")):
        with pytest.raises((SettingError, DataError), match=told):
            MODELS.check(parse_spec(f"aasist:path={path},{wrong}"))
    with pytest.raises(DataError, match="not 'aasist-l'"):
        MODELS.check(parse_spec(f"aasist-l:path={path}"))
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a whole safetensors file"):
        MODELS.check(parse_spec(f"aasist:path={path}"))


def test_a_detector_without_its_settings_or_arrays_is_told() -> None:
    good = trained(made())
    for facts in ({}, {"network": "{"}, {"network": "[]"}, {"network": json.dumps({"layers": 3})}):
        with pytest.raises(DataError, match="no settings of its network"):
            restore(SavedDetector("aasist", good.arrays, facts))
    arrays = {name: value for name, value in good.arrays.items() if name != "classifier.bias"}
    with pytest.raises(DataError, match=r"1 missing: 'classifier\.bias'"):
        restore(SavedDetector("aasist", arrays, good.facts))


@pytest.mark.parametrize("held", [aasist_module, aasist_keys, aasist_network, graph_attention, raw_augmentation])
def test_examples_run_and_what_is_offered_is_there(held: ModuleType) -> None:
    result = doctest.testmod(held)
    assert (result.failed, result.attempted > 0) == (0, True)
    assert all(hasattr(held, name) for name in held.__all__)


def test_listing_the_detectors_loads_no_torch() -> None:
    import subprocess
    import sys

    code = f"import sys, {aasist_module.__name__}; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
