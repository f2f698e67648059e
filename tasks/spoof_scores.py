"""Scores of a run in the files of the ASVspoof challenges: ``audiometry spoof-scores``.

============== =========================================== ==============================================
format         a line                                      read by
============== =========================================== ==============================================
asvspoof2019   ``RECORDING ATTACK bonafide|spoof SCORE``   ``evaluate_tDCF_asvspoof19.py`` of the challenge
asvspoof2021   ``RECORDING SCORE``                         ``eval-package/main.py`` of the challenge
asvspoof5      ``RECORDING<TAB>SCORE`` under a header      ``evaluation.py --m t1`` of the challenge
============== =========================================== ==============================================

The model `score-file` reads all three back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from audiometry.benchmark.errors import UserError

__all__ = ["FORMATS", "ScoreFormat", "TrialScore", "register", "run_scores", "score_lines"]

ScoreFormat = Literal["asvspoof2019", "asvspoof2021", "asvspoof5"]
FORMATS: tuple[ScoreFormat, ...] = get_args(ScoreFormat)

HELP = """Write the scores of a run in the format of an ASVspoof challenge.

A file holds one model's scores of one task: where the run has several, name them.

\\b
Examples:
  audiometry spoof-scores runs/X --format asvspoof2021 -o score.txt
  audiometry spoof-scores runs/X --format asvspoof5 --model aasist --task spoof-asvspoof5
"""


@dataclass(frozen=True, slots=True)
class TrialScore:
    """A trial's score; `attack` is empty for bona fide speech."""

    id: str
    attack: str
    score: float


def score_lines(scores: Sequence[TrialScore], format: ScoreFormat) -> Iterator[str]:
    """The lines of a score file, without line ends. Scores are written so that they read back as they were.

    >>> scores = [TrialScore("LA_E_1", "A07", -1.5), TrialScore("LA_E_2", "", 2.0)]
    >>> list(score_lines(scores, "asvspoof2019"))
    ['LA_E_1 A07 spoof -1.5', 'LA_E_2 - bonafide 2.0']
    >>> list(score_lines(scores, "asvspoof5"))
    ['filename\\tcm-score', 'LA_E_1\\t-1.5', 'LA_E_2\\t2.0']

    Raises UserError for a recording or attack whose name the format cannot hold.
    """
    for one in scores:
        if not one.id or any(letter.isspace() for letter in one.id + one.attack):
            raise UserError(f"spoof-scores: {one.id!r} ({one.attack!r}) has white space, which score files separate by")
    if format == "asvspoof5":
        yield "filename\tcm-score"
    lines: Mapping[ScoreFormat, Callable[[TrialScore], str]] = {
        "asvspoof2019": lambda one: f"{one.id} {one.attack or '-'} {'spoof' if one.attack else 'bonafide'} {one.score}",
        "asvspoof2021": lambda one: f"{one.id} {one.score}",
        "asvspoof5": lambda one: f"{one.id}\t{one.score}",
    }
    yield from map(lines[format], scores)


def run_scores(folder: Path, *, model: str = "", task: str = "") -> list[TrialScore]:
    """The scores of a run folder's one (or the named) model and spoof detection task, in the order of the run.

    Raises UserError where several could be meant or none is there, and for trials without a score: the challenges'
    files have no place for a failure. StoreError for a folder without evidence.
    """
    from audiometry.benchmark.evidence import SCORES

    found = _read_columns(folder / SCORES)
    pairs = sorted({(one["model"], one["task"]) for one in found})
    chosen = [pair for pair in pairs if model in ("", pair[0]) and task in ("", pair[1])]
    if len(chosen) != 1:
        listed = "; ".join(f"--model {one} --task {name}" for one, name in pairs) or "none of spoof detection"
        many = "several" if chosen else "no"
        raise UserError(f"spoof-scores: {folder} has {many} such scores; it has: {listed}")
    rows = [one for one in found if (one["model"], one["task"]) == chosen[0]]
    failed = [one["sample_id"] for one in rows if one["count.failed"]]
    if failed:
        raise UserError(
            f"spoof-scores: {len(failed):,} of {len(rows):,} trials have no score, first {failed[0]}; "
            "score files have no place for failures: run these again"
        )
    return [TrialScore(one["sample_id"], one["detail.attack"] or "", one["count.score"]) for one in rows]


def _read_columns(file: Path) -> list[dict[str, Any]]:
    """Rows of spoof detection tasks in the evidence."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["model", "task", "sample_id", "detail.attack", "count.score", "count.failed", "count.attack"]
    try:
        there = set(pq.read_schema(file).names)
        rows = pq.read_table(file, columns=[name for name in names if name in there]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:150]
        raise UserError(f"spoof-scores: cannot read {file}: {reason}; give the folder of a finished run") from error
    return [row for row in rows if row.get("count.attack") is not None and row.get("count.score") is not None]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("spoof-scores", help=HELP)(spoof_scores)


def spoof_scores(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    format: Annotated[str, typer.Option(help=f"One of {', '.join(FORMATS)}.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file. [default: stdout]")] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Whose scores.")] = "",
    task: Annotated[str, typer.Option("--task", "-t", help="Of which task, as results name it.")] = "",
) -> None:
    """Write the file."""
    chosen = next((one for one in FORMATS if one == format), None)
    if chosen is None:
        raise UserError(f"spoof-scores: {format!r} is not one of {', '.join(FORMATS)}")
    text = "".join(f"{line}\n" for line in score_lines(run_scores(run, model=model, task=task), chosen))
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"spoof-scores: cannot write {output}: {error.strerror}; choose another file") from error
