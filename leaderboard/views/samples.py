"""The third page: one sample at a time, with its sound, what was said and what was written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from audiometry.benchmark.audio import encode_wav
from audiometry.benchmark.errors import AudioError, DataError
from audiometry.leaderboard import alignment, board, evidence, figures, markup, spectrogram, tables
from audiometry.leaderboard.views import shared

if TYPE_CHECKING:
    import pandas as pd
    from streamlit.delta_generator import DeltaGenerator

    from audiometry.benchmark.types import Waveform

__all__ = ["show"]

ANY = "any"

UNCHANGED = "This is the recording before any change that the task makes to it (cutting, noise, equalisation)."

SELF_REPORTED = (
    "This run was reported by somebody else. Its sound is not opened: the files that it names are those of another "
    "machine."
)

LISTED = 1000
"""Samples offered at once."""


def show() -> None:
    """Draw the page."""
    st.html(markup.heading("Samples", "Hear what was said, and see what was written."))
    with shared.open_store() as store:
        choice = shared.choose_results(store, metric=False, slice="all")
        if choice is None:
            return
        rows = board.ranking(choice.results)
    boxes = st.columns([3, 2, 3, 2], vertical_alignment="bottom")
    model = shared.choose("Model", list(rows["model"]), "model", place=boxes[0])
    row = rows[rows["model"] == model].iloc[0]
    try:
        found = evidence.read_samples(row["folder"], model, choice.task)
    except DataError as error:
        st.html(markup.callout(str(error), "am-error"))
        return
    chosen = _filtered(found, boxes[1:])
    _summary(row, choice)
    link = choice.link | {"model": model}
    link |= {name: st.query_params[name] for name in ("status", "group", "order")}
    if chosen.empty:
        st.html(markup.callout("No sample is left: choose fewer filters.", "am-info"))
        shared.share(chosen, link, "samples", choice.task)
        return
    sample_id = _choose_sample(chosen)
    ours = choice.results[choice.results["model"] == model]["origin"].iloc[0] != "self-reported"
    _sample(chosen[chosen["sample_id"] == sample_id].iloc[0], found, ours=ours)
    with st.expander(f"All {len(chosen):,} samples of this choice"):
        st.dataframe(_listing(chosen.head(LISTED)), hide_index=True, width="stretch")
    shared.share(chosen.assign(created=row["created"]), link | {"sample": sample_id}, "samples", choice.task)


def _summary(row: pd.Series, choice: shared.Choice) -> None:
    unit = row["unit"]
    interval = board.format_interval(row["low"], row["high"], unit)
    facts = {
        choice.title: f"{board.format_value(row['value'], unit)} {interval}",
        "samples": f"{row['n']:,}",
        "failed": f"{row['failed']:,}",
        "empty": f"{row['empty']:,}",
        "speed (RTFx)": board.format_rtfx(row["rtfx"]),
    }
    reported = [figures.SELF_REPORTED] if figures.is_reported(row["origin"]) else []
    notes = [*reported, *(["a control, never ranked"] if row["place"] == "control" else []), *row["notes"]]
    st.html(markup.tiles(facts) + (f'<div style="margin-top:.5rem">{markup.notes_html(notes)}</div>' if notes else ""))


def _filtered(found: pd.DataFrame, places: Sequence[DeltaGenerator]) -> pd.DataFrame:
    """Let the reader filter and sort."""
    left, middle, right = places
    status = shared.choose("Status", [ANY, *sorted(found["status"].unique())], "status", place=left)
    groups = [f"{name}={value}" for name, values in evidence.slices_of(found).items() for value in values]
    group = shared.choose("Slice", [ANY, *groups], "group", place=middle)
    orders = evidence.sorts_of(found)
    order = shared.choose("Sort by", orders, "order", place=right)
    if status != ANY:
        found = found[found["status"] == status]
    if group != ANY:
        name, _, value = group.partition("=")
        found = found[found[f"slice.{name}"] == value]
    return evidence.sort_samples(found, order)


def _choose_sample(samples: pd.DataFrame) -> str:
    ids = list(samples["sample_id"].head(LISTED))
    asked = st.query_params.get("sample")
    if asked not in ids and asked in set(samples["sample_id"]):
        ids.append(asked)
    errors = dict(zip(samples["sample_id"], samples["errors"], strict=True)) if "errors" in samples else {}

    def step(by: int) -> None:
        place = ids.index(st.session_state["sample"]) if st.session_state.get("sample") in ids else 0
        st.session_state["sample"] = ids[(place + by) % len(ids)]

    def show_id(name: str) -> str:
        return f"{name}   (errors: {errors[name]:.0f})" if name in errors else name

    box, back, forth = st.columns([6, 1, 1], vertical_alignment="bottom")
    listed = f", the first {LISTED} listed" if len(samples) > LISTED else ""
    chosen = shared.choose(
        f"Sample ({len(samples):,} of this choice{listed})",
        ids, "sample", place=box, show=show_id,
    )  # fmt: skip
    back.button("Previous", on_click=step, args=(-1,), width="stretch", icon=":material/arrow_back:")
    forth.button("Next", on_click=step, args=(1,), width="stretch", icon=":material/arrow_forward:")
    return chosen


def _sample(sample: pd.Series, samples: pd.DataFrame, *, ours: bool) -> None:
    """One sample: sound, alignment, texts and counts. The sound of a run that is not `ours` is not opened."""
    if ours:
        _sound(evidence.waveform_of, sample, "sound")
        _sound(evidence.answer_of, sample, "answer")
    else:
        st.html(markup.callout(SELF_REPORTED, "am-info"))
    if sample["status"] != "ok":
        said = f": {sample['error']}" if isinstance(sample["error"], str) else ""
        st.html(markup.callout(f"Status {sample['status']}{said}"))
    details = {name.removeprefix("detail."): sample[name] for name in sample.index if str(name).startswith("detail.")}
    details = {name: text for name, text in details.items() if isinstance(text, str)}
    if {"reference_normalised", "hypothesis_normalised"} <= set(details):
        st.html('<h2 class="am-label">Reference over hypothesis, normalised as they were scored</h2>')
        st.html(alignment.alignment_html(details["reference_normalised"], details["hypothesis_normalised"]))
        st.html(alignment.legend_html())
    trial = evidence.trial_facts(sample, samples)
    if trial:
        st.html('<h2 class="am-label">Trial</h2>' + markup.tiles(trial))
    else:
        _texts(details, sample)
    counts = {name: f"{count:g}" for name, count in evidence.counts_of(sample).items()}
    groups = {str(n).removeprefix("slice."): str(sample[n]) for n in sample.index if str(n).startswith("slice.")}
    seconds = {"seconds of sound": sample["audio_seconds"], "seconds of work": sample.get("total_seconds")}
    known = {name: f"{value:.2f}" for name, value in seconds.items() if value is not None and not math.isnan(value)}
    left, right = st.columns(2)
    left.html('<h2 class="am-label">Counts</h2>' + markup.tiles(counts))
    right.html('<h2 class="am-label">Sample</h2>' + markup.tiles({**groups, **known}))


def _sound(read: Callable[[pd.Series], Waveform | None], sample: pd.Series, name: str) -> None:
    """Play the sample's sound, or the `answer` that the model made, and show its spectrogram in three ways."""
    try:
        waveform = read(sample)
    except AudioError as error:
        st.html(markup.callout(f"This {name} cannot be played: {error}", "am-error"))
        return
    if waveform is None:
        if name == "sound":
            st.html(markup.callout("This sample has no sound.", "am-info"))
        return
    if name == "answer":
        st.html('<h2 class="am-label">The model\'s answer</h2>')
    st.audio(encode_wav(waveform), format="audio/wav")
    found = spectrogram.spectrogram(waveform)
    st.plotly_chart(
        spectrogram.spectrogram_figure(found, dark=shared.is_dark()),
        width="stretch", theme=None, config={"displayModeBar": False}, key=f"spectrogram:{name}",
    )  # fmt: skip
    said = spectrogram.describe(found) + (" " + UNCHANGED if name == "sound" else "")
    st.html(f'<p class="am-muted">{markup.word(said)}</p>')
    with st.expander("The spectrogram in numbers"):
        st.html(tables.spectrogram_table(spectrogram.parts(found)))


def _texts(details: Mapping[str, str], sample: pd.Series) -> None:
    """Raw texts before normalised ones, in two columns; the answer alone where the task kept no texts."""
    shown = dict(details)
    if not shown and isinstance(sample["text"], str):
        shown["answer"] = sample["text"]
    if isinstance(sample["score"], float) and not math.isnan(sample["score"]):
        shown["score"] = f"{sample['score']:.6g}"
    names = sorted(shown, key=lambda name: (name.endswith("_normalised"), name.startswith("hypothesis"), name))
    columns = st.columns(2)
    for place, name in enumerate(names):
        title = name.replace("_normalised", ", normalised") if name.endswith("_normalised") else f"{name}, as it is"
        columns[place % 2].html(
            f'<span class="am-label">{markup.word(title)}</span><div class="am-text">{markup.word(shown[name])}</div>'
        )


def _listing(samples: pd.DataFrame) -> pd.DataFrame:
    wanted = ("sample_id", "status", "errors", "error_rate", "score", "audio_seconds", "detail.reference", "text")
    return samples[[name for name in wanted if name in samples and samples[name].notna().any()]]
