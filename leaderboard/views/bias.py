"""Who fares worse: a model's gap between groups for every slice, with n, intervals and corrected tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from audiometry.benchmark.errors import UserError
from audiometry.leaderboard import bias_board, board, figures, markup, queries, tables
from audiometry.leaderboard.views import shared

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["show"]

LEAD = "Whom a model understands worse: every group with its number of samples, the gap between the worst and the best."

CAPTION = (
    "The gap is the worst group's value less the best's. Its interval allows for having picked them; p is by permuting "
    "the groups' names, and corrected over all slices by Holm's method. Groups of under 20 samples are not compared."
)

HOW = """
- **Gap** and **ratio** have 95 % intervals that allow for having picked the worst and the best of several groups: the
  largest of several differences is large by chance alone.
- **p** is the share of 2,000 permutations of the groups' names with a gap as large. **Corrected** is after Holm's
  method over all slices of the task: of pages without any true difference, at most one in twenty shows one.
- **No difference shown** is not “no difference”: look at the interval for how large a gap the samples leave possible.
- Groups differ in more than their name: other speakers, other sentences. A gap says that they fare unequally, not why.
- The same numbers on the command line: `audiometry gaps RUN`.
"""


def show() -> None:
    """Draw the page."""
    with shared.open_store() as store:
        st.html(markup.heading("Bias", LEAD))
        choice = shared.choose_results(store, metric=False, slice="all")
        if choice is None:
            return
        run = None if choice.run == shared.LATEST else choice.run
        metric = bias_board.base_metric(queries.metrics_of_protocol(store, choice.protocol, run))
        numbers = store.results(protocol=choice.protocol, run=run, metric=metric)
    rows = board.ranking(numbers[numbers["slice"] == "all"])
    dimensions = board.slice_dimensions(numbers)
    if not dimensions:
        st.html(markup.callout("This task has no slices.", "am-info"))
        return
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    model = shared.choose("Model", list(rows["model"]), "model", place=left)
    row = rows[rows["model"] == model].iloc[0]
    title, meaning = board.describe_metric(metric, row["direction"])
    told = markup.word(f"{title}. {meaning} {choice.conditions}.") + markup.reported_html(row["origin"])
    st.html(f'<p class="am-muted">{told}</p>')
    gaps = _gaps(row, model, choice.task)
    if gaps:
        st.html(_gap_table(gaps, row["unit"], title, metric))
        st.plotly_chart(
            bias_board.gap_figure(
                gaps, row["unit"], title=f"Gap in {title}, worst less best group", dark=shared.is_dark()
            ),
            width="stretch", theme=None, config={"displayModeBar": False}, key="gaps",
        )  # fmt: skip
    worst = min(gaps, key=lambda gap: gap["p_adjusted"])["by"] if gaps else dimensions[0]
    ordered = sorted(dimensions, key=lambda name: name != worst)
    dimension = shared.choose("Groups of", ordered, "slice", place=right)
    groups = bias_board.group_rows(numbers, dimension, model)
    st.html(f'<h2 class="am-label">Groups of {markup.word(dimension)}, worst first</h2>')
    st.plotly_chart(
        figures.slice_figure(groups, [model], title=f"{title}, with 95 % intervals", dark=shared.is_dark()),
        width="stretch", theme=None, config={"displayModeBar": False}, key="groups",
    )  # fmt: skip
    st.html(markup.slice_table(groups, dimension, title))
    with st.expander("How to read this"):
        st.markdown(HOW)
    link = choice.link | {"model": model, "slice": dimension}
    shared.share(_frame(gaps, groups, dimension, row["origin"]), link, "bias", choice.task)


def _gaps(row: pd.Series, model: str, task: str) -> list[dict[str, Any]]:
    """The gaps of a model; a note that says why there are none."""
    try:
        return _computed(row["run"], row["folder"], model, task)
    except UserError as error:
        st.html(markup.callout(f"Gaps and tests cannot be shown: {error}"))
        return []


@st.cache_data(show_spinner="Resampling and permuting the groups …", max_entries=256)
def _computed(run: str, folder: str, model: str, task: str) -> list[dict[str, Any]]:  # noqa: ARG001
    """The gaps, kept by the run's id: the same run gives the same numbers."""
    return bias_board.find_gaps(folder, model, task)


def _gap_table(gaps: Sequence[Mapping[str, Any]], unit: str, title: str, metric: str) -> str:
    rows = []
    for gap in gaps:
        notes = [*([] if gap["metric"] == metric else [f"by {gap['metric']}"]), *gap["notes"]]
        if gap["suppressed"]:
            notes.append(f"too few samples: {', '.join(gap['suppressed'])}")
        rows.append([
            tables.name_cell(gap["by"], note=f"{gap['groups']} groups"),
            tables.cell(gap["worst"], "worst", left=True),
            tables.cell(gap["best"], "best", left=True),
            tables.cell(board.format_value(gap["gap"], unit), "gap", kind="am-value"),
            tables.cell(board.format_interval(gap["low"], gap["high"], unit), "95 % interval", kind="am-interval"),
            tables.cell(_ratio(gap), "ratio", kind="am-interval"),
            tables.cell(_p(gap["p"]), "p", kind="am-interval"),
            tables.cell(_p(gap["p_adjusted"]), "p, corrected", kind="am-interval"),
            tables.cell(bias_board.says(gap), "says", left=True),
            tables.chips_cell(notes),
        ])  # fmt: skip
    head = ["Slice", "Worst group", "Best group", f"Gap in {title}", "95 % interval", "Ratio", "p", "p, corrected",
            "The test says", "Read with care"]  # fmt: skip
    left = ("Slice", "Worst group", "Best group", "The test says", "Read with care")
    return tables.table(head, rows, CAPTION, left=left)


def _ratio(gap: Mapping[str, Any]) -> str:
    if gap["ratio"] is None:
        return "–"
    return f"{gap['ratio']:.2f} × [{gap['ratio_low']:.2f}, {gap['ratio_high']:.2f}]"


def _p(value: float) -> str:
    """A p-value as people read it.

    >>> _p(0.0004), _p(0.0312)
    ('< 0.001', '0.031')
    """
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _frame(gaps: Sequence[Mapping[str, Any]], groups: pd.DataFrame, dimension: str, origin: str) -> pd.DataFrame:
    """What is downloaded: a row for each slice's gap, then a row for each group of the slice that is shown."""
    import pandas as pd

    columns = ["group", "model", "metric", "value", "low", "high", "unit", "n", "failed", "notes", "origin", "run",
               "created"]  # fmt: skip
    shown = groups[columns]
    found = pd.DataFrame([{"row": "gap", **gap, "origin": origin} for gap in gaps])
    both = [found, shown.assign(row="group", by=dimension)]
    return pd.concat([part for part in both if len(part)], ignore_index=True)
