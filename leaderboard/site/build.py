"""From a results store to the files of the static board, and onto a disk.

The same store gives the same bytes: no time of its making is in them. Only files that changed are written, so that what
copies them on has little to do.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiometry.benchmark.errors import StoreError, UserError
from audiometry.benchmark.store import Store
from audiometry.leaderboard import board, export, paired_ranks, queries
from audiometry.leaderboard.site.look import ASSETS
from audiometry.leaderboard.site.pages import Protocol, index_page, metric_page, model_page, slices_page
from audiometry.leaderboard.site.parts import model_path
from audiometry.leaderboard.site.suites import suite_files

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LIST", "Exported", "export_site", "site_files"]

LIST = "site.json"
"""The list of the site's files with their SHA-256: by it a folder is known as ours, and what is stale is found."""

COLUMNS = (
    "model", "metric", "slice", "value", "low", "high", "n", "failed", "empty", "refused", "unparsed", "unit",
    "direction", "control", "judges", "notes", "rtfx", "seed", "origin", "run", "run_status", "created", "limit",
    "model_fingerprint",
)  # fmt: skip
"""What of a result is given away: all but where the run's folder is on this machine."""


@dataclass(frozen=True)
class Exported:
    """What `export_site` did: files of the site, those that were written, those that were taken away."""

    files: int
    written: int
    removed: int


def export_site(store: Store, folder: Path, *, title: str = "Leaderboard") -> Exported:
    """Write the board into `folder`, which is new, empty, or holds an earlier export: what is stale there goes.

    Every file appears whole. Files that are not the site's own are left alone.

    Raises UserError for a folder with something else in it, StoreError where it cannot be written.
    """
    old = _listed(folder)
    listed: dict[str, str] = {}
    written = 0
    try:
        if not (folder / LIST).exists():  # by it the folder is ours, should this export be interrupted
            _write(folder / LIST, json.dumps({"files": {}}).encode())
        for name, content in site_files(store, title=title):
            listed[name] = hashlib.sha256(content).hexdigest()
            written += _write(folder / name, content)
        stale = [name for name in old if name not in listed]
        _write(folder / LIST, json.dumps({"files": listed}, indent=1, sort_keys=True).encode())
        for name in stale:
            _remove(folder, name)
    except OSError as error:
        raise StoreError(f"cannot write {error.filename or folder}: {error.strerror}; choose another folder") from error
    return Exported(len(listed), written, len(stale))


def site_files(store: Store, *, title: str = "Leaderboard") -> Iterator[tuple[str, bytes]]:
    """(path from the root, content) of every file of the site but its list; one task's results in memory at a time."""
    yield from ASSETS.items()
    protocols: list[tuple[Protocol, pd.DataFrame]] = []
    heads: list[pd.DataFrame] = []
    ranks: dict[str, dict[tuple[str, str], tuple[str, str]]] = {}
    for facts in sorted(board.records(store.protocols()), key=lambda facts: str(facts["task"])):
        # sorted here: databases disagree about the order of names
        results = store.results(protocol=facts["protocol"]).sort_values("model", kind="stable")
        if results.empty:
            continue
        protocol = _protocol(facts, results)
        yield f"{protocol.folder}/results.csv", export.to_csv(results[list(COLUMNS)])
        yield f"{protocol.folder}/results.json", _json(protocol, results)
        for metric in protocol.metrics:
            part = results[results["metric"] == metric]
            whole = part[part["slice"] == "all"]
            ranking, how = _ranked(store, protocol, metric, whole)
            if metric == protocol.metrics[0]:
                protocols.append((protocol, ranking))
                heads.append(whole[list(queries.HEADLINE_COLUMNS)])
            for row in board.records(ranking):
                ranks.setdefault(row["model"], {})[facts["protocol"], metric] = (row["rank"], row["run"])
            yield protocol.path(metric), metric_page(title, protocol, metric, part, ranking, how)
            if protocol.slices:
                yield protocol.slices_path(metric), slices_page(title, protocol, metric, part, list(ranking["model"]))
    known = {protocol.digest: protocol for protocol, _ in protocols}
    for model, places in sorted(ranks.items()):
        measured = store.results(model=model, slice="all", latest=False)
        measured = measured[measured["protocol"].isin(known)].sort_values(["task", "created", "run"], kind="stable")
        yield model_path(model), model_page(title, model, measured, places, known)
    yield from _overview(protocols)
    counts = {model: len({protocol for protocol, _ in places}) for model, places in ranks.items()}
    newest = max((protocol.newest for protocol, _ in protocols), default="")
    suites = []
    for line, files in suite_files(store, title, known, heads):
        yield from files.items()
        suites.append(line)
    yield "index.html", index_page(title, suites, protocols, counts, newest)


def _ranked(store: Store, protocol: Protocol, metric: str, whole: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The ranking of a metric, as the leaderboard's own page has it, and how it was found."""
    rows = board.ranking(whole)
    if metric != protocol.metrics[0]:
        return rows, paired_ranks.how_ranked(paired_ranks.PairedRanks({}, paired_ranks.HEADLINE_ALONE))
    pairs = paired_ranks.pair_task(store, protocol.task, rows)
    return board.ranking(whole, pairs.places) if pairs.places else rows, paired_ranks.how_ranked(pairs)


def _protocol(facts: dict[str, Any], results: pd.DataFrame) -> Protocol:
    conditions = board.describe_protocol(
        facts["version"], facts["settings"], facts["samples"], limited=facts["limited"]
    )  # fmt: skip
    metrics = tuple(board.metrics_of(results))
    newest = max(results["created"]).strftime("%Y-%m-%d")
    slices = bool(results["slice"].str.contains("=", regex=False).any())
    return Protocol(facts["task"], facts["protocol"], conditions, newest, metrics, slices)


def _json(protocol: Protocol, results: pd.DataFrame) -> bytes:
    rows = json.loads(export.to_json(results[list(COLUMNS)]))
    facts = {name: results[name].iloc[0] for name in ("task", "task_version", "task_settings", "task_samples")}
    document = {**facts, "task_samples": int(facts["task_samples"]), "protocol": protocol.digest, "results": rows}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode()


def _overview(protocols: list[tuple[Protocol, pd.DataFrame]]) -> Iterator[tuple[str, bytes]]:
    """The headline ranking of every protocol, as data."""
    import pandas as pd

    columns = ["rank", "tie_group", "model", "value", "low", "high", "unit", "direction", "n", "failed", "empty",
               "place", "origin", "run"]  # fmt: skip
    frames = [
        ranking[columns].assign(task=protocol.task, protocol=protocol.digest, metric=protocol.metrics[0])
        for protocol, ranking in protocols
    ]
    order = ["task", "protocol", "metric", *columns]
    frame = pd.concat(frames, ignore_index=True)[order] if frames else pd.DataFrame(columns=order)
    yield "board.csv", export.to_csv(frame)
    yield "board.json", export.to_json(frame)


def _listed(folder: Path) -> list[str]:
    """The files of the export that is in `folder`; none where it is new or empty."""
    try:
        there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        if not there:
            return []
        if LIST not in there:
            raise UserError(
                f"{folder} holds {there[0]!r} and no earlier export; give a new or empty folder, as in: "
                "audiometry export site/"
            )
        return [str(name) for name in json.loads((folder / LIST).read_text(encoding="utf-8"))["files"]]
    except OSError as error:
        raise StoreError(f"cannot read {folder}: {error.strerror}; choose another folder") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / LIST} is no list of an export: {error}; give a new or empty folder") from error


def _write(file: Path, content: bytes) -> bool:
    """Write a file whole, if it does not hold that already."""
    if file.is_file() and not file.is_symlink() and file.read_bytes() == content:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(file)
    return True


def _remove(folder: Path, name: str) -> None:
    """Take a stale file away, and its folder where that is then empty; never anything outside of `folder`."""
    file = (folder / name).parent.resolve() / Path(name).name
    if not file.is_relative_to(folder.resolve()) or file == folder.resolve():
        raise UserError(f"{folder / LIST} lists {name!r}, which is not in the folder; give a new or empty folder")
    file.unlink(missing_ok=True)
    if file.parent != folder.resolve() and not any(file.parent.iterdir()):
        file.parent.rmdir()
