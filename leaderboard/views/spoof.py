"""Spoof detection attack by attack, the control that knows nothing of the voice always beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from audiometry.leaderboard import board, figures, markup, spoof_board, tables
from audiometry.leaderboard.protocols import protocols_with
from audiometry.leaderboard.views import boxes, shared

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["show"]

MOST = 6
"""Detectors drawn at once, the control among them."""

LEAD = "The equal error rate of each attack, so that one attack at chance is not lost in the mean. Lower is better."

EMPTY = """<div class="am-callout am-info" role="note"><p><b>There are no results of spoof detection yet.</b></p>
<p>Run a detector with the control beside: <code>audiometry run -m lfcc-gmm,shortcut -t spoof-embedded</code></p>
<p>Then load this page again.</p></div>"""

NO_CONTROL = (
    "The control “shortcut” was not run on these trials, so that nothing says how much of these numbers a leak of the "
    "corpus explains. Run it with -m shortcut."
)

CAPTION = (
    "Equal error rates with 95 % intervals; under each, how it lies to the control's. “Not told apart” means that the "
    "two intervals overlap; a paired comparison of the runs can tell more."
)

HOW = """
- **Mean over attacks** (macro) is the headline: each attack counts once, however many trials it has. **Worst attack**
  is the one that the detector sees least. **Pooled** takes all trials together, and one attack in ten at chance
  hardly shows in it.
- **Shortcut** is a control: boosted trees on features that know nothing of the voice. On a corpus without leaks it is
  at 50 %. What it gets below that, any detector may owe to the same leak of the corpus.
- **Equalisation** is what was made equal between bona fide and spoofed recordings: E0 next to nothing, E4 sampling
  rate, peak, silence, level, length, band, noise, coding and tone colour. Compare numbers of one level only.
- **Unseen attacks** are not those that the built-in detectors were trained on.
"""


def show() -> None:
    """Draw the page."""
    with shared.open_store() as store:
        top = st.container()
        only = protocols_with(store, spoof_board.SPOOF_METRICS)
        choice = shared.choose_results(store, metric=False, slice="all", only=only, empty=EMPTY)
        top.html(markup.heading("Spoofing", LEAD))
        if choice is None:
            return
        run = None if choice.run == shared.LATEST else choice.run
        numbers = store.results(protocol=choice.protocol, run=run, slice="all")
    corpus = spoof_board.describe_corpus(choice.task, numbers["task_settings"].iloc[0])
    st.html(f"<h2>{markup.word(corpus)}</h2>")
    st.html(f'<p class="am-muted">{markup.word(f"{shared.summary_of(choice.task)} {choice.conditions}.".strip())}</p>')
    shortcuts = spoof_board.spoof_models(numbers)[1][:1]
    if not shortcuts:
        st.html(markup.callout(NO_CONTROL))
    rows = board.ranking(choice.results)
    models = boxes.choose_models(rows, choice, st.container(), most=MOST, beside=shortcuts)
    if not models:
        st.html(markup.callout("Choose a model.", "am-info"))
        return
    folder = next(iter(rows[rows["model"] == models[0]]["folder"]))
    trials = spoof_board.trials_per_attack(folder, models[0], choice.task)
    summary = spoof_board.summary_rows(numbers, models)
    attacks = spoof_board.attack_rows(numbers, models, trials)
    st.html(markup.notes_html(spoof_board.notes_of_all(summary)))
    st.html(_summary_table(summary))
    _plot(attacks)
    st.html('<h2 class="am-label">Attack by attack</h2>')
    st.html(_attack_table(attacks, models, trials))
    with st.expander("How to read this"):
        st.markdown(HOW)
    shared.share(_frame(summary + attacks), choice.link | {"model": models}, "spoofing", choice.task)


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(spoof_board.ATTACK_COLUMNS))


def _label(model: str) -> str:
    return f"{model} (control)" if spoof_board.is_shortcut(model) else model


def _plot(attacks: Sequence[Mapping[str, Any]]) -> None:
    frame = _frame(attacks)
    if frame.empty:
        return
    frame["model"] = [_label(model) for model in frame["model"]]
    frame["n"] = frame["trials"].fillna(frame["n"]).astype(int)
    models = list(dict.fromkeys(frame["model"]))
    figure = figures.slice_figure(
        frame, models, title="EER, with 95 % intervals", dark=shared.is_dark()
    )  # fmt: skip
    figure.add_vline(x=50, line={"dash": "dot", "width": 2, "color": figures.ground(shared.is_dark())["ink"]},
                     annotation_text="chance", annotation_position="top")  # fmt: skip
    st.plotly_chart(figure, width="stretch", theme=None, config={"displayModeBar": False}, key="attacks")


def _number(row: Mapping[str, Any], name: str, small: str) -> str:
    value = board.format_value(row["value"], row["unit"])
    interval = board.format_interval(row["low"], row["high"], row["unit"])
    return tables.cell(f"{value} {interval}", name, small=small)


def _summary_table(summary: Sequence[Mapping[str, Any]]) -> str:
    """One line a model: macro, worst (with its attack), pooled; the control under its own line."""
    groups: dict[str, list[list[str]]] = {"": [], "Control: knows nothing of the voice": []}
    names = list(spoof_board.SUMMARY.values())
    shared_notes = spoof_board.notes_of_all(summary)
    for model in dict.fromkeys(row["model"] for row in summary):
        mine = {row["group"]: row for row in summary if row["model"] == model}
        cells = [tables.name_cell(model, origin=next(iter(mine.values()))["origin"])]
        for name in names:
            row = mine.get(name)
            if row is None:
                cells.append(tables.cell("–", name))
                continue
            small = ", ".join(part for part in (row["attack"], row["against_shortcut"]) if part)
            cells.append(_number(row, name, small))
        first = next(iter(mine.values()))
        cells += [tables.cell(f"{first['n']:,}", "trials"), tables.cell(f"{first['failed']:,}", "failed")]
        cells.append(tables.chips_cell([note for note in first["notes"] if note not in shared_notes]))
        groups[list(groups)[int(spoof_board.is_shortcut(model))]].append(cells)
    head = ["Model", *names, "trials", "failed", "Read with care"]
    return tables.grouped_table(head, groups, CAPTION, left=("Model", "Read with care"))


def _attack_table(attacks: Sequence[Mapping[str, Any]], models: Sequence[str], trials: Mapping[str, int]) -> str:
    rows = []
    origins = {row["model"]: row["origin"] for row in attacks}
    heads = {model: figures.marked_name(_label(model), origins.get(model, ""), 24) for model in models}
    order = sorted(models, key=lambda model: not spoof_board.is_shortcut(model))  # the control first, in sight
    for attack in dict.fromkeys(row["attack"] for row in attacks):
        mine = {row["model"]: row for row in attacks if row["attack"] == attack}
        count = f"{trials[attack]:,}" if attack in trials else "–"
        cells = [tables.name_cell(attack), tables.cell(count, "spoofed trials")]
        cells += [
            _number(mine[model], heads[model], mine[model]["against_shortcut"])
            if model in mine
            else tables.cell("–", heads[model])
            for model in order
        ]
        rows.append(cells)
    head = ["Attack", "spoofed trials", *(heads[model] for model in order)]
    return tables.table(head, rows, "", left=("Attack",))
