"""Score files: written from a run, read back as a model, and the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from audiometry.benchmark.errors import DataError, UserError
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import Request
from audiometry.tasks import spoof_scores
from audiometry.tasks.spoof_scores import FORMATS, ScoreFormat, TrialScore, run_scores, score_lines

SCORES = [TrialScore("LA_E_1", "A07", -1.5), TrialScore("LA_E_2", "", 0.1), TrialScore("LA_E_3", "A08", 1e-9)]


def write_evidence(folder: Path, rows: list[dict[str, object]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "scores.parquet")
    return folder


def row(one: TrialScore, *, model: str = "m", task: str = "t", failed: float = 0.0) -> dict[str, object]:
    return {
        "model": model, "task": task, "sample_id": one.id, "detail.attack": one.attack, "count.score": one.score,
        "count.failed": failed, "count.attack": 0.0 if one.attack else -1.0,
    }  # fmt: skip


def read_back(file: Path, ids: list[str]) -> list[float | None]:
    model = MODELS.create(parse_spec(f"score-file:path={file}"))
    return [one.score for one in model.generate([Request("detect")] * len(ids), ids)]


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_reads_back_as_it_was(format: ScoreFormat, tmp_path: Path) -> None:
    file = tmp_path / "scores.txt"
    file.write_text("".join(f"{line}\n" for line in score_lines(SCORES, format)))
    assert read_back(file, [one.id for one in SCORES]) == [-1.5, 0.1, 1e-9]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_digit_of_a_score_is_lost(score: float) -> None:
    for format in FORMATS:
        *_, line = score_lines([TrialScore("x", "", score)], format)
        assert float(line.split()[-1]) == score


def test_the_lines_are_the_challenges() -> None:
    assert list(score_lines(SCORES[:2], "asvspoof2019")) == ["LA_E_1 A07 spoof -1.5", "LA_E_2 - bonafide 0.1"]
    assert list(score_lines(SCORES[:2], "asvspoof2021")) == ["LA_E_1 -1.5", "LA_E_2 0.1"]
    assert list(score_lines(SCORES[:1], "asvspoof5")) == ["filename\tcm-score", "LA_E_1\t-1.5"]
    for bad in (TrialScore("a b", "", 0.0), TrialScore("a", "A 07", 0.0), TrialScore("", "", 0.0)):
        with pytest.raises(UserError, match="white space"):
            list(score_lines([bad], "asvspoof2021"))


def test_which_scores_of_a_run_are_meant(tmp_path: Path) -> None:
    rows = [row(one, model=model) for model in ("m", "n") for one in SCORES]
    rows.append({**row(SCORES[0], task="wer"), "count.score": None, "count.failed": None, "count.attack": None})
    folder = write_evidence(tmp_path / "run", rows)
    with pytest.raises(UserError, match="has several such scores; it has: --model m --task t; --model n --task t"):
        run_scores(folder)
    assert run_scores(folder, model="n") == SCORES
    with pytest.raises(UserError, match="has no such scores"):
        run_scores(folder, task="wer")
    with pytest.raises(UserError, match="cannot read"):
        run_scores(tmp_path)


def test_a_failed_trial_has_no_place_in_a_score_file(tmp_path: Path) -> None:
    rows = [row(SCORES[0]), row(SCORES[1], failed=1.0)]
    with pytest.raises(UserError, match="1 of 2 trials have no score, first LA_E_2"):
        run_scores(write_evidence(tmp_path / "run", rows))


def test_a_run_without_detection(tmp_path: Path) -> None:
    folder = write_evidence(tmp_path / "run", [{"model": "m", "task": "wer", "sample_id": "a", "count.errors": 1.0}])
    with pytest.raises(UserError, match="it has: none of spoof detection"):
        run_scores(folder)


def command(*words: str) -> Result:
    import typer

    app = typer.Typer()
    app.callback()(lambda: None)
    spoof_scores.register(app)
    return CliRunner().invoke(app, ["spoof-scores", *words])


def test_the_command(tmp_path: Path) -> None:
    folder = str(write_evidence(tmp_path / "run", [row(one) for one in SCORES]))
    assert command(folder, "--format", "asvspoof2021").stdout == "LA_E_1 -1.5\nLA_E_2 0.1\nLA_E_3 1e-09\n"
    file = tmp_path / "out.txt"
    assert command(folder, "--format", "asvspoof5", "-o", str(file)).exit_code == 0
    assert file.read_text().startswith("filename\tcm-score\n")
    for words, told in (
        (("--format", "asvspoof2023"), "'asvspoof2023' is not one of asvspoof2019"),
        (("--format", "asvspoof5", "-o", str(tmp_path / "none" / "out.txt")), "cannot write"),
    ):
        failed = command(folder, *words)
        assert isinstance(failed.exception, UserError)
        assert told in str(failed.exception)


def test_a_bad_score_file_is_told_before_any_run(tmp_path: Path) -> None:
    file = tmp_path / "scores.txt"
    file.write_text("LA_E_1 nan\n")
    with pytest.raises(DataError, match="line 1: score 'nan' is not a finite number"):
        MODELS.check(parse_spec(f"score-file:path={file}"))
    with pytest.raises(DataError, match="does not exist"):
        MODELS.check(parse_spec(f"score-file:path={tmp_path / 'none'}"))


def test_a_trial_that_the_file_lacks_fails(tmp_path: Path) -> None:
    file = tmp_path / "scores.txt"
    file.write_text("LA_E_1 0.5\n")
    model = MODELS.create(parse_spec(f"score-file:path={file},label=theirs"))
    (output,) = model.generate([Request("detect")], ["LA_E_7"])
    assert (model.name, output.status) == ("theirs", "error")
    assert "no answer for 'LA_E_7'" in str(output.error)
    assert model.abilities == {"detect"}


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here", "home")
def test_a_run_written_and_read_back_has_the_same_numbers(tmp_path: Path) -> None:
    """The whole way: run, spoof-scores, score-file, run."""
    names = [f"E_{number}" for number in range(40)]
    keys = [f"LA_{at} {name} - {'A07 spoof' if at % 2 else '- bonafide'}\n" for at, name in enumerate(names)]
    protocol = tmp_path / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.eval.trl.txt"
    protocol.parent.mkdir()
    protocol.write_text("".join(keys))
    flac = tmp_path / "ASVspoof2019_LA_eval" / "flac"
    flac.mkdir(parents=True)
    for name in names:
        soundfile.write(flac / f"{name}.flac", 0.1 * np.sin(np.arange(1600) / 5), 16_000)
    drawn = np.random.default_rng(1).normal(size=40)
    files = [tmp_path / "theirs.txt", tmp_path / "written.txt"]
    files[0].write_text("".join(f"{name} {drawn[at] + (at % 2 == 0)}\n" for at, name in enumerate(names)))
    found = []
    for number, file in enumerate(files):
        asked = RunSettings(
            models=(f"score-file:path={file},label=x",),
            tasks=(f"spoof-asvspoof2019-la:path={tmp_path},partial=true",),
            resamples=100,
        )
        done = evaluate(asked, output=tmp_path / f"run-{number}", quiet=True)
        assert done.status == "complete"
        found.append([replace(one, run="") for one in done.results])
        lines = score_lines(run_scores(done.folder), "asvspoof2019")
        files[1].write_text("".join(f"{line}\n" for line in lines))
    assert found[0] == found[1]
    first = found[0][0]
    assert first.metric == "eer_macro"
    assert first.low < first.value < first.high  # type: ignore[operator]
