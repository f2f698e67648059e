"""The pages of suites, models and pairs of models as Streamlit draws them, without a browser."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from drawn_pages import box, opened, shown
from streamlit.testing.v1 import AppTest

from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Task
from audiometry.leaderboard import navigation

AddRun = Callable[..., Path]
Texts = dict[str, Sequence[str]]
PAGES = ("overview", "heat", "models", "compare")
NASTY = ("<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "x" * 10_000)
SPEC = {
    "name": "wer-tones", "spec": "wer-tones", "version": "1", "settings": {"normaliser": "none-1"}, "notes": [],
    "metrics": [], "samples": 12, "digest": "d1",
}  # fmt: skip


@pytest.mark.parametrize("name", navigation.PAGES)
def test_each_page_has_a_view(name: str) -> None:
    view = importlib.import_module(f"audiometry.leaderboard.views.{name}")
    assert callable(view.show)


def test_the_app_has_every_page(usual_run: Path) -> None:
    from audiometry.leaderboard import app

    test = AppTest.from_file(str(app.__file__), default_timeout=120).run()
    assert not test.exception
    assert "<h1>Leaderboard</h1>" in shown(test)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_store_says_what_to_type(page: str, store_url: str) -> None:
    assert "<code>make demo</code>" in shown(opened(page))


@pytest.mark.parametrize("page", PAGES)
def test_every_view_has_its_link_downloads_and_citation(page: str, usual_run: Path) -> None:
    test = opened(page)
    (link,) = [element.value for element in test.code]
    query = parse_qs(urlsplit(link).query)
    assert query
    assert [button.label for button in test.get("download_button")] == [
        "Download CSV", "Download JSON", "Download Parquet",
    ]  # fmt: skip
    assert "Audiometry leaderboard: " in shown(test)
    again = opened(page, **{name: values[0] for name, values in query.items()})
    assert [element.value for element in again.code] == [link]
    assert "which is not here" not in shown(again)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", NASTY)
def test_names_from_outside_are_text(page: str, name: str, add_run: AddRun, usual_texts: Texts) -> None:
    add_run({name: [name[:50]] * 12, "poor": usual_texts["poor"]}, controls=())
    test = opened(page, **({"model": name} if page == "models" else {}))
    bodies = "\n".join(element.body for element in test.html)
    assert "<img src=x" not in bodies
    assert name[:17] in shown(test)
    for element in (*test.markdown, *test.caption):
        assert name not in element.value


def test_the_overview_ranks_by_pairs_where_it_can(installed_task: Task, add_run: AddRun, usual_texts: Texts) -> None:
    folder = add_run(usual_texts, tasks=[SPEC], failed=[("poor", "clip-03")])
    test = opened("overview")
    text = shown(test)
    assert box(test, "Suite").value == "tones"
    assert "Ranks within all 1 tasks by paired comparison" in text
    assert text.index("also-good") < text.index(">poor<") < text.index("Controls, never ranked") < text.index("oracle")
    (folder / "scores.parquet").unlink()
    from audiometry.leaderboard import paired_ranks

    paired_ranks._places.cache_clear()
    assert "by overlap of 95 % intervals (the scores of run" in shown(opened("overview"))


def test_the_overview_without_the_task_says_that_intervals_were_taken(usual_run: Path) -> None:
    test = opened("overview")
    assert box(test, "Suite").value == "every task"
    assert "by overlap of 95 % intervals (the task is not installed here)" in shown(test)


def test_the_ranking_tells_pairs_from_intervals(installed_task: Task, add_run: AddRun, usual_texts: Texts) -> None:
    add_run(usual_texts, tasks=[SPEC])
    assert "Ranks by paired comparison, sample by sample." in shown(opened("ranking"))
    assert "only a task's headline is compared in pairs here" in shown(opened("ranking", metric="cer"))


def test_finding_a_model_keeps_the_ranks_and_the_address(usual_run: Path) -> None:
    test = opened("overview", find="POOR")
    assert test.text_input[0].value == "POOR"
    text = shown(test)
    assert "also-good" not in text.split("Task")[0]
    assert "find=POOR" in test.code[0].value
    test.text_input[0].set_value("").run()
    assert "find" not in test.query_params
    assert "also-good" in shown(test)


def test_origins_are_shown_and_chosen(add_run: AddRun, usual_texts: Texts, store_url: str, tmp_path: Path) -> None:
    from audiometry.benchmark.runfolder import read_results

    folder = add_run({"poor": usual_texts["poor"]}, run_id="one")
    other = add_run({"also-good": usual_texts["also-good"]}, run_id="two")
    with Store.open(store_url) as store:
        document = json.loads((other / "run.json").read_text())
        store.add_run(document, read_results(other), str(other), origin="self-reported")
    text = shown(opened("overview"))
    assert ">self-reported<" in text
    assert ">local<" in text
    only = opened("overview", origin="self-reported")
    assert box(only, "Origin").value == "self-reported"
    assert ">poor<" not in shown(only)
    assert "self-reported" in shown(opened("models", model="also-good"))
    compared = opened("compare", a="poor", b="also-good")
    assert not compared.get("audio")
    assert folder.exists()


def test_pages_of_rows_are_turned(add_run: AddRun, usual_texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiometry.leaderboard.views import overview

    monkeypatch.setattr(overview, "ROWS", 2)
    add_run(usual_texts)
    test = opened("overview")
    rows = box(test, "Rows")
    assert rows.options == ["1 to 2 of 5", "3 to 4 of 5", "5 to 5 of 5"]
    rows.set_value("2").run()
    assert test.query_params["page"] == "2"
    table = next(element.body for element in test.html if "am-rank" in element.body)
    assert "also-good" not in table
    assert "poor" in table


def test_the_heat_map_of_tasks_and_of_slices(usual_run: Path) -> None:
    test = opened("heat")
    assert 'class="am-h7 am-top"' in shown(test)
    box(test, "Show").set_value("models by a slice").run()
    assert not test.exception
    assert box(test, "Slice by").options == ["duration", "voice"]
    assert "long" in shown(test)
    assert "No model is left" in shown(opened("heat", find="nobody"))


def test_a_model_s_page_holds_everything(usual_run: Path) -> None:
    test = opened("models", model="poor")
    text = shown(test)
    for sign in ("Fingerprint", "CER", "WER", "these speakers only", "v1", "CO2e"):
        assert sign in text
    assert test.get("plotly_chart")


def test_two_models_are_compared_and_heard(installed_task: Task, add_run: AddRun, usual_texts: Texts) -> None:
    add_run(usual_texts, tasks=[SPEC])
    test = opened("compare", a="also-good", b="poor")
    text = shown(test)
    assert "B (poor) is worse than A (also-good)" in text
    assert "duration=short" in text
    assert len(test.get("audio")) == 2
    options = box(test, "Sample").options
    assert 1 <= len(options) <= 10
    box(test, "Sample").set_value(box(test, "Sample").options[-1].split("   ")[0]).run()
    assert not test.exception
    assert "sample" in test.query_params


def test_what_two_models_do_not_share_is_told(add_run: AddRun, usual_texts: Texts) -> None:
    add_run({"poor": usual_texts["poor"]}, run_id="one")
    assert "There is only one model here" in shown(opened("compare"))
    part = SPEC | {"digest": "d2", "samples": 5}
    add_run({"also-good": usual_texts["also-good"]}, run_id="two", tasks=[part])
    assert "No task was measured on both" in shown(opened("compare"))


def test_a_comparison_that_cannot_be_made_says_why(usual_run: Path) -> None:
    assert "No paired comparison: " in shown(opened("compare", a="poor", b="also-good"))


@pytest.mark.parametrize("page", ["overview", "heat"])
def test_the_board_opens_at_a_suite_that_ranks_somebody(
    page: str, installed_task: Task, add_run: AddRun, usual_texts: Texts
) -> None:
    add_run({"poor": usual_texts["poor"]}, tasks=[SPEC], controls=())
    assert box(opened(page), "Suite").value == "tones"  # where no suite ranks two, the most complete one
    newer = {"run_id": "newer", "fingerprint": "e" * 64, "created": "2026-11-23T00:00:00+00:00"}
    add_run(usual_texts, tasks=[SPEC | {"version": "2", "digest": "d2"}], **newer)
    test = opened(page)
    assert box(test, "Suite").options == ["every task (1)", "tones 3 (1 of 1 tasks)"]
    assert box(test, "Suite").value == "every task"
    assert box(opened(page, suite="tones"), "Suite").value == "tones"
