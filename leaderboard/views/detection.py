"""DET curves: how many bona fide recordings are lost for how many spoofs that pass, at every threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from audiometry.benchmark.errors import DataError
from audiometry.leaderboard import board, det, figures, markup, tables
from audiometry.leaderboard.protocols import protocols_with
from audiometry.leaderboard.spoof_board import is_shortcut
from audiometry.leaderboard.views import boxes, shared

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["show"]

ALL = "all attacks pooled"

MOST = 6
"""Detectors drawn at once: more curves cannot be told apart."""

EMPTY = """<div class="am-callout am-info" role="note"><p><b>There are no results of a detection task yet.</b></p>
<p>Run one, with the control beside: <code>audiometry run -m lfcc-gmm,shortcut -t spoof-embedded</code></p>
<p>Then load this page again.</p></div>"""

LEAD = (
    "How many bona fide recordings are refused for how many spoofs that are accepted, at every threshold. Towards the "
    "lower left is better."
)

CAPTION = (
    "Rates are of these trials at this threshold. The equal error rate and the minimum DCF are at the threshold that "
    "is best on these very trials, which nobody knows beforehand; the Bayes threshold is the one at which a calibrated "
    "score is used (costs and prior of ASVspoof 5). Intervals are those of the run."
)

HOW = """
- **Axes** are on the scale of the normal deviate: a detector whose scores are normally distributed in both classes
  gives a straight line. The dotted line is where both rates are equal; a curve crosses it at its equal error rate.
- **Threshold**: a score above it is accepted as bona fide. Moving it to the right loses more bona fide recordings and
  lets fewer spoofs pass.
- A rate of 0 or 1 has no place on such an axis and is drawn at its end. The lowest rate that n trials can show is 1/n.
- A trial that **failed** is wrong at every threshold.
- The control `shortcut` knows nothing of the voice. A curve that lies on its curve may owe all it can to leaks of the
  corpus.
"""


POINT_VALUES = {
    "eer": "equal error rate",
    "min_dcf": "minimum DCF",
    "actual_dcf": "actual DCF",
    "false_alarms_at_1_percent_miss": "false alarm rate",
}
"""What is measured at each operating point."""


def show() -> None:
    """Draw the page."""
    with shared.open_store() as store:
        st.html(markup.heading("Detection", LEAD))
        only = protocols_with(store, det.DETECTION_METRICS)
        choice = shared.choose_results(store, metric=False, slice="all", only=only, empty=EMPTY)
        if choice is None:
            return
        run = None if choice.run == shared.LATEST else choice.run
        numbers = store.results(protocol=choice.protocol, run=run, slice="all")
    rows = board.ranking(choice.results)
    st.html(f'<p class="am-muted">{markup.word(f"{shared.summary_of(choice.task)} {choice.conditions}.".strip())}</p>')
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    beside = [name for name in rows["model"] if is_shortcut(name)][:1]
    models = boxes.choose_models(rows, choice, right, most=MOST, beside=beside)
    if not models:
        st.html(markup.callout("Choose a model.", "am-info"))
        return
    origins = dict(zip(rows["model"], rows["origin"], strict=True))
    detectors = _read(rows, models, choice.task)
    if not detectors:
        return
    attacks = list(dict.fromkeys(attack for trials in detectors for attack in trials.spoof))
    attack = shared.choose("Attack", [ALL, *attacks], "attack", place=left)
    attack = "" if attack == ALL else attack
    detectors = [trials for trials in detectors if not attack or attack in trials.spoof]
    st.plotly_chart(
        det.det_figure(_marked(detectors, origins), attack, dark=shared.is_dark()),
        width="stretch", theme=None, config={"displayModeBar": False}, key="det",
    )  # fmt: skip
    points = [row for trials in detectors for row in det.operating_points(trials, attack)]
    frame = _with_intervals(points, numbers, attack)
    st.html('<h2 class="am-label">Operating points</h2>')
    st.html(_points_table(frame))
    with st.expander("How to read this"):
        st.markdown(HOW)
    link = choice.link | {"attack": attack or ALL, "model": models}
    shared.share(frame, link, "operating-points", choice.task)


def _read(rows: pd.DataFrame, models: Sequence[str], task: str) -> list[det.Trials]:
    """The trials of every model whose evidence is there; a note for each of the others."""
    found = []
    folders = dict(zip(rows["model"], rows["folder"], strict=True))
    for model in models:
        try:
            found.append(det.read_trials(folders[model], model, task))
        except DataError as error:
            st.html(markup.callout(f"{model[:200]}: {error}", "am-error"))
    return found


def _marked(detectors: Sequence[det.Trials], origins: Mapping[str, str]) -> list[det.Trials]:
    """The same trials, each model's name with a word where its run is self-reported."""
    return [replace(one, model=figures.marked_name(one.model, origins[one.model], len(one.model))) for one in detectors]


def _with_intervals(points: Sequence[dict[str, object]], numbers: pd.DataFrame, attack: str) -> pd.DataFrame:
    """Operating points, each with the run's own interval of its metric where it has one."""
    import pandas as pd

    frame = pd.DataFrame(points, columns=list(det.POINT_COLUMNS))
    if attack:  # of one attack only the equal error rate has an interval
        frame["stored"] = [f"eer-{attack}" if metric == "eer" else "" for metric in frame["metric"]]
    else:
        frame["stored"] = frame["metric"]
    wanted = numbers[["model", "metric", "low", "high", "failed", "notes", "run"]].rename(columns={"metric": "stored"})
    whole = numbers.groupby("model")[["failed", "origin", "run", "created"]].first()
    frame = frame.merge(wanted.drop(columns=["failed", "run"]), on=["model", "stored"], how="left")
    frame["notes"] = [notes if isinstance(notes, list) else [] for notes in frame["notes"]]
    return frame.join(whole, on="model").drop(columns="stored")


def _points_table(frame: pd.DataFrame) -> str:
    groups: dict[str, list[list[str]]] = {}
    for row in board.records(frame):
        costs = row["metric"] in ("min_dcf", "actual_dcf")
        unit = "" if costs else "fraction"
        groups.setdefault(figures.marked_name(row["model"], row["origin"], 80), []).append([
            tables.name_cell(row["point"]),
            tables.cell(POINT_VALUES[row["metric"]], "Its value is", left=True),
            tables.cell(board.format_value(row["value"], unit), "Value", kind="am-value"),
            tables.cell(board.format_interval(row["low"], row["high"], unit), "95 % interval", kind="am-interval"),
            tables.cell(f"{row['threshold']:.4g}", "Threshold"),
            tables.cell(_share(row["miss_rate"], row["misses"], row["bona_fide"]), "Miss rate", kind="am-interval"),
            tables.cell(
                _share(row["false_alarm_rate"], row["false_alarms"], row["spoof"]), "False alarm rate",
                kind="am-interval",
            ),
        ])  # fmt: skip
    head = ["Operating point", "Its value is", "Value", "95 % interval", "Threshold", "Miss rate", "False alarm rate"]
    return tables.grouped_table(head, groups, CAPTION, left=("Operating point", "Its value is"))


def _share(rate: float, count: int, total: int) -> str:
    return f"{100 * rate:.1f} % ({count:,} of {total:,})"
