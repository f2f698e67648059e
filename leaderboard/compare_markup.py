"""The page of two models as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audiometry.leaderboard import alignment
from audiometry.leaderboard.board import describe_metric, format_interval, format_value, records
from audiometry.leaderboard.figures import SELF_REPORTED, is_reported, marked_name
from audiometry.leaderboard.marks import mark_cell, span_html
from audiometry.leaderboard.markup import callout, tiles, word
from audiometry.leaderboard.tables import cell, name_cell, table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["answer", "lines_table", "tasks_table", "verdict"]

COUNTS_SHOWN = 8


def tasks_table(both: pd.DataFrame) -> str:
    """`comparison.side_by_side` as a table."""
    rows = []
    for row in records(both):
        sides = []
        for side in "ab":
            value = format_value(row[f"value_{side}"], row["unit"])
            interval = format_interval(row[f"low_{side}"], row[f"high_{side}"], row["unit"])
            mark = SELF_REPORTED if is_reported(row[f"origin_{side}"]) else ""
            sides.append(cell(f"{value} {interval}", side.upper(), kind="am-interval", small=mark))
        way = "↓" if row["direction"] == "lower" else "↑"
        told = {"A": "A is better", "B": "B is better", "": "intervals meet"}[row["told"]]
        title = describe_metric(row["metric"], "")[0]
        rows.append([name_cell(row["task"]), cell(f"{title} {way}", "", left=True), *sides,
                     cell(f"{row['n']:,}", "n"), cell(told, "", left=True)])  # fmt: skip
    caption = (
        "Headline of every task that both were measured on, from the latest run of each. ↓ lower is better, ↑ higher "
        "is better. Where intervals meet, the paired comparison below may still tell the two apart."
    )
    return table(
        ("Task", "Metric", "A", "B", "n", "By intervals"), rows, caption, left=("Task", "Metric", "By intervals")
    )


def verdict(line: Mapping[str, Any], a: str, b: str) -> str:
    """What the paired comparison over all samples says, in one sentence."""
    title = describe_metric(line["metric"], "")[0]
    unit = line["unit"]
    points = "percentage points" if unit == "fraction" else unit
    scale = 100.0 if unit == "fraction" else 1.0
    difference = f"{scale * line['difference']:+.3g} {points}".strip()
    interval = format_interval(line["low"], line["high"], unit)
    said = {
        "better": f"B ({b}) is better than A ({a})",
        "worse": f"B ({b}) is worse than A ({a})",
        "practically equal": f"B ({b}) is practically equal to A ({a})",
    }.get(str(line["verdict"]), f"These samples do not tell which of A ({a}) and B ({b}) is better")
    told = f"{said}: {title} differs by {difference} {interval}, n = {line['n']:,}, p = {line['p']:.3g}."
    return callout(told, "am-info")


def lines_table(rows: pd.DataFrame, origin_a: str = "", origin_b: str = "") -> str:
    """`comparison.line_rows` as a table, each difference on a line through zero; where a side is from, at its head."""
    import numpy as np

    bounds = np.abs(rows[["low", "high", "difference"]].to_numpy(dtype=np.float64))
    known = bounds[np.isfinite(bounds)]
    end = float(known.max()) if len(known) and known.max() > 0 else 1.0
    body = []
    for row in records(rows):
        unit = row["unit"]
        known_span = bool(np.isfinite([row["low"], row["high"], row["difference"]]).all())
        bar = span_html(row["low"], row["high"], row["difference"], (-end, end)) if known_span else ""
        adjusted = row["p_adjusted"]
        whole = adjusted is None or not np.isfinite(adjusted)
        body.append([
            name_cell(row["slice"]), cell(f"{row['n']:,}", "n"), cell(format_value(row["a"], unit), "A"),
            cell(format_value(row["b"], unit), "B"), cell(_signed(row["difference"], unit), "B - A", kind="am-value"),
            cell(format_interval(row["low"], row["high"], unit), "", kind="am-interval"), mark_cell(bar, ""),
            cell("–" if not np.isfinite(row["p"]) else f"{row['p']:.3f}", "p"),
            cell("" if whole else f"{adjusted:.3f}", "p, Holm", kind="am-none" if whole else ""),
            cell(str(row["verdict"]), "B is", left=True),
        ])  # fmt: skip
    a, b = marked_name("A", origin_a), marked_name("B", origin_b)
    head = ("Slice", "n", a, b, "B - A", "95 % interval", "Around 0", "p", "p, Holm", "B is")
    return table(head, body, "Paired on the same samples. The line's middle is no difference.", left=("Slice", "B is"))


def _signed(value: float, unit: str) -> str:
    text = format_value(value, unit)
    return f"+{text}" if value > 0 else text


def answer(sample: pd.Series) -> str:
    """What one model made of a sample: status, alignment or text, counts."""
    from audiometry.leaderboard import evidence

    parts = []
    if sample["status"] != "ok":
        said = f": {sample['error']}" if isinstance(sample["error"], str) else ""
        parts.append(callout(f"Status {sample['status']}{said}"))
    reference, hypothesis = (sample.get(f"detail.{name}_normalised") for name in ("reference", "hypothesis"))
    if isinstance(reference, str) and isinstance(hypothesis, str):
        parts.append(alignment.alignment_html(reference, hypothesis))
    elif isinstance(sample.get("text"), str):
        parts.append(f'<div class="am-text">{word(sample["text"])}</div>')
    counts = {name: f"{count:g}" for name, count in evidence.counts_of(sample).items() if count}
    score = sample.get("score")
    shown = dict(list(counts.items())[:COUNTS_SHOWN])
    if isinstance(score, float) and score == score:  # noqa: PLR0124  (NaN is no score)
        shown = {"score": f"{score:.4g}"} | shown
    return "".join([*parts, tiles(shown)])
