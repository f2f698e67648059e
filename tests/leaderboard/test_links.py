"""What a view gives away: its permanent link with every choice, and rows without paths of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from drawn_pages import bodies, box, opened, shown

from audiometry.benchmark.store import Store
from audiometry.leaderboard import export
from audiometry.leaderboard.submissions.queue import Queue
from audiometry.leaderboard.views import heat, models, overview, ranking, shared, submissions

AddRun = Callable[..., Path]
Texts = dict[str, Sequence[str]]


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
    """The rows that a download of each view would hold."""
    found: list[pd.DataFrame] = []

    def noted(convert: Callable[[pd.DataFrame], bytes], frame: pd.DataFrame) -> Callable[[], bytes]:
        found.append(frame)
        return lambda: convert(frame)

    monkeypatch.setattr(shared, "partial", noted)
    return found


def link_of(test: Any) -> dict[str, list[str]]:
    """What the permanent link carries."""
    (link,) = [element.value for element in test.code]
    return parse_qs(urlsplit(link).query)


@pytest.mark.parametrize("page", ["ranking", "models", "samples", "slices", "heat", "overview", "compare"])
def test_downloads_tell_no_path_of_the_server(
    page: str, usual_run: Path, tmp_path: Path, downloads: list[pd.DataFrame]
) -> None:
    opened(page)
    assert len(downloads) == len(export.FORMATS)
    for frame in downloads:
        assert len(frame)
        assert not {"folder", "audio"} & set(frame.columns)
        assert str(tmp_path).encode() not in export.to_json(frame)


@pytest.mark.parametrize("page", ["overview", "ranking", "heat", "models"])
def test_a_link_holds_the_page_that_was_turned_to(page: str, usual_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for view in (overview, ranking, heat, models):
        monkeypatch.setattr(view, "ROWS", 1)
    name = {"model": "poor"} if page == "models" else {}
    assert "page" not in link_of(opened(page, **name))
    test = opened(page, page="2", **name)
    assert link_of(test)["page"] == ["2"]
    again = opened(page, **link_of(test))
    assert box(again, "Rows").value == "2"
    assert [element.value for element in again.code] == [element.value for element in test.code]


def test_a_link_holds_the_page_of_a_slice_s_heat_map(usual_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heat, "ROWS", 2)
    assert link_of(opened("heat", show="models by a slice", page="3"))["page"] == ["3"]


def test_a_link_holds_whether_controls_are_drawn(usual_run: Path) -> None:
    test = opened("ranking")
    assert "controls" not in link_of(test)
    test.toggle[0].set_value(True).run()
    link = link_of(test)
    assert link["controls"] == ["on"]
    again = opened("ranking", **link)
    assert again.toggle[0].value
    assert link_of(again) == link
    again.toggle[0].set_value(False).run()
    assert "controls" not in link_of(again)
    assert "controls" not in again.query_params


def test_a_link_holds_the_task_under_history(add_run: AddRun, usual_texts: Texts) -> None:
    add_run(usual_texts, run_id="first")
    other = {
        "name": "wer-tones", "version": "2", "settings": {}, "notes": [], "metrics": [], "samples": 12, "digest": "d2",
    }  # fmt: skip
    add_run(usual_texts, run_id="second", fingerprint="e" * 64, tasks=[other])
    test = opened("models", model="poor")
    chosen = box(test, "Of task").options
    assert len(chosen) == 2
    box(test, "Of task").select_index(1).run()
    link = link_of(test)
    again = opened("models", **link)
    assert box(again, "Of task").index == 1
    assert link_of(again) == link


def test_a_view_without_a_match_has_its_link_too(usual_run: Path) -> None:
    test = opened("samples", model="poor", status="error", group="duration=long")
    assert "No sample is left" in shown(test)
    link = link_of(test)
    assert (link["status"], link["group"], link["model"]) == (["error"], ["duration=long"], ["poor"])
    assert link_of(opened("samples", **link)) == link
    assert "find" in link_of(opened("heat", find="nobody"))


@pytest.mark.parametrize("page", ["slices", "heat"])
def test_a_task_without_slices_has_its_link(page: str, usual_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiometry.leaderboard import board

    monkeypatch.setattr(board, "slice_dimensions", lambda _: [])
    test = opened(page, **({"show": "models by a slice"} if page == "heat" else {}))
    assert "This task has no slices." in shown(test)
    assert link_of(test)["task"] == ["wer-tones"]


def test_a_link_to_a_submission_opens_it_wherever_it_is_listed(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "SIZE", 2)
    assert link_of(opened("submissions")) == {"state": ["any"], "page": ["1"]}
    with Store.open(store_url) as store:
        queue = Queue(store)
        ids = [queue.receive(f"model-{i}", "Ada", "core", {}) for i in range(4)]
    first = opened("submissions")
    listed = box(first, "What happened to").options
    gone = next(name for name in ids if name not in listed)
    test = opened("submissions", submission=gone)
    assert box(test, "What happened to").value == gone
    assert "which is not here" not in shown(test)
    assert link_of(test)["submission"] == [gone]
    assert link_of(opened("submissions", state="rejected", submission=gone))["submission"] == [gone]
    for other in ("20260101-000000-00000000", "<b>no</b>", "\x00"):
        test = opened("submissions", submission=other)
        assert "which is not here" in shown(test)
        assert "<b>no</b>" not in bodies(test)
