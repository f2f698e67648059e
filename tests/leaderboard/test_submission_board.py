"""What people read of the queue's rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from audiometry.benchmark.store import Store
from audiometry.leaderboard import submission_board
from audiometry.leaderboard.submissions.queue import Event, Queue, Submission
from audiometry.leaderboard.submissions.states import STATES

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)>"


def submission(**changes: object) -> Submission:
    facts: dict[str, object] = {
        "id": "20260102-x", "name": "mine", "submitter": "Ada", "suite": "core", "digest": None, "manifest": {},
        "files": [], "state": "queued", "reason": "", "created": NOW, "updated": NOW, "attempts": 0, "owner": None,
        "lease_until": None, "progress": None, "eta_seconds": None, "run_id": None,
    }  # fmt: skip
    return Submission(**(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_meaning(state: str) -> None:
    assert submission_board.how_far(submission(state=state))


def test_progress_and_tries_are_told() -> None:
    far = submission_board.how_far
    assert far(submission(state="running", progress=0.5)) == "50 % of its samples answered"
    assert far(submission(state="running", progress=0.5, eta_seconds=30.0)).endswith(", under a minute left")
    assert far(submission(state="running")) == "a worker runs its suite"
    assert far(submission(attempts=1)) == "waits for a worker again, after 1 try"
    assert far(submission(attempts=2)).endswith("after 2 tries")


def test_only_those_signed_in_see_who_sent_it() -> None:
    assert submission_board.rows_of([submission()], signed_in=False)[0]["submitter"] == ""
    rows = submission_board.rows_of([submission()], signed_in=True)
    assert "Ada" in submission_board.submissions_table(rows, signed_in=True)
    assert "contact" not in rows[0]


def test_texts_from_outside_are_escaped_and_a_long_name_is_cut() -> None:
    one = submission(name=EVIL, state="rejected", reason=EVIL, suite=EVIL, manifest={"warnings": [EVIL]})
    page = submission_board.submissions_table(submission_board.rows_of([one], signed_in=False), signed_in=False)
    page += submission_board.events_table([Event(NOW, "rejected", EVIL)], whole=True)
    assert EVIL not in page
    assert page.count("&lt;img") >= 5
    long = submission_board.rows_of([submission(name="x" * 10_000, state="verified")], signed_in=False)
    assert len(submission_board.submissions_table(long, signed_in=False)) < 3_000


def test_a_verified_one_leads_to_its_model_and_a_failed_try_is_read_with_care() -> None:
    rows = submission_board.rows_of(
        [submission(state="verified", name="a b", run_id="r"), submission(attempts=2, reason="out of memory")],
        signed_in=False,
    )
    page = submission_board.submissions_table(rows, signed_in=False)
    assert 'href="models?model=a+b"' in page
    assert "failed last: out of memory" in page
    assert "tried 2 times" in page


def test_details_of_events_are_for_some() -> None:
    events = [Event(NOW, "received", "from Ada")]
    assert "from Ada" in submission_board.events_table(events, whole=True)
    assert "from Ada" not in submission_board.events_table(events, whole=False)


def test_submissions_are_counted(store_url: str, tmp_path: Path) -> None:
    with Store.open(store_url) as store:
        ids = [Queue(store).receive("mine", "Ada", "core", {}) for _ in range(3)]
        Queue(store).reject(ids[0], "no")
        assert submission_board.count(store) == 3
        assert submission_board.count(store, "rejected") == 1
