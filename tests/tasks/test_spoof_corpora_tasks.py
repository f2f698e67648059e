"""Spoof detection on artificial copies of the published corpora, and the challenges' files of verification scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Output, Task
from audiometry.tasks.metrics.tandem import AsvErrorRates
from audiometry.tasks.spoof_asv import asv_file_errors

LA_2019 = ["LA_1 E_1 - A11 spoof", "LA_2 E_2 - A14 spoof", "LA_3 E_3 - - bonafide", "LA_3 E_4 - - bonafide"]
LA_2021 = [
    "LA_9 E_1 alaw ita_tx A07 spoof notrim eval",
    "LA_9 E_2 none loc_tx bonafide bonafide notrim eval",
    "LA_8 E_3 opus sin_tx bonafide bonafide notrim eval",
    "LA_7 E_4 gsm mad_tx A19 spoof notrim progress",
    "LA_7 E_5 gsm mad_tx bonafide bonafide notrim progress",
]
DF_2021 = [
    "TEF2 E_1 low_m4a vcc2020 Task1-team20 spoof notrim eval neural_vocoder Task1 team20 FF E",
    "LA_4 E_2 high_ogg asvspoof - bonafide notrim eval bonafide - - - -",
    "LA_5 E_3 high_ogg asvspoof - bonafide trim hidden bonafide - - - -",
]
FIVE = ["E_16 E_1 M C01 2 E_9 AC3 A17 spoof -", "E_17 E_2 F - 0 - - bonafide bonafide -"]
LAYOUTS = {
    "spoof-asvspoof2019-la": (
        LA_2019, "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.eval.trl.txt", "ASVspoof2019_LA_eval/flac"
    ),
    "spoof-asvspoof2021-la": (LA_2021, "keys/LA/CM/trial_metadata.txt", "ASVspoof2021_LA_eval/flac"),
    "spoof-asvspoof2021-df": (DF_2021, "keys/DF/CM/trial_metadata.txt", "ASVspoof2021_DF_eval/flac"),
    "spoof-asvspoof5": (FIVE, "ASVspoof5.eval.track_1.tsv", "flac_E_eval"),
}  # fmt: skip
SCORES_2019 = (
    "bonafide target 3.0\nbonafide target 1.0\nbonafide nontarget -1.0\nbonafide nontarget 0.0\nA11 spoof 2.0\n"
)


def build(root: Path, name: str) -> Path:
    lines, protocol, folder = LAYOUTS[name]
    (root / protocol).parent.mkdir(parents=True, exist_ok=True)
    (root / protocol).write_text("".join(f"{line}\n" for line in lines))
    (root / folder).mkdir(parents=True)
    for line in lines:
        soundfile.write(root / folder / f"{line.split()[1]}.flac", 0.1 * np.sin(np.arange(1600) / 5), 16_000)
    return root


def made(name: str, root: Path, **more: str) -> Task:
    given = {"path": str(build(root, name)), "partial": "true", **more}
    return TASKS.create(Spec(name, tuple(given.items())))


@pytest.mark.parametrize(
    ("name", "trials", "attacks"),
    [
        ("spoof-asvspoof2019-la", 4, ["A11", "A14"]),
        ("spoof-asvspoof2021-la", 3, ["A07"]),
        ("spoof-asvspoof2021-df", 2, ["neural_vocoder"]),
        ("spoof-asvspoof5", 2, ["A17"]),
    ],
)
def test_published_protocols(
    name: str, trials: int, attacks: list[str], tmp_path: Path, measured: Callable[..., Any]
) -> None:
    task = made(name, tmp_path)
    assert task.name == name
    assert len(list(task.samples())) == trials
    assert [one.name[4:] for one in task.metrics if one.name.startswith("eer-")] == attacks
    assert measured(task, "oracle").values["eer_macro"] == 0.0
    assert any("expected" in note for note in task.notes)  # a part of the corpus, and says so
    assert not {"attack", "phase"} & {key for one in task.samples() for key in one.slices}


def test_only_the_trials_of_the_phase_count(tmp_path: Path) -> None:
    task = made("spoof-asvspoof2021-la", tmp_path, phase="progress")
    assert task.name == "spoof-asvspoof2021-la-progress"
    assert [one.id for one in task.samples()] == ["E_4", "E_5"]


def test_a_phase_of_one_class_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all 1 trials are bona fide"):
        made("spoof-asvspoof2021-df", tmp_path, phase="hidden")


def test_in_the_wild_has_one_attack(tmp_path: Path, measured: Callable[..., Any]) -> None:
    (tmp_path / "meta.csv").write_text("file,speaker,label\n0.wav,Ann,spoof\n1.wav,Ann,bona-fide\n2.wav,Bob,spoof\n")
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * np.sin(np.arange(1600) / 5), 16_000)
    task = TASKS.create(Spec("spoof-in-the-wild", (("path", str(tmp_path)), ("partial", "true"))))
    values = measured(task, lambda one: Output(score=-1.0 if one.id == "0" else 0.5)).values
    assert values["eer_macro"] == values["eer"] == values["eer-unnamed"]


def test_verification_scores_add_the_tandem_cost(tmp_path: Path, measured: Callable[..., Any]) -> None:
    file = tmp_path / "asv.txt"
    file.write_text(SCORES_2019)
    task = made("spoof-asvspoof2019-la", tmp_path / "corpus", asv=str(file))
    assert task.metrics[-1].name == "min_tdcf"
    assert task.settings["t-DCF"] == "2019"
    assert measured(task, "oracle").values["min_tdcf"] == 0.0
    assert measured(task, lambda _: Output(score=0.0)).values["min_tdcf"] == 1.0


def asv_2021(root: Path, scores: str, keys: str) -> Path:
    file = root / "ASV" / "ASVTorch_Kaldi" / "score.txt"
    file.parent.mkdir(parents=True)
    file.write_text(scores)
    (root / "ASV" / "trial_metadata.txt").write_text(keys)
    return file


KEYS_2021 = "".join(
    f"LA_1 E_{number} none loc_tx x {kind} notrim {phase}\n"
    for number, (kind, phase) in enumerate(
        [("target", "eval"), ("nontarget", "eval"), ("spoof", "eval"), ("target", "progress")]
    )
)


def test_verification_scores_of_2021(tmp_path: Path, measured: Callable[..., Any]) -> None:
    file = asv_2021(tmp_path, "LA_1 E_0 2.0\nLA_1 E_1 -1.0\nLA_1 E_2 3.0\nLA_1 E_3 -9.0\n", KEYS_2021)
    # the equal error threshold is the non-target's score, and a score equal to it is accepted, as in the package
    assert asv_file_errors(str(file), "2021") == AsvErrorRates(0.0, 1.0, 1.0, -1.0)
    task = made("spoof-asvspoof2021-la", tmp_path / "corpus", asv=str(file))
    passed = 0.0095 * 10
    floor = passed / (passed + min(0.9405 - passed, 0.5))
    assert measured(task, "oracle").values["min_tdcf"] == pytest.approx(floor)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bonafide target\n", "line 1 is not 'ATTACK target"),
        ("bonafide target x\n", "line 1: 'x' is not a finite score"),
        ("bonafide target 1.0\n", "has no nontarget trials"),
        ("\xff", "is not text"),
    ],
)
def test_bad_files_of_2019(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "asv.txt"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=told):
        asv_file_errors(str(file), "2019")


@pytest.mark.parametrize(
    ("scores", "keys", "told"),
    [
        ("LA_1 E_0 2.0\n", KEYS_2021, "has 1 lines and .* 4"),
        ("LA_1 E_9 2.0\n" * 4, KEYS_2021, "line 1 is not 'SPEAKER E_0 SCORE'"),
        ("LA_1 E_0 2.0\n", "LA_1 E_0 target\n", "line 1 is not of 8 fields"),
    ],
)
def test_bad_files_of_2021(scores: str, keys: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        asv_file_errors(str(asv_2021(tmp_path, scores, keys)), "2021")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        asv_file_errors(str(tmp_path / "none.txt"), "2019")
    file = asv_2021(tmp_path, "LA_1 E_0 2.0\n", KEYS_2021)
    (tmp_path / "ASV" / "trial_metadata.txt").unlink()
    with pytest.raises(DataError, match=r"no trial_metadata\.txt beside"):
        asv_file_errors(str(file), "2021")
