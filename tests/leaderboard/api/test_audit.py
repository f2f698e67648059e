"""The audit log: what is recorded comes back, newest first, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit


def test_what_is_recorded_comes_back(api_store: Store) -> None:
    audit.record(api_store, "ann", "token created", "abc", {"role": "viewer", "expires": None})
    audit.record(api_store, "<b>bob</b>", "submitted", "s1")
    second, first = audit.entries(api_store)
    assert (first.actor, first.action, first.subject) == ("ann", "token created", "abc")
    assert first.detail == {"role": "viewer", "expires": None}
    assert (second.actor, second.detail) == ("<b>bob</b>", {})
    assert first.id < second.id
    assert abs(datetime.now(UTC) - first.at) < timedelta(seconds=30)


def test_an_entry_belongs_to_its_transaction(api_store: Store) -> None:
    with api_store.writing() as connection:
        audit.record(connection, "ann", "token created", "abc")
        connection.rollback()
    assert audit.entries(api_store) == []


def test_entries_are_chosen_and_paged(api_store: Store) -> None:
    for number in range(6):
        audit.record(api_store, "ann" if number % 2 else "bob", f"did {number // 3}", str(number))
    assert [one.subject for one in audit.entries(api_store)] == list("543210")
    assert [one.subject for one in audit.entries(api_store, actor="ann")] == list("531")
    assert [one.subject for one in audit.entries(api_store, action="did 0", actor="bob")] == list("20")
    first = audit.entries(api_store, limit=4)
    assert [one.subject for one in audit.entries(api_store, before=first[-1].id, limit=4)] == list("10")
    assert audit.entries(api_store, since=datetime.now(UTC) + timedelta(hours=1)) == []
    assert len(audit.entries(api_store, since=first[0].at - timedelta(hours=1))) == 6
