"""What the board says, from results to rows: ranks, intervals, notes. Pure functions over frames; no page.

Results come from `audiometry.benchmark.store.Store.results`, of one protocol: only they may be ranked together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BOARD_COLUMNS",
    "describe_metric",
    "describe_protocol",
    "format_interval",
    "format_rtfx",
    "format_value",
    "metrics_of",
    "rank_ranges",
    "ranking",
    "records",
    "slice_dimensions",
    "slice_rows",
]

BOARD_COLUMNS = (
    "rank", "model", "value", "low", "high", "unit", "direction", "n", "failed", "empty", "refused", "unparsed",
    "rtfx", "notes", "place", "run", "created", "folder", "origin", "tie_group",
)  # fmt: skip
"""Columns of `ranking`. `place` is ``ranked``, ``unranked`` or ``control``."""

PLACES = ("ranked", "unranked", "control")

METRICS: Mapping[str, tuple[str, str]] = {
    "wer": (
        "WER",
        "Word error rate: words substituted, deleted or inserted, as a share of the words that were said.",
    ),
    "cer": ("CER", "Character error rate: the same, counted in characters."),
    "mer": ("MER", "Match error rate: wrong words as a share of all aligned words."),
    "wil": ("WIL", "Word information lost: 1 minus the share of words right in both directions."),
    "eer": ("EER", "Equal error rate: where as many spoofs pass as bona fide recordings are refused."),
    "eer_macro": ("EER, mean over attacks", "Equal error rate of each attack, averaged over the attacks."),
    "eer_worst": ("EER, worst attack", "Equal error rate of the attack that is hardest to see."),
}
"""Name and meaning of metrics that are known by name; any other is shown by its own."""


def describe_metric(metric: str, direction: str) -> tuple[str, str]:
    """(short name, one line that says what it measures and which way is better).

    >>> describe_metric("wer", "lower")[1]
    'Word error rate: words substituted, deleted or inserted, as a share of the words that were said. Lower is better.'
    >>> describe_metric("mine", "higher")
    ('mine', 'Higher is better.')
    """
    name, meaning = METRICS.get(metric, (metric, ""))
    return name, f"{meaning} {direction.capitalize()} is better.".strip()


def describe_protocol(version: str, settings: Mapping[str, Any], samples: int, *, limited: bool = False) -> str:
    """What the numbers of a protocol share, in one line.

    >>> describe_protocol("1", {"normaliser": "whisper-english-1"}, 540)
    '540 samples, version 1, normaliser whisper-english-1'
    """
    what = f"{samples:,} samples" + (" (a part, by --limit)" if limited else "")
    return ", ".join([what, f"version {version}", *(f"{name} {value}" for name, value in sorted(settings.items()))])


def format_value(value: float | None, unit: str) -> str:
    """A number as people read it; fractions as percentages with a significant first decimal.

    >>> format_value(0.0684, "fraction"), format_value(3.412, "s"), format_value(None, "fraction")
    ('6.8 %', '3.41 s', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if unit == "fraction":
        return f"{100 * value:.1f} %"
    return f"{value:.3g} {unit}".strip() if unit not in ("", "1") else f"{value:.3g}"


def format_interval(low: float | None, high: float | None, unit: str) -> str:
    """A 95 % interval, its unit said once by the value beside it.

    >>> format_interval(0.0551, 0.0822, "fraction"), format_interval(None, None, "fraction")
    ('[5.5, 8.2]', 'no interval')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "no interval"
    scale = 100.0 if unit == "fraction" else 1.0
    digits = ".1f" if unit == "fraction" else ".3g"
    return f"[{format(scale * low, digits)}, {format(scale * high, digits)}]"


def format_rtfx(rtfx: float | None) -> str:
    """Seconds of sound per second of work.

    >>> format_rtfx(9.94), format_rtfx(152.3), format_rtfx(None)
    ('9.9 ×', '152 ×', '–')
    """
    if rtfx is None or math.isnan(rtfx):
        return "–"
    return f"{rtfx:.1f} ×" if rtfx < 99.95 else f"{rtfx:,.0f} ×"


def metrics_of(results: pd.DataFrame) -> list[str]:
    """Metrics of results in their task's order: the headline first."""
    return list(dict.fromkeys(results["metric"]))


def rank_ranges(lows: Iterable[float], highs: Iterable[float], direction: str) -> list[tuple[int, int]]:
    """The ranks that each model may have: it stands behind those whose interval lies wholly on the better side of
    its own, and before those whose interval lies wholly on the worse side. Where intervals overlap or touch, the data
    do not say who is better. This is cautious: a paired comparison on the same samples tells more apart.

    `lows` and `highs` are bounds of 95 % intervals, NaN where there is none (then nothing is known: any rank);
    `direction` is ``lower`` or ``higher``, which is better. Ranks start at 1.

    >>> rank_ranges([0.05, 0.06, 0.40], [0.08, 0.09, 0.45], "lower")
    [(1, 2), (1, 2), (3, 3)]
    >>> rank_ranges([0.05, 0.06, 0.40], [0.08, 0.09, 0.45], "higher")
    [(2, 3), (2, 3), (1, 1)]
    """
    import numpy as np

    low, high = np.array(list(lows), dtype=float), np.array(list(highs), dtype=float)
    if direction == "higher":
        low, high = -high, -low
    better = high[:, None] < low[None, :]  # (i, j): i is wholly better than j; false where either is NaN
    first = 1 + better.sum(axis=0)
    last = len(low) - better.sum(axis=1)
    return [(int(a), int(b)) for a, b in zip(first, last, strict=True)]


def ranking(results: pd.DataFrame, paired: Mapping[str, tuple[int, int, int]] | None = None) -> pd.DataFrame:
    """The board of one metric: `BOARD_COLUMNS`, ranked models best first, then unranked ones, then controls.

    `results` are those of one protocol, one metric and one slice. A model is unranked, with the reason in its notes,
    when its value is undefined or its run is no result. Controls are shown and never ranked. `paired` gives the first
    and last rank and the tie group of every ranked model by a paired comparison; without it ranks come from
    `rank_ranges`, and a tie group ends where an interval lies wholly behind that of the group's best. A tie group of 0
    means that the model is not ranked.
    """
    import pandas as pd

    frame = results.reset_index(drop=True)
    frame["notes"] = [(*notes, *_reasons(row)) for notes, row in zip(frame["notes"], records(frame), strict=True)]
    complete = (frame["run_status"] == "complete") & frame["value"].notna()
    frame["place"] = [
        "control" if c else "ranked" if ok else "unranked" for c, ok in zip(frame["control"], complete, strict=True)
    ]
    frame["rank"], frame["tie_group"] = "", 0
    ranked = frame[frame["place"] == "ranked"]
    if len(ranked):
        if paired is None:
            ranges = rank_ranges(ranked["low"], ranked["high"], ranked["direction"].iloc[0])
            groups = _tie_groups(ranked)
        else:
            ranges = [paired[model][:2] for model in ranked["model"]]
            groups = [paired[model][2] for model in ranked["model"]]
        frame.loc[ranked.index, "rank"] = [str(a) if a == b else f"{a}-{b}" for a, b in ranges]
        frame.loc[ranked.index, "tie_group"] = groups
    sign = -1.0 if len(frame) and frame["direction"].iloc[0] == "higher" else 1.0
    order = pd.DataFrame(
        {"place": frame["place"].map(PLACES.index), "value": sign * frame["value"], "model": frame["model"]}
    ).sort_values(["place", "value", "model"], kind="stable")
    return frame.loc[order.index, list(BOARD_COLUMNS)].reset_index(drop=True)


def _tie_groups(ranked: pd.DataFrame) -> list[int]:
    """The tie group of each row, by intervals; one without an interval is never told apart."""
    sign = -1.0 if ranked["direction"].iloc[0] == "higher" else 1.0
    near, far = ("high", "low") if sign < 0 else ("low", "high")
    groups: dict[str, int] = {}
    group, leader = 0, -math.inf
    order = ranked.assign(key=sign * ranked["value"]).sort_values(["key", "model"], kind="stable")
    for row in records(order):
        if group == 0 or sign * row[near] > leader:
            group, leader = group + 1, sign * row[far]
        groups[row["model"]] = group
    return [groups[model] for model in ranked["model"]]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, by column name."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _reasons(row: Mapping[str, Any]) -> list[str]:
    reasons = []
    if row["run_status"] != "complete":
        reasons.append(f"not ranked: the run ended as {row['run_status']}")
    elif math.isnan(row["value"]):
        reasons.append("not ranked: undefined on these samples")
    return reasons


def slice_dimensions(results: pd.DataFrame) -> list[str]:
    """What the results are sliced by (`gender`, `duration`, …), sorted."""
    return sorted({name.partition("=")[0] for name in results["slice"] if "=" in name})


def slice_rows(results: pd.DataFrame, dimension: str, models: Sequence[str]) -> pd.DataFrame:
    """Results of one metric of some models for each value of a dimension: the columns of `results` and `group`.

    Groups are sorted by their numbers where they start with one (``2-5 s`` before ``10+ s``), else by name; within a
    group, models are in the order of `models`.
    """
    prefix = f"{dimension}="
    frame = results[results["slice"].str.startswith(prefix) & results["model"].isin(models)].copy()
    frame["group"] = frame["slice"].str.removeprefix(prefix)
    order = {group: place for place, group in enumerate(sorted(set(frame["group"]), key=_natural))}
    place = frame["group"].map(order) * len(models) + frame["model"].map(list(models).index)
    return frame.loc[place.sort_values(kind="stable").index].reset_index(drop=True)


def _natural(text: str) -> tuple[float, int, str]:
    found = re.match(r"\s*([<≤]|under)?\s*(\d+(?:\.\d+)?)", text)
    if found is None:
        return (math.inf, 0, text)
    return (float(found[2]), -1 if found[1] else 0, text)
