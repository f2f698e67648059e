"""What a run in a box left, checked against what the suite asks, and kept beside the other runs.

A run folder that was written by somebody else is not believed: its files must be plain files, its tasks those of the
suite with the same samples, its evidence one row for each sample, and it names no file but the suite's own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from audiometry.benchmark import paths
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.evaluate import plan_document
from audiometry.benchmark.evidence import OUTPUTS, SCORES
from audiometry.benchmark.logs import LOG
from audiometry.benchmark.plan import Plan, RunSettings, plan_tasks
from audiometry.benchmark.registry import load_plugin_file, parse_spec
from audiometry.benchmark.runfolder import RESULTS, RUN, RunFolder, read_results
from audiometry.benchmark.types import Result
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.queue import Submission

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Expected", "expected", "published"]

FILES = {RUN: 2**24, RESULTS: 2**25, OUTPUTS: 2**33, SCORES: 2**33, LOG: 2**26}
"""What is kept of a run folder, and the most bytes of each. JSON takes many times its size in memory."""

ROWS = 20_000
PART_BYTES = 2**30
"""The most bytes, decoded, of a part of a table of evidence that is read at once."""

COLUMNS = 2_000

ARTEFACT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.(wav|npy)")
ARTEFACT_BYTES = 2**32
SAME = ("version", "settings", "samples", "digest", "metrics")
"""What of a task must be as the suite has it."""

OPEN = "run without isolation: the network was open"


@dataclass(frozen=True)
class Expected:
    """What a suite asks: of each task what run.json says, and the sound of each sample, by task and id."""

    tasks: Mapping[str, Mapping[str, Any]]
    sound: Mapping[tuple[str, str], str | None]


def expected(suite: str, plugins: Sequence[str] = ()) -> Expected:
    """What `suite` asks, looked up here.

    Raises a UserError as `plan_tasks` does, for a suite that does not exist or a corpus that is not prepared.
    """
    for path in plugins:
        load_plugin_file(path)
    settings = RunSettings(models=("submission",), tasks=(suite,), plugins=tuple(plugins))
    planned = plan_tasks(settings)
    document = plan_document(Plan(settings=settings, models=(), tasks=planned))
    sound: dict[tuple[str, str], str | None] = {}
    for one in planned:
        for _, sample in one.samples():
            audios = sample.request.audios
            heard = audios.get("input") or next(iter(audios.values()), None)
            sound[one.task.name, sample.id] = None if heard is None else heard.path
    return Expected({task["name"]: json.loads(json.dumps(task)) for task in document["tasks"]}, sound)


def published(
    submission: Submission, folder: Path, asked: Expected, spec: str, facts: Mapping[str, Any], began: datetime
) -> tuple[dict[str, Any], list[Result], Path]:
    """Check the run in `folder` and keep it: its run.json, its results and the new folder of its evidence.

    `spec` is the model as people are to read it, `facts` are kept in run.json as ``submission``, `began` is when the
    run began. The run gets an id that begins with the submission's, and the model the submission's name.

    Raises SubmissionError where it is not a complete run of the submission's suite.
    """
    run_id = f"{submission.id}-{secrets.token_hex(3)}"
    staged = folder / "staged"
    staged.mkdir()
    _take(folder / "out" / "run", staged)
    try:
        document = RunFolder(staged).document()
        results = read_results(staged)
    except (StoreError, RecursionError) as error:
        raise SubmissionError(f"the run is not readable: {error}") from error
    label = _check_document(document, asked)
    _check_results(results, label, document)
    names = [task["name"] for task in document["tasks"]]
    made = _rewrite(staged / OUTPUTS, label, submission.name, names, asked)
    _rewrite(staged / SCORES, label, submission.name, names, asked)
    _take_artefacts(folder / "home" / "artefacts", made)
    notes = [*([OPEN] if facts["isolation"] == "none" else []), *submission.manifest.get("warnings", [])]
    results = [replace(one, model=submission.name, notes=(*one.notes, *notes)) for one in results]
    times = {
        "created": began.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    command = ["audiometry", "run", "-m", spec, "-t", submission.suite]
    document = _renamed(document, submission.name, spec) | times
    document |= {"id": run_id, "command": command, "submission": dict(facts)}
    return document, results, _keep(staged, run_id, document, results)


def _take(run: Path, staged: Path) -> None:
    """Copy the files of a run folder; what is no plain file is refused, what is not ours is left."""
    if run.is_symlink() or not run.is_dir():
        raise SubmissionError("the run left no folder")
    for name, most in FILES.items():
        content = _plain(run / name, most, optional=name == LOG)
        if content is not None:
            with content, (staged / name).open("wb") as target:
                shutil.copyfileobj(content, target)


def _plain(path: Path, most: int, *, optional: bool = False) -> Any:
    """An open plain file of at most so many bytes; None where an optional one is not there."""
    try:
        content = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except FileNotFoundError:
        if optional:
            return None
        raise SubmissionError(f"the run left no {path.name}") from None
    except OSError as error:
        raise SubmissionError(f"the run left a {path.name} that is no plain file: {error.strerror}") from error
    facts = os.fstat(content.fileno())
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > most:
        content.close()
        raise SubmissionError(f"the run left a {path.name} that is no plain file, or has more than {most} bytes")
    return content


def _check_document(document: Mapping[str, Any], asked: Expected) -> str:
    """Whether run.json is of a complete run of the suite; returns the model's label."""
    try:
        (model,) = document["models"]
        tasks = {task["name"]: json.loads(json.dumps(task)) for task in document["tasks"]}
        skipped = {one["task"] for one in document["skipped"]}
        whole = document["status"] == "complete" and document["limit"] is None and document["seed"] == 0
        label = str(model["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise SubmissionError(f"the run's {RUN} is malformed: {type(error).__name__}") from error
    if not whole:
        raise SubmissionError(f"the run is {document['status']!r}, and not a complete one of every sample")
    if not tasks or set(tasks) & skipped or set(tasks) | skipped != set(asked.tasks):
        raise SubmissionError("the run has other tasks than its suite")
    for name, task in tasks.items():
        if any(task.get(key) != asked.tasks[name][key] for key in SAME):
            raise SubmissionError(f"the run's task {name!r} is not the one of the suite")
    return label


def _check_results(results: Sequence[Result], label: str, document: Mapping[str, Any]) -> None:
    metrics = {
        (task["name"], metric["name"]): (task["version"], metric["unit"], metric["direction"])
        for task in document["tasks"]
        for metric in task["metrics"]
    }
    for one in results:
        said = (one.task_version, one.unit, one.direction)
        if one.model != label or metrics.get((one.task, one.metric)) != said:
            raise SubmissionError(f"the run has a result that is none of its suite: {one.task!r}, {one.metric!r}")
    whole = {one.task for one in results if one.slice == "all"}
    if lacking := sorted({task["name"] for task in document["tasks"]} - whole):
        raise SubmissionError(f"the run has no result of task {lacking[0]!r}")


def _rewrite(path: Path, label: str, name: str, tasks: Sequence[str], asked: Expected) -> set[str]:
    """Check a table of evidence, and give the model its name and each sample its sound; returns the artefacts it names.

    Raises SubmissionError where it has not one row for each sample.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    left = {key for key in asked.sound if key[0] in tasks}
    made: set[str] = set()
    changed = path.with_name(f".{path.name}.tmp")
    try:
        schema = _plain_schema(path, len(left))
        repeated = [field.name for field in schema if field.type == pa.string()]
        with (
            pq.ParquetFile(path, read_dictionary=repeated) as source,
            pq.ParquetWriter(changed, schema, compression="zstd") as target,
        ):
            for part in source.iter_batches(ROWS):
                batch = _decoded(part, path.name)
                keys = list(zip(*(batch.column(key).to_pylist() for key in ("task", "sample_id")), strict=True))
                if not set(keys) <= left or len(set(keys)) < len(keys) or set(_texts(batch, "model")) - {label}:
                    raise SubmissionError(f"the run's {path.name} has not one row for each sample of its suite")
                left.difference_update(keys)
                columns: dict[str, Sequence[str | None]] = {
                    "model": [name] * len(keys), "audio": [asked.sound[key] for key in keys],
                }  # fmt: skip
                for column in ("audio_out", "embedding"):
                    made.update(_texts(batch, column))
                target.write_batch(_with(batch, columns))
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise SubmissionError(f"the run's {path.name} is not readable: {type(error).__name__}") from error
    if left:
        raise SubmissionError(f"the run's {path.name} has not one row for each sample of its suite")
    changed.replace(path)
    return made


def _plain_schema(path: Path, rows: int) -> pa.Schema:
    """The columns of a table of evidence, once its footer promises no more than can be read here.

    Raises SubmissionError for more rows or columns, for others than of text, numbers and truth values, and for a part
    that is too large.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as source:
        facts, schema = source.metadata, source.schema_arrow
        if facts.num_rows != rows:
            raise SubmissionError(f"the run's {path.name} has not one row for each sample of its suite")
        if len(schema) > COLUMNS or {field.type for field in schema} - {pa.string(), pa.float64(), pa.bool_()}:
            raise SubmissionError(f"the run's {path.name} has columns that no run writes")
        sizes = [facts.row_group(place).total_byte_size for place in range(facts.num_row_groups)]
        if max(sizes, default=0) > PART_BYTES or sum(sizes) > FILES[path.name]:
            raise SubmissionError(f"the run's {path.name} unpacks to more than may be read of it")
        return schema


def _decoded(part: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """A part of a table, its texts written out: one that is kept once may stand in every row.

    Raises SubmissionError where they take more than `PART_BYTES`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    packed = {place for place, field in enumerate(part.schema) if pa.types.is_dictionary(field.type)}
    columns = {place: part.column(place) for place in packed}
    lengths = (pc.binary_length(column.dictionary).take(column.indices) for column in columns.values())
    if sum(pc.sum(one.cast(pa.int64())).as_py() or 0 for one in lengths) > PART_BYTES:
        raise SubmissionError(f"the run's {name} unpacks to more than may be read of it")
    return pa.RecordBatch.from_arrays(
        [column.dictionary_decode() if place in packed else column for place, column in enumerate(part.columns)],
        names=part.schema.names,
    )


def _texts(batch: pa.RecordBatch, name: str) -> Iterator[str]:
    """The texts of a column that is there, without nulls."""
    if name in batch.schema.names:
        yield from (text for text in batch.column(name).to_pylist() if text is not None)


def _with(batch: pa.RecordBatch, columns: Mapping[str, Sequence[str | None]]) -> pa.RecordBatch:
    import pyarrow as pa

    for name, values in columns.items():
        if name in batch.schema.names:
            place = batch.schema.get_field_index(name)
            batch = batch.set_column(place, batch.schema.field(place), pa.array(values, pa.string()))
    return batch


def _take_artefacts(folder: Path, made: set[str]) -> None:
    """Keep sound and embeddings that the model made, under the hash that they truly have."""
    kept = paths.home() / "artefacts"
    if made:
        kept.mkdir(parents=True, exist_ok=True)
    for name in sorted(made):
        if not ARTEFACT.fullmatch(name):
            raise SubmissionError("the run names an artefact that is none")
        if folder.is_symlink() or (folder / name).parent.is_symlink():
            raise SubmissionError("the run has artefacts behind a link")
        with _plain(folder / name, ARTEFACT_BYTES) as stream:
            _keep_artefact(stream, kept / name)


def _keep_artefact(stream: IO[bytes], place: Path) -> None:
    """Write what is read, piece by piece, to its place, if its hash is what the place is called after."""
    place.parent.mkdir(exist_ok=True)
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    hashed = hashlib.sha256()
    try:
        with temporary.open("wb") as target:
            while piece := stream.read(2**20):
                hashed.update(piece)
                target.write(piece)
        if hashed.hexdigest() != place.stem:
            raise SubmissionError("the run has an artefact that is not what its name says")
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)


def _renamed(document: dict[str, Any], name: str, spec: str) -> dict[str, Any]:
    """run.json with the submission's name, and no path of the scratch folder."""
    (model,) = document["models"]
    named = {**model, "name": name, "spec": spec, "settings": dict(parse_spec(spec).settings)}
    return document | {
        "models": [named], "settings": {**document["settings"], "models": [spec]},
        "timings": [{**timing, "model": name} for timing in document["timings"]],
        "skipped": [{**one, "model": name} for one in document["skipped"]],
    }  # fmt: skip


def _keep(staged: Path, run_id: str, document: Mapping[str, Any], results: Sequence[Result]) -> Path:
    """Put the folder where runs are."""
    folder = RunFolder(staged)
    folder.write_results(str(document["fingerprint"]), results)
    folder.write_json(RUN, document)
    place = paths.runs_folder() / run_id
    place.parent.mkdir(parents=True, exist_ok=True)
    hidden = place.with_name(f".{run_id}")
    try:
        shutil.copytree(staged, hidden)
        hidden.replace(place)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return place
