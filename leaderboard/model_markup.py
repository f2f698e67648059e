"""The page of one model as HTML: its card, its metrics, its runs and its history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.registry import MODELS
from audiometry.leaderboard.board import describe_metric, format_interval, format_rtfx, format_value, records
from audiometry.leaderboard.marks import mark_cell
from audiometry.leaderboard.markup import origin_html, word
from audiometry.leaderboard.tables import cell, chips_cell, name_cell, table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["card", "history_table", "metrics_table", "runs_table"]


def card(model: str, newest: Mapping[str, Any], origins: Sequence[str], document: Mapping[str, Any]) -> str:
    """What is known of a model: `newest` is its newest row of results, `document` that run's run.json."""
    facts: Mapping[str, Any] = next((one for one in document.get("models", ()) if one["name"] == model), {})
    known = {
        "Name": word(model),
        "What it is": word(_summary(model)),
        "Origin of its numbers": origin_html("; ".join(origins)),
        "Settings": word(json.dumps(facts.get("settings") or {}, sort_keys=True, ensure_ascii=False)),
        "Fingerprint": f"<code>{word(str(newest['model_fingerprint']))}</code>",
        "Answers alike each time": word(_yes(facts.get("deterministic"))),
        "Control": word("yes: never ranked") if newest["control"] else word("no"),
        "Newest run": word(f"{newest['run']}, {newest['created']:%Y-%m-%d %H:%M} UTC, {newest['run_status']}"),
        "Machine": word(_machine(document.get("hardware") or {})),
    }
    rows = [
        [f'<th scope="row" class="am-left am-name">{name}</th>', mark_cell(text or "–", "", left=True, kind="am-wide")]
        for name, text in known.items()
        if text
    ]
    return table(("Card", ""), rows, "The fingerprint is a hash of weights, code and settings.", left=("Card",))


def _summary(model: str) -> str:
    try:
        return MODELS.get(model.partition(":")[0]).summary
    except UserError:
        return "not installed here"


def _yes(value: object) -> str:
    return "not known" if value is None else "yes" if value else "no"


def _machine(hardware: Mapping[str, Any]) -> str:
    shown = [str(hardware[name]) for name in ("processor", "system") if hardware.get(name)]
    if hardware.get("threads"):
        shown.insert(1, f"{hardware['threads']} threads")
    gpus = hardware.get("gpus") or []
    return ", ".join([*shown, *(str(one.get("name", one)) if isinstance(one, dict) else str(one) for one in gpus)])


def metrics_table(page: pd.DataFrame) -> str:
    """Rows of `Store.results` as a table, the task named once."""
    rows = []
    before = None
    for row in records(page):
        title = describe_metric(row["metric"], row["direction"])[0]
        again = before == (row["task"], row["protocol"])
        before = (row["task"], row["protocol"])
        value = cell(format_value(row["value"], row["unit"]), "", kind="am-value")
        counts = [cell(f"{row[name]:,}", name.capitalize()) for name in ("n", "failed", "empty")]
        others = [f"{row[name]:,} {name}" for name in ("refused", "unparsed") if row[name]]
        judged = [f"judged by {judge}" for judge in row["judges"]]
        status = [] if row["run_status"] == "complete" else [f"the run ended as {row['run_status']}"]
        rows.append([
            name_cell(row["task"], note="" if again else f"version {row['task_version']}, {row['origin']}"),
            cell(f"{title} {'↓' if row['direction'] == 'lower' else '↑'}", "", left=True),
            value, cell(format_interval(row["low"], row["high"], row["unit"]), "", kind="am-interval"), *counts,
            cell("" if again else format_rtfx(row["rtfx"]), "Speed", kind="am-none" if again else "am-interval"),
            chips_cell([*status, *others, *row["notes"], *judged]),
        ])  # fmt: skip
    head = ("Task", "Metric", "Value", "95 % interval", "n", "Failed", "Empty", "Speed", "Read with care")
    caption = "↓ lower is better, ↑ higher is better. Failed samples count in n and in the number."
    return table(head, rows, caption, left=("Task", "Metric", "Read with care"))


def runs_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`history.run_rows` as a table."""
    body = []
    for row in rows:
        shared = f"{row['models']} models" if row["models"] > 1 and row["kwh"] is not None else ""
        usage = row["usage"]
        tokens = sum(amount for name, amount in usage.items() if name.endswith("_tokens"))
        energy, carbon = row["kwh"], row["grams_co2e"]
        body.append([
            name_cell(row["run"], note=f"{row['created']:%Y-%m-%d %H:%M} UTC"),
            cell(row["version"], "Version"), cell(row["run_status"], "", left=True),
            mark_cell(origin_html(row["origin"]), "", left=True), cell(f"{row['tasks']:,}", "Tasks"),
            cell(f"{row['n']:,}", "Samples"), cell(f"{row['failed']:,}", "Failed"),
            cell("–" if row["seconds"] is None else f"{row['seconds']:,.0f} s", "Work"),
            cell(format_rtfx(row["rtfx"]), "Speed", kind="am-interval"),
            cell(f"{usage['cost']:.4g}" if "cost" in usage else "–", "Cost"),
            cell(f"{tokens:,.0f}" if tokens else "–", "Tokens"),
            cell("–" if energy is None else f"{1000 * energy:.3g} Wh", "Energy", small=shared),
            cell("–" if carbon is None else f"{carbon:.2g} g", "CO2e"),
        ])  # fmt: skip
    head = ("Run", "Version", "Status", "Origin", "Tasks", "Samples", "Failed", "Work", "Speed", "Cost", "Tokens",
            "Energy", "CO2e")  # fmt: skip
    caption = (
        "Work is the time that this model's answers took (those from the cache, when they were made); speed is sound "
        "by work. Cost is by the provider's prices, in its currency. Energy and CO2e are of the run with all its "
        "models."
    )
    return table(head, body, caption, left=("Run", "Status", "Origin"))


def history_table(rows: pd.DataFrame, metric: str) -> str:
    """`history.headline_history` of one protocol as a table, newest first."""
    body = [
        [
            name_cell(row["run"], note=f"{row['created']:%Y-%m-%d %H:%M} UTC"),
            cell(row["version"], "Version", small=str(row["model_fingerprint"])[:12]),
            cell(format_value(row["value"], row["unit"]), metric, kind="am-value"),
            cell(format_interval(row["low"], row["high"], row["unit"]), "", kind="am-interval"),
            cell(f"{row['n']:,}", "n"), cell(f"{row['failed']:,}", "Failed"),
            mark_cell(origin_html(row["origin"]), "", left=True), cell(row["run_status"], "", left=True),
        ]
        for row in reversed(records(rows))
    ]  # fmt: skip
    head = ("Run", "Version", metric, "95 % interval", "n", "Failed", "Origin", "Status")
    return table(head, body, "A version is a fingerprint; the oldest is v1.", left=("Run", "Origin", "Status"))
