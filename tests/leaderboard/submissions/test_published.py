"""What a run folder that somebody else wrote must be before it is published, and what of it is kept."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions import published as module
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.published import OPEN, Expected, expected, published
from audiometry.leaderboard.submissions.queue import Submission

PLUGIN = str(Path(__file__).with_name("prying.py"))
NOW = datetime.now(UTC)
SUBMISSION = Submission(
    id="20261122-155501-ab12cd34", name="<b>mine</b>", submitter="ada", suite="prying-suite", digest="d" * 64,
    manifest={}, files=[], state="running", reason="", created=NOW, updated=NOW, attempts=1, owner="one",
    lease_until=NOW, progress=None, eta_seconds=None, run_id=None,
)  # fmt: skip
FACTS = {"submission": SUBMISSION.id, "isolation": "no network, namespaces of its own"}


@pytest.fixture(scope="module")
def made(ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Expected]:
    """A scratch folder as a box leaves it, and what the suite asks."""
    folder = tmp_path_factory.mktemp("made")
    corpus = folder / "home" / "corpora" / "prying"
    corpus.mkdir(parents=True)
    for number in range(4):
        soundfile.write(corpus / f"{number}.wav", np.zeros(16000), 16000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOMETRY_HOME", str(folder / "home"))
        patch.delenv("AUDIOMETRY_STORE", raising=False)
        settings = RunSettings(
            models=(f"prying:path={folder}",), tasks=("prying-suite",), plugins=(PLUGIN,), resamples=100
        )  # fmt: skip
        evaluate(settings, output=folder / "out" / "run", quiet=True)
        asked = expected("prying-suite", (PLUGIN,))
    return folder, asked


@pytest.fixture
def scratch(made: tuple[Path, Expected], tmp_path: Path) -> Path:
    """A copy to tamper with."""
    shutil.copytree(made[0], tmp_path / "scratch")
    return tmp_path / "scratch"


def publish(scratch: Path, asked: Expected, **given: Any) -> Any:
    return published(SUBMISSION, scratch, asked, "prying:path=ckpt", {**FACTS, **given}, NOW)


def edit(file: Path, change: Callable[[Any], Any]) -> None:
    document = json.loads(file.read_text())
    changed = change(document)
    file.write_text(json.dumps(document if changed is None else changed))


def edit_table(file: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    frame = change(pd.read_parquet(file))
    schema = pa.schema([field for field in pq.read_schema(file) if field.name in frame.columns])
    pq.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), file)


def test_what_is_kept(home: Path, scratch: Path, made: tuple[Path, Expected]) -> None:
    (scratch / "out" / "run" / "extra").write_text("not ours")
    run, results, folder = publish(scratch, made[1])
    assert run["id"].startswith(f"{SUBMISSION.id}-")
    assert folder == home / "runs" / run["id"]
    assert sorted(one.name for one in folder.iterdir()) == [
        "log.jsonl", "outputs.parquet", "results.json", "run.json", "scores.parquet",
    ]  # fmt: skip
    assert {one.model for one in results} == {SUBMISSION.name}
    assert json.loads((folder / "run.json").read_text()) == run
    assert run["models"][0]["spec"] == "prying:path=ckpt"
    assert run["models"][0]["settings"] == {"path": "ckpt"}
    assert run["command"] == ["audiometry", "run", "-m", "prying:path=ckpt", "-t", "prying-suite"]
    assert run["submission"] == FACTS
    assert abs(datetime.fromisoformat(run["created"]) - NOW) < timedelta(seconds=1)
    with Store.open() as store:
        assert store.add_run(run, results, str(folder), origin="verified")
        assert list(store.results(slice="all")["model"]) == [SUBMISSION.name]


def test_a_run_without_isolation_says_so_beside_its_numbers(
    home: Path, scratch: Path, made: tuple[Path, Expected]
) -> None:
    del home
    _, results, _ = publish(scratch, made[1], isolation="none")
    assert all(OPEN in one.notes for one in results)


def test_what_the_checks_warned_of_stands_beside_the_numbers(
    home: Path, scratch: Path, made: tuple[Path, Expected]
) -> None:
    del home
    warned = replace(SUBMISSION, manifest={"warnings": ["trained on it"]})
    _, results, _ = published(warned, scratch, made[1], "prying", FACTS, NOW)
    assert all(one.notes[-1] == "trained on it" for one in results)


def no_plain_file(run: Path) -> None:
    (run / "results.json").unlink()
    (run / "results.json").symlink_to("/etc/passwd")


def behind_a_link(run: Path) -> None:
    run.rename(run.with_name("elsewhere"))
    run.symlink_to("elsewhere")


def artefacts_behind_a_link(run: Path) -> None:
    artefacts = run.parents[1] / "home" / "artefacts"
    artefacts.rename(artefacts.with_name("elsewhere"))
    artefacts.symlink_to("elsewhere")


def a_pipe(run: Path) -> None:
    (run / "results.json").unlink()
    os.mkfifo(run / "results.json")


def of_task(**changes: Any) -> Callable[[Path], None]:
    return lambda run: edit(run / "run.json", lambda document: document["tasks"][0].update(changes))


def of_result(**changes: Any) -> Callable[[Path], None]:
    return lambda run: edit(run / "results.json", lambda document: document["results"][0].update(changes))


def of_run(**changes: Any) -> Callable[[Path], None]:
    return lambda run: edit(run / "run.json", lambda document: document.update(changes))


def of_table(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return lambda run: edit_table(run / name, change)


def with_column(column: pa.Array) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        table = pq.read_table(run / "outputs.parquet")
        pq.write_table(table.append_column("more", column), run / "outputs.parquet", compression="zstd")

    return change


def too_long(run: Path) -> None:
    (run / "results.json").write_text((run / "results.json").read_text() + " " * 2**25)


ROWS = "has not one row for each sample of its suite"
TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no run": (lambda run: (run / "run.json").unlink(), "left no run.json"),
    "no evidence": (lambda run: (run / "scores.parquet").unlink(), "left no scores.parquet"),
    "a link": (no_plain_file, "left a results.json that is no plain file"),
    "a linked folder": (behind_a_link, "left no folder"),
    "a linked folder of artefacts": (artefacts_behind_a_link, "artefacts behind a link"),
    "a pipe": (a_pipe, "left a results.json that is no plain file"),
    "no JSON": (lambda run: (run / "run.json").write_text("{"), "not readable"),
    "no results": (lambda run: (run / "results.json").write_text("{}"), "not readable"),
    "a list": (lambda run: (run / "run.json").write_text("[]"), "malformed"),
    "two models": (lambda run: edit(run / "run.json", lambda d: d["models"].append(d["models"][0])), "malformed"),
    "partial": (of_run(status="partial"), "'partial', and not a complete one"),
    "limited": (of_run(limit=2), "not a complete one of every sample"),
    "another seed": (of_run(seed=3), "not a complete one"),
    "no tasks": (of_run(tasks=[]), "other tasks than its suite"),
    "a task left out": (
        of_run(tasks=[], skipped=[{"task": "prying-clips", "model": "m", "ability": "a"}]), "other tasks",
    ),
    "another version": (of_task(version="2"), "'prying-clips' is not the one of the suite"),
    "fewer samples": (of_task(samples=3), "is not the one of the suite"),
    "other data": (of_task(digest="0" * 64), "is not the one of the suite"),
    "another direction": (of_task(metrics=[]), "is not the one of the suite"),
    "another model's result": (of_result(model="whisper"), "a result that is none of its suite"),
    "another task's result": (of_result(task="wer"), "a result that is none of its suite"),
    "another metric": (of_result(metric="accuracy"), "a result that is none of its suite"),
    "upside down": (of_result(direction="higher"), "a result that is none of its suite"),
    "no result": (lambda run: edit(run / "results.json", lambda d: d["results"].clear()), "has no result of task"),
    "a row less": (of_table("outputs.parquet", lambda frame: frame[1:]), ROWS),
    "a row twice": (of_table("scores.parquet", lambda frame: pd.concat([frame, frame[:1]])), ROWS),
    "another sample": (of_table("scores.parquet", lambda frame: frame.assign(sample_id="x")), ROWS),
    "another model": (of_table("outputs.parquet", lambda frame: frame.assign(model="whisper")), ROWS),
    "no model": (of_table("outputs.parquet", lambda frame: frame.drop(columns="task")), "not readable"),
    "much in a few bytes": (
        with_column(pa.array(["x" * 2**21] * 4)), "outputs.parquet unpacks to more than may be read of it",
    ),
    "other columns": (with_column(pa.array([["x"]] * 4)), "outputs.parquet has columns that no run writes"),
    "long results": (too_long, "left a results.json that is no plain file, or has more than"),
    "deep results": (lambda run: (run / "results.json").write_text("[" * 100_000), "not readable"),
    "no table": (lambda run: (run / "outputs.parquet").write_text("PAR1 no"), "not readable"),
    "a path out": (
        of_table("outputs.parquet", lambda frame: frame.assign(audio_out="../../secret.wav")), "artefact that is none",
    ),
    "sound that is not there": (
        of_table("outputs.parquet", lambda frame: frame.assign(audio_out=f"00/{'0' * 64}.wav")), "left no 000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_what_is_not_published(
    home: Path, scratch: Path, made: tuple[Path, Expected], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tamper, reason = TAMPERED[how]
    tamper(scratch / "out" / "run")
    monkeypatch.setattr(module, "PART_BYTES", 2**22)  # so that what is too large is made in a moment
    with pytest.raises(SubmissionError, match=reason):
        publish(scratch, made[1])
    assert not list(home.glob("runs/*"))


def test_a_part_that_is_large_by_its_footer_is_not_read(
    home: Path, scratch: Path, made: tuple[Path, Expected], monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    monkeypatch.setattr(module, "PART_BYTES", 100)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_: pytest.fail("it was read"))
    with pytest.raises(SubmissionError, match="unpacks to more than may be read of it"):
        publish(scratch, made[1])


def test_evidence_goes_through_as_it_was(home: Path, scratch: Path, made: tuple[Path, Expected]) -> None:
    del home
    before = pd.read_parquet(scratch / "out" / "run" / "scores.parquet")
    _, _, folder = publish(scratch, made[1])
    after = pd.read_parquet(folder / "scores.parquet")
    pd.testing.assert_frame_equal(after.drop(columns="model"), before.drop(columns="model"))
    schemas = [pq.read_schema(one / "outputs.parquet") for one in (scratch / "out" / "run", folder)]
    assert schemas[0].equals(schemas[1])


def test_a_folder_that_cannot_be_kept_whole_is_not_kept(
    home: Path, scratch: Path, made: tuple[Path, Expected], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: Path, target: Path) -> None:
        target.mkdir()
        shutil.copy(source / "run.json", target)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copytree", half)
    with pytest.raises(OSError, match="No space left"):
        publish(scratch, made[1])
    assert list((home / "runs").iterdir()) == []


def test_sound_under_another_hash(home: Path, scratch: Path, made: tuple[Path, Expected]) -> None:
    (sound,) = (scratch / "home" / "artefacts").glob("*/*.wav")
    sound.write_bytes(b"another")
    with pytest.raises(SubmissionError, match="artefact that is not what its name says"):
        publish(scratch, made[1])
    assert not list(home.glob("runs/*"))


def test_evidence_names_the_suites_own_files_alone(home: Path, scratch: Path, made: tuple[Path, Expected]) -> None:
    del home
    edit_table(scratch / "out" / "run" / "outputs.parquet", lambda frame: frame.assign(audio="/etc/shadow"))
    _, _, folder = publish(scratch, made[1])
    outputs = pd.read_parquet(folder / "outputs.parquet")
    assert sorted(outputs["audio"]) == sorted(str(path) for path in made[1].sound.values())
    assert outputs.set_index("sample_id")["audio"].to_dict() == {key[1]: path for key, path in made[1].sound.items()}
