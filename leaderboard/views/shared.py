"""What every page does alike: open the store, let people choose, and offer the link and the downloads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

import streamlit as st

from audiometry.benchmark import paths
from audiometry.benchmark.errors import StoreError, UserError
from audiometry.benchmark.registry import TASKS
from audiometry.benchmark.store import Store
from audiometry.leaderboard import board, export, markup, queries

if TYPE_CHECKING:
    import pandas as pd
    from streamlit.delta_generator import DeltaGenerator

__all__ = [
    "Choice",
    "Measured",
    "choose",
    "choose_results",
    "find_box",
    "is_dark",
    "open_measured",
    "open_store",
    "paged",
    "share",
    "summary_of",
    "switch",
    "turned",
]

LATEST = "latest"

PATHS = ("folder", "audio")
"""Columns that are never given away: where things are on this machine."""

EMPTY = """<div class="am-callout am-info" role="note"><p><b>There are no results yet.</b></p>
<p>Type <code>make demo</code> to rank the built-in models on real speech, or run one of your own:</p>
<p><code>audiometry run -m whisper,pocketsphinx -t wer-asterisk-en</code></p>
<p>Then load this page again.</p></div>"""


class Measured(NamedTuple):
    """An open store with something in it."""

    store: Store
    state: queries.State
    protocols: pd.DataFrame


@dataclass(frozen=True)
class Choice:
    """What the reader looks at: one metric of one task under one protocol, from the latest runs or one run."""

    task: str
    protocol: str
    metric: str
    run: str
    title: str
    """The metric's short name."""
    meaning: str
    """One line: what it measures and which way is better."""
    conditions: str
    """One line: samples, version and settings."""
    results: pd.DataFrame
    """Every slice of the metric."""

    @property
    def link(self) -> dict[str, str | list[str]]:
        """What a permanent link to this choice carries."""
        return {"task": self.task, "protocol": self.protocol, "metric": self.metric, "run": self.run}


@contextmanager
def open_store() -> Iterator[Store]:
    """The results store; a page that says why where it cannot be opened, and what to type where it is empty."""
    try:
        with Store.open() as store:
            yield store
    except StoreError as error:
        st.html(markup.heading("Leaderboard", "The results cannot be read."))
        st.html(markup.callout(str(error), "am-error"))
        st.stop()


def state_of(store: Store) -> queries.State:
    """What the store holds now, as the key under which slow queries are kept."""
    return queries.state_of(store, paths.store_url())


@contextmanager
def open_measured() -> Iterator[Measured]:
    """The results store, its state and its protocols; a page that says what to type, and ends, where it is empty."""
    with open_store() as store:
        state = state_of(store)
        protocols = queries.protocols(state)
        if protocols.empty:
            st.html(EMPTY)
            st.stop()
        yield Measured(store, state, protocols)


def choose(
    label: str,
    options: Sequence[str],
    name: str,
    *,
    show: Callable[[str], str] = str,
    place: DeltaGenerator | None = None,
    help: str | None = None,
    draw: bool = True,
) -> str:
    """A select box that is kept in the address as `name`, and remembered from page to page.

    Without `draw` there is no box, and the address alone chooses. An address that names something that is not there
    gets the first option, and a note that says so.
    """
    asked, kept = st.query_params.get(name), st.session_state.get(f"kept:{name}")
    if asked in options and asked != kept:  # a link, or the browser's Back button
        st.session_state[name] = asked
    elif st.session_state.get(name) not in options:
        st.session_state[name] = kept if kept in options else options[0]
        if asked is not None and asked not in (*options, kept):
            st.html(markup.callout(f"The link asks for {name} “{asked[:200]}”, which is not here."))
    chosen: str = st.session_state[name]
    if draw:
        chosen = (place or st).selectbox(label, options, key=name, format_func=show, help=help)
    st.session_state[f"kept:{name}"] = st.query_params[name] = chosen
    return chosen


def choose_results(
    store: Store,
    *,
    metric: bool = True,
    slice: str | None = None,
    only: Collection[str] | None = None,
    empty: str = EMPTY,
) -> Choice | None:
    """Let the reader choose a task, a metric, and where there are several, the protocol and the run.

    None, with a page that says what to type (`empty`), where the store has nothing to choose. Without `metric` the
    headline is taken; with `slice`, the results are of that one alone; with `only`, protocols by their digests, other
    ones are not offered.
    """
    protocols = queries.protocols(state_of(store))
    if only is not None:
        protocols = protocols[protocols["protocol"].isin(only)]
    if protocols.empty:
        st.html(empty)
        return None
    row = st.container(horizontal=True, vertical_alignment="bottom")
    task = choose("Task", sorted(set(protocols["task"])), "task", place=row)
    metric_box = row.container(width="stretch") if metric else None
    rows = protocols[protocols["task"] == task].set_index("protocol")
    conditions = {
        str(digest): board.describe_protocol(row["version"], row["settings"], row["samples"], limited=row["limited"])
        for digest, row in rows.iterrows()
    }
    protocol = choose(
        "Measured on", list(conditions), "protocol", show=conditions.__getitem__, place=row, draw=len(conditions) > 1,
        help="Numbers are compared only where version, settings and samples are the same.",
    )  # fmt: skip
    ids = list(store.runs(protocol=protocol)["id"])
    runs = [LATEST, *ids]
    names = {LATEST: "latest of each model"}
    run = choose("Runs", runs, "run", show=lambda run: names.get(run, run), place=row, draw=len(ids) > 1)
    of_run = None if run == LATEST else run
    metrics = queries.metrics_of_protocol(store, protocol, of_run)
    chosen = choose("Metric", metrics, "metric", show=_metric_name, place=metric_box) if metric_box else metrics[0]
    results = store.results(protocol=protocol, run=of_run, metric=chosen, slice=slice)
    title, meaning = board.describe_metric(chosen, results["direction"].iloc[0])
    return Choice(task, protocol, chosen, run, title, meaning, conditions[protocol], results)


def find_box(label: str, place: DeltaGenerator | None = None) -> str:
    """A box for a part of a name, kept in the address as ``find``."""
    asked, kept = st.query_params.get("find", ""), st.session_state.get("kept:find", "")
    if asked != kept:  # a link, or the browser's Back button
        st.session_state["find"] = asked
    text: str = (place or st).text_input(label, key="find", placeholder="a part of its name").strip()
    st.session_state["kept:find"] = text
    if text:
        st.query_params["find"] = text
    elif "find" in st.query_params:
        del st.query_params["find"]
    return text


def paged(rows: pd.DataFrame, size: int, place: DeltaGenerator | None = None) -> pd.DataFrame:
    """The page of `rows` that the address names (``page``, from 1), and a box to turn pages where there are several."""
    pages = max(1, -(-len(rows) // size))
    names = [str(number) for number in range(1, pages + 1)]

    def show(name: str) -> str:
        first = (int(name) - 1) * size + 1
        return f"{first:,} to {min(len(rows), first + size - 1):,} of {len(rows):,}"

    page = int(choose("Rows", names, "page", show=show, place=place, draw=pages > 1))
    return rows.iloc[(page - 1) * size : page * size]


def turned() -> dict[str, str]:
    """What a link carries of the page that the reader turned to: nothing for the first."""
    page = st.query_params.get("page", "1")
    return {} if page == "1" else {"page": page}


def switch(label: str, name: str) -> bool:
    """A switch, off unless the address holds `name`."""
    asked, kept = name in st.query_params, st.session_state.get(f"kept:{name}", False)
    if asked != kept:  # a link, or the browser's Back button
        st.session_state[name] = asked
    on = st.toggle(label, key=name)
    st.session_state[f"kept:{name}"] = on
    if on:
        st.query_params[name] = "on"
    elif name in st.query_params:
        del st.query_params[name]
    return on


def share(frame: pd.DataFrame, link: Mapping[str, str | list[str]], name: str, task: str) -> None:
    """The permanent link to this view, how to cite it, and its rows to download, without paths of this machine."""
    frame = frame.drop(columns=list(PATHS), errors="ignore")
    st.html('<h2 class="am-label">Permanent link to this view</h2>')
    base = (st.context.url or "").split("?")[0]
    address = f"{base}?{urlencode(link, doseq=True)}"
    st.code(address, language=None, wrap_lines=True)
    st.html(markup.citation(name, task, frame["created"].max() if "created" in frame else None, address))
    with st.container(horizontal=True):
        for label, (convert, suffix, kind) in export.FORMATS.items():
            st.download_button(
                f"Download {label}", partial(convert, frame), file_name=export.file_name(name, task, suffix=suffix),
                mime=kind, on_click="ignore", key=f"download:{label}", icon=":material/download:",
            )  # fmt: skip


def summary_of(task: str) -> str:
    """What a registered task says of itself; nothing where it, or any plug-in, is not rightly installed here."""
    try:
        return TASKS.get(task).summary
    except UserError:
        return ""


def is_dark() -> bool:
    """Whether the reader's page is dark."""
    return st.context.theme.type == "dark"


def _metric_name(metric: str) -> str:
    return board.describe_metric(metric, "lower")[0]
