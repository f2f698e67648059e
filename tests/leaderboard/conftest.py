"""A run folder as the engine leaves it, with sound that was made here, and a store that holds it."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pandas as pd
import pytest
import soundfile
from browsing import launched
from playwright.sync_api import Browser

from audiometry.benchmark.registry import SUITES, TASKS, Entry
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Metric, Output, Result, Sample, Score, ScoreTable, Suite, Task

TASK = "wer-tones"
RATE = 16_000
SENTENCES = (
    "please press one to leave a message", "the number you have dialed is not in service",
    "your call is important to us", "thank you goodbye", "all lines are busy now please try again later",
    "to hear this menu again press the star key", "you have seven new messages",
    "the conference is locked", "please enter your pin followed by the pound key", "one moment please",
    "the party you are calling is on another line", "message deleted",
)  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """One made recording: an id, its text, its group, and the file that holds it."""

    id: str
    text: str
    group: str
    path: Path
    seconds: float


def answers(clips: Sequence[Clip], share: float, seed: int) -> list[str]:
    """Texts with about `share` of their words changed, left out or doubled."""
    chance = random.Random(seed)

    def hear(word: str) -> list[str]:
        if chance.random() >= share:
            return [word]
        return chance.choice([["noise"], [], [word, "uh"]])

    return [" ".join(heard for word in clip.text.split() for heard in hear(word)) for clip in clips]


def make_clips(folder: Path, number: int = 12) -> list[Clip]:
    """Falling tones of 0.8 to 2 s."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for i in range(number):
        seconds = 0.8 + 0.1 * i
        time = np.arange(int(RATE * seconds)) / RATE
        tone = 0.4 * np.sin(2 * np.pi * (300 + 40 * i) * time) * np.exp(-time)
        path = folder / f"clip-{i:02d}.wav"
        soundfile.write(path, tone.astype(np.float32), RATE)
        group = "short" if seconds < 1.4 else "long"
        clips.append(Clip(f"clip-{i:02d}", SENTENCES[i % len(SENTENCES)], group, path, seconds))
    return clips


def score_line(model: str, clip: Clip, text: str, status: str) -> dict[str, Any]:
    measured = jiwer.process_words(clip.text, text) if text.strip() else None
    said = len(clip.text.split())
    counts = (
        {name: getattr(measured, name) for name in ("hits", "substitutions", "deletions", "insertions")}
        if measured
        else {"hits": 0, "substitutions": 0, "deletions": said, "insertions": 0}
    )
    details = {
        "reference": clip.text.capitalize() + ".", "hypothesis": text, "reference_normalised": clip.text,
        "hypothesis_normalised": text,
    }  # fmt: skip
    return (
        {"model": model, "task": TASK, "sample_id": clip.id, "status": status, "cluster": clip.id, "stratum": ""}
        | {f"count.{name}": float(value) for name, value in counts.items()}
        | {"count.reference": float(said), "slice.duration": clip.group, "slice.voice": "made"}
        | {f"detail.{name}": value for name, value in details.items()}
    )


def results_of(run: str, scores: pd.DataFrame, controls: Sequence[str], notes: Sequence[str]) -> list[Result]:
    found = []
    for model in dict.fromkeys(scores["model"]):
        mine = scores[scores["model"] == model]
        parts = {"all": mine, "voice=made": mine}
        parts |= {f"duration={group}": mine[mine["slice.duration"] == group] for group in ("short", "long")}
        for metric in ("wer", "cer"):
            for name, part in parts.items():
                errors = part[["count.substitutions", "count.deletions", "count.insertions"]].sum(axis="columns")
                said = part["count.reference"]
                value = errors.sum() / said.sum()
                spread = 1.96 * np.sqrt(((errors - value * said) ** 2).sum()) / said.sum()
                more = ["same samples as all"] if name == "voice=made" else []
                found.append(
                    Result(
                        run=run, model=model, task=TASK, task_version="1", metric=metric, slice=name,
                        value=float(value), low=max(0.0, float(value - spread)), high=float(value + spread),
                        n=len(part), failed=int((part["status"] == "error").sum()),
                        empty=int((part["status"] == "empty").sum()),
                        control=model in controls, notes=(*notes, *more),
                    )
                )  # fmt: skip
    return found


def write_run(
    folder: Path,
    clips: Sequence[Clip],
    texts: dict[str, Sequence[str]],
    *,
    controls: Sequence[str] = ("oracle", "silent"),
    notes: Sequence[str] = ("these speakers only",),
    failed: Sequence[tuple[str, str]] = (),
    run_id: str = "20261122-155501-ab12cd34",
    **changes: Any,
) -> tuple[dict[str, Any], list[Result]]:
    """Write a run folder of `texts` by model, and give back its run.json and its results."""
    folder.mkdir(parents=True)
    outputs, scores = [], []
    for model, answers_ in texts.items():
        for clip, text in zip(clips, answers_, strict=True):
            status = "error" if (model, clip.id) in failed else "ok" if text.strip() else "empty"
            heard = "" if status == "error" else text
            scores.append(score_line(model, clip, heard, status))
            outputs.append({
                "model": model, "task": TASK, "sample_id": clip.id, "status": status, "text": heard or None,
                "score": None, "error": "out of memory" if status == "error" else None, "total_seconds": 0.05,
                "audio": str(clip.path), "audio_start": 0.0, "audio_end": None, "audio_seconds": clip.seconds,
            })  # fmt: skip
    pd.DataFrame(outputs).to_parquet(folder / "outputs.parquet")
    table = pd.DataFrame(scores)
    table.to_parquet(folder / "scores.parquet")
    seconds = sum(clip.seconds for clip in clips)
    run = {
        "id": run_id, "fingerprint": "f" * 64, "created": "2026-11-22T15:55:01+00:00",
        "finished": "2026-11-22T15:56:01+00:00", "status": "complete", "command": ["audiometry", "run"], "seed": 0,
        "limit": None, "versions": {}, "hardware": {},
        "models": [
            {"name": model, "spec": model, "fingerprint": "x", "control": model in controls, "settings": {}}
            for model in texts
        ],
        "tasks": [{
            "name": TASK, "version": "1", "settings": {"normaliser": "none-1"}, "notes": list(notes),
            "metrics": [], "samples": len(clips), "digest": "d1",
        }],
        "timings": [
            {"model": model, "task": TASK, "seconds": 0.6, "audio_seconds": seconds, "rtfx": seconds / 0.6}
            for model in texts if model not in controls
        ],
    } | changes  # fmt: skip
    results = results_of(run["fingerprint"], table, controls, notes)
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "results.json").write_text(
        json.dumps({"run": run["fingerprint"], "results": [asdict(result) for result in results]})
    )
    return run, results


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit's test runner leaves its script as ``__main__``, and a process spawned later would run that again."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    return make_clips(tmp_path / "sounds")


@pytest.fixture
def usual_texts(clips: list[Clip]) -> dict[str, Sequence[str]]:
    """Two models that the samples tell apart, one that they do not, and two controls."""
    return {
        "good:beam=5": answers(clips, 0.08, seed=1),
        "also-good": answers(clips, 0.10, seed=2),
        "poor": answers(clips, 0.70, seed=3),
        "oracle": [clip.text for clip in clips],
        "silent": ["" for _ in clips],
    }


@pytest.fixture
def store_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store, which the pages open."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("AUDIOMETRY_STORE", url)
    return url


AddRun = Callable[..., Path]


@pytest.fixture
def add_run(tmp_path: Path, clips: list[Clip], store_url: str) -> AddRun:
    """Write a run folder and put it into the store; gives the folder back."""

    def add(texts: dict[str, Sequence[str]], **settings: Any) -> Path:
        folder = tmp_path / "runs" / settings.get("run_id", "run")
        run, results = write_run(folder, clips, texts, **settings)
        with Store.open(store_url) as store:
            store.add_run(run, results, str(folder))
        return folder

    return add


@pytest.fixture
def usual_run(add_run: AddRun, usual_texts: dict[str, Sequence[str]]) -> Path:
    """A store with one run of `usual_texts`, in which one sample failed."""
    return add_run(usual_texts, failed=[("poor", "clip-03")])


def tones_task() -> Task:
    """The task that `write_run` writes runs of, as a plug-in would bring it."""

    def reduce(table: ScoreTable, weights: np.ndarray) -> dict[str, np.ndarray]:
        errors = weights @ sum(table.cluster_sums(name) for name in ("substitutions", "deletions", "insertions"))
        said = weights @ table.cluster_sums("reference")
        return {"wer": np.divide(errors, said, out=np.full(len(said), np.nan), where=said > 0)}

    def score(sample: Sample, output: Output) -> Score:
        raise AssertionError((sample, output))

    return Task(
        TASK, "1", "transcribe", lambda: (), score, reduce,
        (Metric("wer", events="substitutions"), Metric("cer")), settings={"normaliser": "none-1"},
    )  # fmt: skip


@pytest.fixture
def installed_task(monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    """The task of these runs; it and a suite that holds it are registered, as a plug-in's would be."""
    from audiometry.leaderboard import paired_ranks, suite_board

    caches = (paired_ranks._places, suite_board._identity, suite_board._registered)
    monkeypatch.setitem(TASKS._entries, TASK, Entry(TASK, tones_task, "Falling tones.", "tests"))
    suite = Entry("tones", lambda: Suite("3", {TASK: 2.0}), "Tones.", "tests")
    monkeypatch.setitem(SUITES._entries, "tones", suite)
    for cache in caches:
        cache.cache_clear()
    yield tones_task()
    for cache in caches:
        cache.cache_clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    with launched() as chromium:
        yield chromium


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, so that a test sees whether any is left."""
    made = tmp_path / "scratch"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made
