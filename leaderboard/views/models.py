"""One model: what it is, everything that was measured of it, what that took, and how it changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from audiometry.leaderboard import board, history, markup, model_markup, queries, suite_board
from audiometry.leaderboard.views import shared

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["show"]

ROWS = 25
"""Numbers on one page of the table."""

RUNS = 50
"""Runs listed, the newest."""

LEAD = "What a model is, everything that was measured of it, what that took, and how it changed."


def show() -> None:
    """Draw the page."""
    st.html(markup.heading("Models", LEAD))
    with shared.open_measured() as (store, state, _):
        names = suite_board.board_order(state, queries.model_names(state))
        find = shared.find_box("Find a model") if len(names) > ROWS else ""
        asked = st.query_params.get("model")
        left = [name for name in names if find.lower() in name.lower() or name == asked] or names
        model = shared.choose("Model", left, "model")
        latest = queries.model_results(store, model)
        past = queries.history(store, model)
        runs = list(dict.fromkeys(past["run"]))[-RUNS:]
        documents = queries.documents(store, runs)
    _card(model, latest, past, documents)
    _numbers(latest)
    _took(model, past[past["run"].isin(runs)], documents)
    digest = _history(past)
    link = {"model": model, "protocol": digest} | ({"find": find} if find else {}) | shared.turned()
    shared.share(latest, link, "model", model)


def _card(model: str, latest: pd.DataFrame, past: pd.DataFrame, documents: Mapping[str, Mapping[str, Any]]) -> None:
    newest = board.records(past.tail(1))[0]
    heads = latest.drop_duplicates("protocol")
    facts = {
        "tasks": f"{heads['task'].nunique():,}",
        "samples": f"{int(heads['n'].sum()):,}",
        "failed": f"{int(heads['failed'].sum()):,}",
        "empty": f"{int(heads['empty'].sum()):,}",
        "refused": f"{int(heads['refused'].sum()):,}",
        "unparsed": f"{int(heads['unparsed'].sum()):,}",
        "runs": f"{past['run'].nunique():,}",
        "versions": f"{past['model_fingerprint'].nunique():,}",
    }
    st.html(markup.tiles(facts))
    st.html(model_markup.card(model, newest, sorted(set(heads["origin"])), documents.get(newest["run"], {})))


def _numbers(latest: pd.DataFrame) -> None:
    st.html('<h2 class="am-label">Every metric, from the latest run of each task</h2>')
    turn, table = st.container(), st.empty()
    page = shared.paged(latest, ROWS, turn)
    table.html(model_markup.metrics_table(page))


def _took(model: str, past: pd.DataFrame, documents: Mapping[str, Mapping[str, Any]]) -> None:
    st.html('<h2 class="am-label">Runs: time, cost and energy</h2>')
    st.html(model_markup.runs_table(history.run_rows(past, documents, model)))


def _history(past: pd.DataFrame) -> str:
    """One task's headline in every run; gives the protocol that was chosen."""
    st.html('<h2 class="am-label">History</h2>')
    rows = history.headline_history(past)
    times = rows["protocol"].value_counts()
    names = {}
    for row in board.records(rows.drop_duplicates("protocol").sort_values("task", kind="stable")):
        conditions = board.describe_protocol(row["task_version"], row["task_settings"], row["task_samples"])
        names[row["protocol"]] = f"{row['task']} ({times[row['protocol']]} runs; {conditions})"
    order = sorted(names, key=lambda digest: (-int(times[digest]), names[digest]))
    digest = shared.choose("Of task", order, "protocol", show=names.__getitem__)
    part = rows[rows["protocol"] == digest]
    name, meaning = board.describe_metric(str(part["metric"].iloc[0]), str(part["direction"].iloc[0]))
    st.html(f'<p class="am-muted">{markup.word(meaning)}</p>')
    st.plotly_chart(
        history.history_figure(part, title=f"{name}, with 95 % intervals", dark=shared.is_dark()),
        width="stretch", theme=None, config={"displayModeBar": False}, key="history",
    )  # fmt: skip
    st.html(model_markup.history_table(part, name))
    return digest
