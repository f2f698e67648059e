from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from audiometry.benchmark.errors import DataError, SettingError, UnknownNameError
from audiometry.benchmark.registry import CORPORA, MODELS, Spec
from audiometry.benchmark.types import Audio, Request, Waveform
from audiometry.models import train_command
from audiometry.models.baselines import saved
from audiometry.models.train_command import TRAINABLE, register
from audiometry.tasks.corpora.rows import BONA_FIDE, SPOOF, SpoofingTrial
from audiometry.tasks.corpora.spoof import embedded
from audiometry.tasks.corpora.spoof.attacks import PROTOCOL
from audiometry.tasks.corpora.spoof.equalisation import REVISION

QUICK = ("steps=30", "width=0.5", "bands=24", "frames=64", "batch=16", "evaluate_every=15", "threads=1", "rate=0.01")
SETTINGS = [word for setting in QUICK for word in ("-s", setting)]


def clip(seed: int, attack: str) -> np.ndarray:
    generator, time = np.random.default_rng(seed), np.arange(16_000) / 16_000
    tone = {"": 0.0, "A01": 1000.0, "A02": 2000.0}[attack]
    return generator.normal(0, 0.05, 16_000) + (0.1 * np.sin(2 * np.pi * tone * time) if tone else 0.0)


def trial(path: Path, attack: str) -> SpoofingTrial:
    label = SPOOF if attack else BONA_FIDE
    return SpoofingTrial(path.stem, Audio(str(path)), label, attack, slices={"source": path.stem})


class Embedded:
    """The embedded corpus in small: 40 trials a split."""

    name = "spoof-embedded"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, str]] = []

    def trials(self, split: str, level: str = "E4") -> Sequence[SpoofingTrial]:
        self.asked.append((split, level))
        found = []
        for number in range(40):
            attack = "" if number % 2 else f"A0{1 + number // 2 % 2}"
            path = self.folder / f"{split}-{number}.wav"
            if not path.exists():
                soundfile.write(path, clip(number + 1000 * (split == "train"), attack), 16_000, subtype="FLOAT")
            found.append(trial(path, attack))
        return found


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Embedded:
    made = Embedded(tmp_path)
    monkeypatch.setattr(embedded, "open_embedded", lambda: made)
    return made


@pytest.fixture
def invoke() -> Callable[..., str]:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)

    def run(*words: str) -> str:
        ended = CliRunner().invoke(app, ["train", *words])
        if ended.exception is not None:
            raise ended.exception
        return ended.stderr

    return run


def test_a_detector_is_trained_written_and_used(corpus: Embedded, invoke: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "out" / "mine.safetensors"
    told = invoke("lfcc-lcnn", "--level", "E2", "--seed", "3", "-o", str(file), *SETTINGS)
    assert corpus.asked == [("train", "E2"), ("development", "E2")]
    assert "macro" in told
    assert "A02" in told
    facts = saved.load(file, kind="lfcc-lcnn").facts
    assert (facts["corpus"], facts["level"], facts["seed"]) == ("spoof-embedded", "E2", "3")
    assert (facts["training_trials"], facts["development_trials"]) == ("40", "40")
    assert (facts["equalisation"], facts["protocol"]) == (REVISION, PROTOCOL)
    assert float(facts["slope"]) > 0
    model = MODELS.create(Spec("lfcc-lcnn", (("level", "E2"), ("path", str(file)))))
    real, spoof = (
        model.generate([Request("detect", waveforms={"input": Waveform(clip(77, attack).astype(np.float32), 16_000)})])
        for attack in ("", "A01")
    )
    assert (real[0].score or 0) > (spoof[0].score or 0)


def test_a_training_stopped_by_time_goes_on_to_the_bytes_of_one_that_was_not(
    corpus: Embedded, invoke: Callable[..., str], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    invoke("lfcc-lcnn", "-o", str(whole), *SETTINGS)
    told = invoke("lfcc-lcnn", "-o", str(parts), "--minutes", "1e-6", *SETTINGS)
    assert "stopped by the time limit" in told
    assert (tmp_path / "parts.checkpoint.safetensors").is_file()
    assert parts.read_bytes() != whole.read_bytes()
    told = invoke("lfcc-lcnn", "-o", str(parts), "--resume", *SETTINGS)
    assert "going on after step 1 of 30" in told
    assert parts.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "parts.checkpoint.safetensors").exists()


def test_a_detector_without_a_network_is_trained_too(
    corpus: Embedded, invoke: Callable[..., str], home: Path, tmp_path: Path
) -> None:
    told = invoke("lfcc-gmm", "-s", "components=2", "-s", "iterations=3", "--resume")
    assert "begins anew" in told
    assert saved.load(home / "detectors" / "lfcc-gmm-E4-seed0.safetensors", kind="lfcc-gmm").facts["level"] == "E4"


def test_a_public_corpus_is_trained_on_as_it_is(
    invoke: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "LA"
    (root / "ASVspoof2019_LA_cm_protocols").mkdir(parents=True)
    for split, protocol in (("train", "train.trn"), ("dev", "dev.trl")):
        (root / f"ASVspoof2019_LA_{split}" / "flac").mkdir(parents=True)
        lines = []
        for number in range(24):
            attack = "" if number % 2 else f"A0{1 + number // 2 % 2}"
            name = f"LA_{split[0].upper()}_{number:07}"
            soundfile.write(root / f"ASVspoof2019_LA_{split}" / "flac" / f"{name}.flac", clip(number, attack), 16_000)
            lines.append(f"LA_0001 {name} - {attack or '-'} {'spoof' if attack else 'bonafide'}")
        (root / "ASVspoof2019_LA_cm_protocols" / f"ASVspoof2019.LA.cm.{protocol}.txt").write_text("\n".join(lines))
    whole = CORPORA.create
    monkeypatch.setattr(CORPORA, "create", lambda spec: whole(Spec(spec.name, (*spec.settings, ("partial", "true")))))
    file = tmp_path / "official.safetensors"
    told = invoke("lfcc-lcnn", "--corpus", f"asvspoof2019-la={root}", "-o", str(file), *SETTINGS)
    assert "24 training and 24 development trials of asvspoof2019-la at E0" in told
    facts = saved.load(file, kind="lfcc-lcnn").facts
    assert (facts["corpus"], facts["level"]) == ("asvspoof2019-la", "E0")
    assert not {"equalisation", "protocol"} & facts.keys()
    MODELS.check(Spec("lfcc-lcnn", (("level", "E0"), ("path", str(file)))))


def test_a_part_of_the_trials_is_drawn_whatever_their_order(corpus: Embedded) -> None:
    trials = corpus.trials("train")
    first = train_command._first(trials, 10)
    assert len(first) == 10
    assert train_command._first(list(reversed(trials)), 10) == first
    assert {one.label for one in first} == {BONA_FIDE, SPOOF}
    assert train_command._first(trials, None) is trials


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        (["lcnn"], UnknownNameError, "lfcc-lcnn"),
        (["lfcc-lcnn", "--level", "E9"], SettingError, "E0, E1"),
        (["lfcc-lcnn", "--corpus", "asvspoof2019-la=/x", "--level", "E4"], SettingError, "heard as it is"),
        (["lfcc-lcnn", "--corpus", "in-the-wild=/x"], SettingError, "NAME=DIR"),
        (["lfcc-lcnn", "--corpus", "asvspoof2019-la"], SettingError, "NAME=DIR"),
        (["lfcc-lcnn", "--corpus", "asvspoof2019-la=/nowhere"], DataError, "/nowhere"),
        (["lfcc-lcnn", "-s", "steps"], SettingError, "KEY=VALUE"),
        (["lfcc-lcnn", "-s", "seed=4"], SettingError, "option of its own"),
        (["lfcc-lcnn", "-s", "colour=red"], SettingError, "takes no setting 'colour'"),
        (["lfcc-gmm", "-s", "colour=red"], SettingError, "takes no setting 'colour'"),
        (["lfcc-gmm", "-s", "components=many"], SettingError, "whole number"),
        (["lfcc-lcnn", "--limit", "1"], SettingError, "--limit"),
        (["lfcc-lcnn", "--seed", "-1"], SettingError, "--seed"),
        (["lfcc-lcnn", "--minutes", "0"], SettingError, "minutes"),
    ],
)
def test_bad_input_is_told(
    words: list[str], error: type[Exception], told: str, corpus: Embedded, invoke: Callable[..., str]
) -> None:
    with pytest.raises(error, match=told):
        invoke(*words)


@pytest.mark.parametrize("name", sorted(TRAINABLE))
def test_every_trainable_detector_is_named_and_has_its_function(name: str) -> None:
    work: Any = train_command._prepared(name, [], seed=0, level="E4", minutes=1.0, resume=False)
    assert callable(work)
    assert name in train_command.HELP
    assert name in MODELS.names()


def test_the_command_is_listed_without_loading_what_is_heavy() -> None:
    code = (
        "import sys, typer; from audiometry.models import train_command; train_command.register(typer.Typer()); "
        "print([name for name in ('torch', 'scipy', 'sklearn', 'audiometry.tasks') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in told.stdout
    assert "sklearn" not in told.stdout
