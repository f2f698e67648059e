"""Two models side by side: how they differ, how surely, where, and on which samples most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from audiometry.benchmark.errors import AudioError, UserError
from audiometry.leaderboard import board, compare_markup, comparison, evidence, figures, markup, queries, suite_board
from audiometry.leaderboard.views import shared

if TYPE_CHECKING:
    import pandas as pd

    from audiometry.benchmark.compare import Changed

    Document = Mapping[str, Any]

__all__ = ["show"]

LEAD = "How two models differ, how surely, where, and on which samples most."

HOW = """
- **Difference** is B's value minus A's on the same samples, with the 95 % interval of a paired bootstrap: what makes a
  sample hard for both does not blur it.
- **p** is of a paired test; on slices it is adjusted over them (Holm), so that of many slices none stands out by chance
  alone. The verdict says how B stands to A.
- Models are compared in pairs only where both runs kept their samples, of the same task version, settings and samples.
"""


def show() -> None:
    """Draw the page."""
    st.html(markup.heading("Compare", LEAD))
    with shared.open_measured() as (store, state, _):
        names = suite_board.board_order(state, queries.model_names(state))
        if len(names) < 2:
            st.html(markup.callout("There is only one model here: run another, then load this page again.", "am-info"))
            return
        left, right = st.columns(2)
        a = shared.choose("Model A", names, "a", place=left)
        b = shared.choose("Model B", [name for name in names if name != a], "b", place=right)
        both = comparison.side_by_side(queries.model_results(store, a), queries.model_results(store, b))
        if both.empty:
            st.html(markup.callout("No task was measured on both of these models in the same way.", "am-info"))
            shared.share(both, {"a": a, "b": b}, "compare", f"{a} and {b}")
            return
        st.html(f'<p class="am-muted">A is {markup.word(a)}, B is {markup.word(b)}.</p>')
        st.html(compare_markup.tasks_table(both))
        digest = _choose_task(both)
        row = both[both["protocol"] == digest].iloc[0]
        documents = queries.documents(store, [row["run_a"], row["run_b"]])
    link = {"a": a, "b": b, "protocol": digest}
    sides = (documents[row["run_a"]], documents[row["run_b"]])
    try:
        subjects = [comparison.subject_of(side, name, row["task"]) for side, name in zip(sides, (a, b), strict=True)]
        with st.spinner("Comparing sample by sample"):
            lines, changed = comparison.paired(*subjects)
    except UserError as error:
        st.html(markup.callout(f"No paired comparison: {error}"))
        shared.share(both, link, "compare", f"{a} and {b}")
        return
    rows = comparison.line_rows(lines)
    origins = {f"origin_{side}": str(row[f"origin_{side}"]) for side in "ab"}
    named = [figures.marked_name(name, origin) for name, origin in zip((a, b), origins.values(), strict=True)]
    st.html(compare_markup.verdict(board.records(rows)[0], *named))
    st.html(compare_markup.lines_table(rows, **origins))
    sample = _samples(row, (a, b), changed, sides)
    with st.expander("How to read this"):
        st.markdown(HOW)
    shared.share(
        rows.assign(task=row["task"], **origins),
        link | ({"sample": sample} if sample else {}),
        "compare",
        f"{a} and {b}",
    )


def _choose_task(both: pd.DataFrame) -> str:
    times = both["task"].value_counts()

    def told(digest: str) -> str:
        row = both[both["protocol"] == digest].iloc[0]
        return str(row["task"]) if times[row["task"]] == 1 else f"{row['task']} ({row['n']:,} samples, {digest[:6]})"

    return shared.choose("Task, sample by sample", list(both["protocol"]), "protocol", show=told)


def _samples(
    row: pd.Series, models: tuple[str, str], changed: tuple[Changed, ...], sides: tuple[Document, Document]
) -> str:
    """The samples that differ most, and one of them from both sides; gives its name back."""
    st.html('<h2 class="am-label">Samples that differ most</h2>')
    try:
        found = [
            evidence.read_samples(str(side["folder"]), model, row["task"])
            for side, model in zip(sides, models, strict=True)
        ]
    except UserError as error:
        st.html(markup.callout(str(error), "am-error"))
        return ""
    change = {one.sample_id: one.change for one in changed or comparison.most_different(found[0], found[1])}
    if not change:
        st.html(markup.callout("No sample alone tells the two apart.", "am-info"))
        return ""
    chosen = shared.choose("Sample", list(change), "sample", show=lambda name: f"{name}   ({change[name]:+.3g} for B)")
    columns = st.columns(2)
    for place, (column, model, samples) in enumerate(zip(columns, models, found, strict=True)):
        with column:
            st.html(f'<h2 class="am-label">{"AB"[place]}: {markup.word(model)}</h2>')
            sample: Any = samples[samples["sample_id"] == chosen].iloc[0]
            if sides[place]["origin"] == "self-reported":
                st.html(markup.callout("The sound of a self-reported run is not opened.", "am-info"))
            else:
                _play(sample)
            st.html(compare_markup.answer(sample))
    return chosen


def _play(sample: pd.Series) -> None:
    """The sound that the model was given, and the one that it made."""
    from audiometry.benchmark.audio import encode_wav

    for read, name in ((evidence.waveform_of, "Given"), (evidence.answer_of, "Made")):
        try:
            sound = read(sample)
        except AudioError as error:
            st.html(markup.callout(f"This sound cannot be played: {error}", "am-error"))
            continue
        if sound is not None:
            st.html(f'<span class="am-label">{name}</span>')
            st.audio(encode_wav(sound), format="audio/wav")
