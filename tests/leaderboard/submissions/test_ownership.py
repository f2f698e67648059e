"""Whose a name on the board is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Result
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.ownership import check_name_is_free
from audiometry.leaderboard.submissions.queue import Queue


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as found:
        yield found


def measured(store: Store, model: str, origin: str) -> None:
    """Put in a run of one model."""
    run = {
        "id": f"{model}-{origin}", "fingerprint": "f", "created": "2026-01-01T00:00:00+00:00", "finished": None,
        "status": "complete", "seed": 0, "limit": None, "timings": [],
        "models": [{"name": model, "spec": model, "fingerprint": "f", "control": False, "settings": {}}],
        "tasks": [{"name": "t", "version": "1", "settings": {}, "digest": "d", "samples": 1}],
    }  # fmt: skip
    result = Result(
        run="f", model=model, task="t", task_version="1", metric="m", slice="all", value=0.5, low=None, high=None, n=1,
        failed=0, empty=0, refused=0, unparsed=0, judges=(), seed=0, unit="fraction", direction="lower", notes=(),
    )  # fmt: skip
    store.add_run(run, [result], "/nowhere", origin=origin)


def test_the_first_to_submit_keeps_the_name(opened: Store) -> None:
    queue = Queue(opened)
    check_name_is_free(opened, "mine", "ada")
    queue.receive("mine", "ada", "smoke", {})
    check_name_is_free(opened, "mine", "ada")
    with pytest.raises(SubmissionError, match="'mine' is taken: somebody else has submitted under it; choose another"):
        check_name_is_free(opened, "mine", "ben")


def test_a_rejected_submission_holds_no_name(opened: Store) -> None:
    queue = Queue(opened)
    queue.reject(queue.receive("mine", "ada", "smoke", {}), "it was bad")
    check_name_is_free(opened, "mine", "ben")


def test_a_model_of_the_harness_cannot_be_impersonated(opened: Store) -> None:
    with pytest.raises(SubmissionError, match="comes with the harness"):
        check_name_is_free(opened, "whisper", "ada")


def test_a_model_that_was_measured_here_cannot_be_impersonated(opened: Store) -> None:
    measured(opened, "house-model", "local")
    measured(opened, "told", "self-reported")
    with pytest.raises(SubmissionError, match="was measured here"):
        check_name_is_free(opened, "house-model", "ada")
    check_name_is_free(opened, "told", "ada")


ALIKE = [
    ("whisper-of-mine", "whisper\u200b-of-mine"),
    ("whisper-of-mine", "Whisper-Of-Mine"),
    ("whisper-of-mine", "ｗhisper-of-mine"),
    ("whisper-of-mine", "whisper-\u2060of\ufe0f-mine"),
    ("small but mine", "small  but\u00a0mine"),
    ("caf\u00e9", "cafe\u0301"),
    ("straße", "STRASSE"),
    ("a\u3164b", "ab"),
]


@pytest.mark.parametrize(("first", "second"), ALIKE, ids=range(len(ALIKE)))
def test_names_that_look_alike_are_one(opened: Store, first: str, second: str) -> None:
    Queue(opened).receive(first, "ada", "smoke", {})
    measured(opened, f"house {second}", "local")
    check_name_is_free(opened, second, "ada")
    with pytest.raises(SubmissionError, match="somebody else has submitted under it"):
        check_name_is_free(opened, second, "ben")
    with pytest.raises(SubmissionError, match="was measured here"):
        check_name_is_free(opened, f"house {first}", "ada")


@pytest.mark.parametrize(
    "name", ["Whisper", "whi\u200bsper", "whisper:", "whisper:model=base,beam=5", "WHISPER ：beam=5", "whisper :x"],
    ids=range(6),
)  # fmt: skip
def test_a_registered_name_in_disguise_is_taken(opened: Store, name: str) -> None:
    with pytest.raises(SubmissionError, match="comes with the harness"):
        check_name_is_free(opened, name, "ada")


def test_names_that_only_begin_alike_are_free(opened: Store) -> None:
    Queue(opened).receive("mine", "ada", "smoke", {})
    measured(opened, "house-model", "local")
    for name in (
        "mine 2",
        "house-model:x",
        "whisperer",
        "whispers: mine",
        "x" * 10_000,
        "<img src=x onerror=alert(1)>",
    ):
        check_name_is_free(opened, name, "ben")


def test_many_long_names_are_compared_in_a_moment(opened: Store) -> None:
    queue = Queue(opened)
    for place in range(50):
        queue.receive(f"{place} {'é' * 9_990}", "ada", "smoke", {})
    began = time.perf_counter()
    check_name_is_free(opened, "é" * 10_000, "ben")
    assert time.perf_counter() - began < 5
