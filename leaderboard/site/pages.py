"""The pages of the static board, from frames to HTML. Every text from outside goes through `word` or `escape`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from audiometry.leaderboard import board
from audiometry.leaderboard.figures import is_reported, short_name
from audiometry.leaderboard.markup import heading, notes_html, tiles, word
from audiometry.leaderboard.site.look import page, slug
from audiometry.leaderboard.site.parts import cite, day, line, model_link, note, plain, table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Protocol", "SuiteLine", "index_page", "metric_page", "model_page", "slices_page"]

HOW = (
    "A rank is a range where these samples do not say who is better. Failed samples count in n and in the number. "
    "Controls are shown, and never ranked. The line is the interval, the thick mark the number."
)

IMPORTED = "self-reported: imported, not run here"


@dataclass(frozen=True)
class Protocol:
    """A task as it was measured, and the metrics that there are of it, the headline first."""

    task: str
    digest: str
    conditions: str
    """Samples, version and settings in one line."""
    newest: str
    """The day of its last run."""
    metrics: tuple[str, ...]
    slices: bool

    @property
    def folder(self) -> str:
        """Its folder from the site's root."""
        return f"protocols/{slug(self.task)}-{slug(self.digest)}"

    def path(self, metric: str) -> str:
        """The page of a metric, from the site's root."""
        name = "index" if metric == self.metrics[0] else f"metric-{slug(metric)}"
        return f"{self.folder}/{name}.html"

    def slices_path(self, metric: str) -> str:
        """The page of a metric's slices."""
        return f"{self.folder}/slices-{slug(metric)}.html"


@dataclass(frozen=True)
class SuiteLine:
    """A suite on the first page: its name and version, its page, tasks that were measured, models that are ranked."""

    name: str
    path: str
    tasks: str
    ranked: int
    first: str
    """Who may be first, as HTML."""


def index_page(
    title: str,
    suites: Sequence[SuiteLine],
    protocols: Sequence[tuple[Protocol, pd.DataFrame]],
    models: Mapping[str, int],
    newest: str,
) -> bytes:
    """The first page: every suite and protocol with who may be first, by its headline ranking, and every model."""
    whole = [
        f'<tr><th scope="row" class="am-left am-name"><a href="{suite.path}">{word(suite.name)}</a></th>'
        f'<td data-name="Tasks">{escape(suite.tasks)}</td>'
        f'<td class="am-left am-wide" data-name="May be first">{suite.first or "–"}</td>'
        f'<td data-name="Ranked">{suite.ranked:,}</td></tr>'
        for suite in suites
    ]
    rows = [_protocol_row(protocol, ranking) for protocol, ranking in protocols]
    head = ["Task", "Metric", "May be first", "Best value", "Ranked", "Last run"]
    names = [
        f'<tr><th scope="row" class="am-left">{model_link(name, 0)}</th><td data-name="Tasks">{count}</td></tr>'
        for name, count in sorted(models.items())
    ]
    body = (
        heading(title, "How well models hear, with how sure that is.")
        + f"<h2>Suites</h2>{table(['Suite', 'Tasks', 'May be first', 'Ranked'], whole, '', ('Suite', 'May be first'))}"
        + f"<h2>Tasks</h2>{table(head, rows, '', ('Task', 'Metric', 'May be first'))}"
        + f"<h2>Models</h2>{table(['Model', 'Tasks'], names, '', ('Model',))}"
        + '<h2>Download</h2><p><a href="board.csv" download>board.csv</a> and '
        + '<a href="board.json" download>board.json</a>: the headline ranking of every task.</p>'
        + cite(f"{title}. {len(protocols)} tasks, {len(models)} models, last run {newest}.")
    )
    if not protocols:
        body = heading(title, "There are no results yet.")
    return page(title, body, depth=0, note=note(newest))


def metric_page(
    title: str, protocol: Protocol, metric: str, results: pd.DataFrame, ranking: pd.DataFrame, how: str
) -> bytes:
    """One metric of a protocol: the ranking, with `how` it was found, its links and downloads."""
    name, meaning = board.describe_metric(metric, str(results["direction"].iloc[0]))
    span = _span(ranking)
    head = ["Rank", "Model", name, "95 % interval", "Drawn", "n", "Failed", "Empty", "Speed", "Read with care"]
    groups = {"ranked": "", "unranked": "Not ranked", "control": "Controls, never ranked"}
    bodies = []
    for place, label in groups.items():
        rows = [_ranking_row(row, name, span) for row in board.records(ranking[ranking["place"] == place])]
        if rows and label:
            rows.insert(0, f'<tr class="am-group"><th colspan="{len(head)}" scope="rowgroup">{label}</th></tr>')
        bodies.append("".join(rows))
    unit = str(ranking["unit"].iloc[0]) if len(ranking) else ""
    scale = f"The lines go from {board.format_value(span[0], unit)} to {board.format_value(span[1], unit)}."
    body = (
        heading(protocol.task, f"{name}. {meaning}")
        + f'<p class="am-muted">{word(protocol.conditions)}</p>'
        + _metric_links(protocol, metric, protocol.path, "Metrics")
        + table(head, bodies, f"{HOW} {how} {scale}", ("Model", "Read with care"), whole=True)
        + (
            f'<p><a href="../../{protocol.slices_path(metric)}">The same metric in every slice</a></p>'
            if protocol.slices
            else ""
        )
        + '<h2>Download</h2><p><a href="results.csv" download>results.csv</a> and '
        + '<a href="results.json" download>results.json</a>: every metric and slice of this task.</p>'
        + _cited(title, protocol, name)
    )
    return page(
        f"{name}: {protocol.task}", body, depth=2, trail=[(protocol.task, protocol.path(protocol.metrics[0]))],
        note=note(protocol.newest),
    )  # fmt: skip


def slices_page(title: str, protocol: Protocol, metric: str, results: pd.DataFrame, order: Sequence[str]) -> bytes:
    """One metric in every group of the samples: a table for each kind of slice, models in the order of their ranks."""
    name, meaning = board.describe_metric(metric, str(results["direction"].iloc[0]))
    origins = dict(zip(results["model"], results["origin"], strict=True))
    parts = []
    for dimension in board.slice_dimensions(results):
        rows = board.slice_rows(results, dimension, order)
        groups = list(dict.fromkeys(rows["group"]))
        cells = {(row["model"], row["group"]): row for row in board.records(rows)}
        counts = {group: max(row["n"] for row in cells.values() if row["group"] == group) for group in groups}
        head = "".join(f'<th scope="col">{word(group)} <small>n = {counts[group]:,}</small></th>' for group in groups)
        body = "".join(
            f'<tr><th scope="row">{model_link(model, 2, origins[model])}</th>'
            + "".join(_matrix_cell(cells.get((model, group))) for group in groups)
            + "</tr>"
            for model in order
            if any((model, group) in cells for group in groups)
        )
        notes = sorted({note for row in cells.values() for note in row["notes"]})
        parts.append(
            f"<h2>{word(dimension)}</h2>"
            f'<div class="am-scroll" tabindex="0" role="region" aria-label="{escape(dimension)}">'
            f'<table class="site-matrix" data-sort><caption>{escape(name)}, with 95 % intervals</caption><thead><tr>'
            f'<th scope="col">Model</th>{head}</tr></thead><tbody>{body}</tbody></table></div>{notes_html(notes)}'
        )
    body = (
        heading(f"{protocol.task}, by slice", f"{name}. {meaning}")
        + f'<p class="am-muted">{word(protocol.conditions)}</p>'
        + _metric_links(protocol, metric, protocol.slices_path, "Metrics")
        + "".join(parts)
        + _cited(title, protocol, f"{name}, by slice,")
    )
    trail = [(protocol.task, protocol.path(metric))]
    return page(f"Slices of {protocol.task}", body, depth=2, trail=trail, note=note(protocol.newest))


def model_page(
    title: str,
    model: str,
    results: pd.DataFrame,
    ranks: Mapping[tuple[str, str], tuple[str, str]],
    protocols: Mapping[str, Protocol],
) -> bytes:
    """A model: every metric of every protocol from its latest runs, then every earlier run.

    `results` are those of the slice ``all`` of all of its runs; `ranks` gives (protocol, metric) → (rank, run shown).
    """
    now: list[str] = []
    before: list[str] = []
    for row in board.records(results):
        rank, run = ranks.get((row["protocol"], row["metric"]), ("", ""))
        protocol = protocols[row["protocol"]]
        (now if row["run"] == run else before).append(_measured_row(row, protocol, rank))
    head = ["Task", "Metric", "Rank", "Value", "95 % interval", "n", "Failed", "Empty", "Refused", "Unparsed", "Speed",
            "Run", "Read with care"]  # fmt: skip
    left = ("Task", "Metric", "Run", "Read with care")
    latest = results[[run == ranks.get(key, ("", ""))[1] for key, run in _keys(results)]]
    facts = {
        "tasks": f"{latest['protocol'].nunique():,}",
        "runs": f"{results['run'].nunique():,}",
        "failed samples": f"{_failed(latest):,}",
        "fingerprint": short_name(str(latest["model_fingerprint"].iloc[-1]) if len(latest) else "–", 24),
    }
    newest = max((day(created) for created in results["created"]), default="")
    control = '<p class="am-muted">A control: shown, never ranked.</p>' if bool(results["control"].any()) else ""
    body = (
        f'<header class="am-head"><h1>{word(model)}</h1></header>{control}{tiles(facts)}'
        + f"<h2>Measured</h2>{table(head, now, '', left)}"
        + (f"<h2>Earlier runs</h2>{table(head, before, '', left)}" if before else "")
        + cite(f"{title}. {short_name(model, 80)} on {facts['tasks']} tasks, last run {newest}.")
    )
    return page(f"Model {model}", body, depth=1, note=note(newest))


def _keys(results: pd.DataFrame) -> Iterable[tuple[tuple[str, str], str]]:
    keys = zip(results["protocol"], results["metric"], strict=True)
    return zip(keys, results["run"], strict=True)


def _failed(latest: pd.DataFrame) -> int:
    """Failed samples, those of a protocol counted once, whatever the number of its metrics."""
    return int(latest.drop_duplicates("protocol")["failed"].sum())


def _protocol_row(protocol: Protocol, ranking: pd.DataFrame) -> str:
    ranked = ranking[ranking["place"] == "ranked"]
    first = [row for row in board.records(ranked) if row["rank"].partition("-")[0] == "1"]
    names = ", ".join(model_link(row["model"], 0, row["origin"]) for row in first[:3])
    more = f" and {len(first) - 3:,} more" if len(first) > 3 else ""
    metric = protocol.metrics[0]
    name, _ = board.describe_metric(metric, "lower")
    best = board.records(ranked.head(1))
    value = "".join(
        f"{escape(board.format_value(row['value'], row['unit']))} "
        f'<span class="am-interval">{escape(board.format_interval(row["low"], row["high"], row["unit"]))}</span>'
        for row in best
    )
    return (
        f'<tr><th scope="row" class="am-left am-name"><a href="{protocol.path(metric)}">{word(protocol.task)}</a>'
        f'<br><span class="am-muted">{word(protocol.conditions)}</span></th>'
        f'<td class="am-left" data-name="Metric">{word(name)}</td>'
        f'<td class="am-left am-wide" data-name="May be first">{names or "–"}{more}</td>'
        f'<td class="am-value" data-name="Best">{value or "–"}</td>'
        f'<td data-name="Ranked">{len(ranked):,}</td><td data-name="Last run">{escape(protocol.newest)}</td></tr>'
    )


def _ranking_row(row: Mapping[str, Any], metric: str, span: tuple[float, float]) -> str:
    counts = [f"{row[name]} {name}" for name in ("refused", "unparsed") if row[name]]
    notes = [*([IMPORTED] if is_reported(row["origin"]) else []), *counts, *row["notes"]]
    speed = None if row["place"] == "control" else row["rtfx"]  # a control does no work
    return (
        f"<tr{'' if row['place'] == 'ranked' else ' class=am-apart'}>"
        f'<td class="am-rank" data-name="Rank" data-value="{escape(row["rank"].partition("-")[0])}">'
        f"{escape(row['rank']) or '–'}</td>"
        f'<th scope="row" class="am-left am-name">{model_link(row["model"], 2, row["origin"])}</th>'
        f'<td class="am-value" data-name="{escape(metric)}" data-value="{plain(row["value"])}">'
        f"{escape(board.format_value(row['value'], row['unit']))}</td>"
        f'<td class="am-interval" data-value="{plain(row["low"])}">'
        f"{escape(board.format_interval(row['low'], row['high'], row['unit']))}</td>"
        f'<td class="am-wide" data-value="{plain(row["value"])}">{line(row, span)}</td>'
        + "".join(
            f'<td data-name="{name}" data-value="{row[name]}">{row[name]:,}</td>' for name in ("n", "failed", "empty")
        )
        + f'<td class="am-interval" data-name="Speed" data-value="{plain(speed)}">{board.format_rtfx(speed)}</td>'
        f'<td class="am-left am-wide">{notes_html(notes)}</td></tr>'
    )


def _measured_row(row: Mapping[str, Any], protocol: Protocol, rank: str) -> str:
    name, _ = board.describe_metric(row["metric"], "lower")
    notes = [*([IMPORTED] if is_reported(row["origin"]) else []), *row["notes"]]
    if row["run_status"] != "complete":
        notes.insert(0, f"the run ended as {row['run_status']}")
    speed = None if row["control"] else row["rtfx"]
    counts = ("n", "failed", "empty", "refused", "unparsed")
    link = f'<a href="../{protocol.path(row["metric"])}">{word(protocol.task)}</a>'
    return (
        f'<tr><th scope="row" class="am-left am-name">{link}'
        f'<br><span class="am-muted">{word(protocol.conditions)}</span></th>'
        f'<td class="am-left" data-name="Metric">{word(name)}</td>'
        f'<td class="am-rank" data-name="Rank" data-value="{escape(rank.partition("-")[0])}">{escape(rank) or "–"}</td>'
        f'<td class="am-value" data-name="Value" data-value="{plain(row["value"])}">'
        f"{escape(board.format_value(row['value'], row['unit']))}</td>"
        f'<td class="am-interval">{escape(board.format_interval(row["low"], row["high"], row["unit"]))}</td>'
        + "".join(f'<td data-name="{name}" data-value="{row[name]}">{row[name]:,}</td>' for name in counts)
        + f'<td class="am-interval" data-name="Speed" data-value="{plain(speed)}">{board.format_rtfx(speed)}</td>'
        f'<td class="am-left" data-name="Run">{word(row["run"])}<br>{day(row["created"])}</td>'
        f'<td class="am-left am-wide">{notes_html(notes)}</td></tr>'
    )


def _matrix_cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "<td>–</td>"
    failed = f", {row['failed']:,} failed" if row["failed"] else ""
    return (
        f'<td data-value="{plain(row["value"])}">{escape(board.format_value(row["value"], row["unit"]))}'
        f"<small>{escape(board.format_interval(row['low'], row['high'], row['unit']))}{failed}</small></td>"
    )


def _span(ranking: pd.DataFrame) -> tuple[float, float]:
    """The scale of the lines: from zero (or the lowest bound below it) to the highest bound of a ranked model."""
    ranked = ranking[ranking["place"] == "ranked"]
    rows = ranked if len(ranked) else ranking
    bounds = [b for name in ("value", "low", "high") for b in rows[name] if math.isfinite(b)]
    low, high = min([0.0, *bounds]), max([0.0, *bounds])
    return low, high if high > low else low + 1.0


def _metric_links(protocol: Protocol, current: str, path: Any, label: str) -> str:
    if len(protocol.metrics) < 2:
        return ""
    items = "".join(
        f'<li><a href="../../{path(metric)}"{" aria-current=page" if metric == current else ""}>'
        f"{word(board.describe_metric(metric, 'lower')[0])}</a></li>"
        for metric in protocol.metrics
    )
    return f'<nav aria-label="{label}"><ul class="site-links">{items}</ul></nav>'


def _cited(title: str, protocol: Protocol, metric: str) -> str:
    where = f"{protocol.task} ({protocol.conditions}). Protocol {protocol.digest}, {protocol.newest}."
    return cite(f"{title}. {metric} on {where}")
