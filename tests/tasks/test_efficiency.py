from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from audiometry.benchmark.audio import read_file
from audiometry.benchmark.errors import SettingError, UnfinishedRunError, UserError
from audiometry.benchmark.registry import Spec, load_plugin_file
from audiometry.benchmark.types import Audio, Waveform
from audiometry.tasks import efficiency, efficiency_command
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.efficiency import Cost, document, measure, summarise, write_sound

HUNGRY = '''"""A recogniser whose memory and time grow with the sound in a known way."""

import time

import numpy as np

from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output


class Hungry:
    name = fingerprint = "hungry"
    abilities = frozenset({"transcribe"})
    deterministic = True

    def __init__(self, megabytes):
        self._megabytes = megabytes

    def generate(self, requests):
        seconds = requests[0].waveforms["input"].seconds
        if seconds > 50:
            return [Output(status="error", error="too long for me")]
        held = np.ones(int(seconds * self._megabytes * 2**20), np.uint8)
        time.sleep(seconds / 100)
        return [Output(text=f"heard {len(held)}")]

    def close(self):
        pass


@model("hungry", abilities={"transcribe"})
def hungry(*, megabytes: float = 10.0):
    """Holds so many megabytes for each second of sound."""
    return Hungry(megabytes)


@model("hungry-endpoint", abilities={"transcribe"}, waits=True)
def hungry_endpoint():
    """Works elsewhere."""
    raise AssertionError("it is not asked")


@model("hungry-for-targets", abilities={"transcribe"}, control=True, given="own target")
def hungry_for_targets():
    """Is handed answers."""
    raise AssertionError("it is not asked")


@model("hungry-talker", abilities={"respond"})
def hungry_talker():
    """Does not transcribe."""
    raise AssertionError("it is not asked")
'''

COST = Cost(
    model="m", audio_seconds=1.0, start=1.0, load=0.5, first=2.0, second=1.0, idle_memory=100, peak_memory=200,
    memory_method="peak", cpu_seconds=1.0, joules=3.5, grams_co2e=0.1, energy_method="time",
)  # fmt: skip


@pytest.fixture
def spoken(tmp_path: Path) -> list[Utterance]:
    import soundfile

    found = []
    for number, seconds in enumerate((0.5, 3.0)):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * np.random.default_rng(number).standard_normal(int(seconds * 16000)), 16000)
        found.append(Utterance(f"said/{number}", Audio(str(path), seconds=seconds), "words", "en"))
    return found


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hungry") / "hungry_models.py"
    path.write_text(HUNGRY)
    load_plugin_file(path)
    return path


@pytest.mark.parametrize("seconds", [0.25, 3.0, 4.5, 20.0])
def test_sound_is_as_long_as_asked(
    tmp_path: Path, spoken: list[Utterance], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efficiency, "PART", 10)
    sound = read_file(write_sound(tmp_path / "made.wav", spoken, seconds))
    assert isinstance(sound, Waveform)
    assert sound.seconds == pytest.approx(seconds, abs=1e-4)
    assert np.abs(sound.samples).max() > 0.05


@pytest.mark.slow
def test_memory_and_time_that_grow_in_a_known_way(
    plugin: Path, spoken: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efficiency, "load_corpus", lambda _: spoken)
    monkeypatch.setattr(efficiency, "PART", 10)
    told: list[str] = []
    spec = Spec("hungry", (("megabytes", "20"),))
    costs = measure(spec, [2.0, 6.0, 20.0], plugins=(str(plugin),), report=told.append)
    assert [cost.audio_seconds for cost in costs] == [2.0, 6.0, 20.0]
    assert len(told) == 3
    for cost in costs:
        grown = (cost.peak_memory - cost.idle_memory) / 2**20
        assert 20 * cost.audio_seconds < grown < 20 * cost.audio_seconds + 60
        assert cost.second >= cost.audio_seconds / 100
        assert cost.start > cost.load >= 0.0
        assert cost.joules > 0.0
    summary = summarise(costs)
    assert summary.grown is not None
    assert summary.grown.exponent == pytest.approx(1.0, abs=0.25)
    assert summary.memory is not None
    assert 0.0 < summary.memory.exponent < summary.grown.exponent
    with pytest.raises(UnfinishedRunError, match="failed on 60 s of sound: too long for me"):
        measure(spec, [60.0], plugins=(str(plugin),))


def test_a_summary_by_hand() -> None:
    longer = replace(COST, audio_seconds=100.0, first=12.0, second=10.0, peak_memory=400, joules=35.0, grams_co2e=1.0)
    found = summarise([COST, longer])
    assert found.cold_start == 3.0
    assert found.first_to_second == 2.0
    assert found.rtfx == pytest.approx(101 / 11)
    assert found.joules_per_hour == pytest.approx(38.5 / 101 * 3600)
    assert found.grams_per_hour == pytest.approx(1.1 / 101 * 3600)
    assert found.memory is not None
    assert found.memory.exponent == pytest.approx(np.log(2) / np.log(100))
    assert found.grown is not None
    assert found.grown.exponent == pytest.approx(np.log(3) / np.log(100))
    assert summarise([COST]).memory is None
    plain = json.loads(json.dumps(document([COST, longer]), allow_nan=False))
    assert plain["models"][0]["memory"]["low"] is None
    assert plain["costs"][1]["audio_seconds"] == 100.0
    with pytest.raises(UserError, match="one model"):
        summarise([COST, replace(COST, model="other")])
    with pytest.raises(UserError, match="at least one"):
        summarise([])


@pytest.mark.parametrize("seconds", [[], [0.0], [20_000.0]])
def test_lengths_out_of_range_are_told(seconds: list[float]) -> None:
    with pytest.raises(SettingError, match="14400"):
        measure(Spec("pocketsphinx"), seconds)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hungry-endpoint", "process of ours"),
        ("hungry-for-targets", "process of ours"),
        ("hungry-talker", "does not transcribe"),
    ],
)
def test_models_that_cannot_be_measured_are_told(plugin: Path, name: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        measure(Spec(name), [1.0])


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def measured(model: Spec, seconds: list[float], **more: object) -> list[Cost]:
        asked.append((str(model), seconds, more["repeats"]))
        return [replace(COST, model=str(model), audio_seconds=one, peak_memory=int(one * 2**30)) for one in seconds]

    monkeypatch.setattr(efficiency, "measure", measured)
    app = typer.Typer()
    efficiency_command.register(app)
    runner = CliRunner()
    shown = runner.invoke(app, ["-m", "whisper:beam=2", "--seconds", "1,10,100", "--repeats", "2"])
    assert shown.exit_code == 0
    assert asked == [("whisper:beam=2", [1.0, 10.0, 100.0], 2)]
    assert "1024" in shown.stdout
    assert "exponents: peak memory 1.00 [1.00, 1.00]" in shown.stdout
    told = runner.invoke(app, ["-m", "whisper", "-m", "pocketsphinx", "--seconds", "1", "--json"])
    assert [one["model"] for one in json.loads(told.stdout)["models"]] == ["whisper", "pocketsphinx"]
    assert json.loads(told.stdout)["models"][0]["memory"] is None
    table = runner.invoke(app, ["-m", "whisper", "--seconds", "1"])
    assert "exponents: peak memory –" in table.stdout
    wrong = runner.invoke(app, ["-m", "whisper", "--seconds", "one"])
    assert isinstance(wrong.exception, SettingError)
