"""Ranks of the static board are those of the leaderboard's own pages, of a task and of a suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path

import pytest
from drawn_pages import opened, shown

from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Task
from audiometry.leaderboard import board, paired_ranks
from audiometry.leaderboard.site.build import site_files

AddRun = Callable[..., Path]
Texts = dict[str, Sequence[str]]
SPEC = {
    "name": "wer-tones", "spec": "wer-tones", "version": "1", "settings": {"normaliser": "none-1"}, "notes": [],
    "metrics": [], "samples": 12, "digest": "d1",
}  # fmt: skip
PAIRED = "Ranks by paired comparison, sample by sample."


@pytest.fixture
def site(installed_task: Task, add_run: AddRun, usual_texts: Texts, store_url: str) -> dict[str, str]:
    add_run(usual_texts, tasks=[SPEC], failed=[("poor", "clip-03")])
    return files_of(store_url)


def files_of(store_url: str) -> dict[str, str]:
    with Store.open(store_url) as store:
        return {name: unescape(content.decode()) for name, content in site_files(store)}


def test_a_task_is_ranked_by_pairs_as_on_its_page(site: dict[str, str], store_url: str) -> None:
    with Store.open(store_url) as store:
        results = store.results(metric="wer", slice="all")
        pairs = paired_ranks.pair_task(store, "wer-tones", board.ranking(results))
    assert pairs.places
    wanted = {row["model"]: row for row in board.records(board.ranking(results, pairs.places))}
    found = {row["model"]: row for row in json.loads(site["board.json"])}
    for name, row in wanted.items():
        assert {key: found[name][key] for key in ("rank", "tie_group", "origin", "place")} == {
            key: row[key] for key in ("rank", "tie_group", "origin", "place")
        }
    (page,) = [text for name, text in site.items() if name.startswith("protocols/") and name.endswith("index.html")]
    assert PAIRED in page
    assert PAIRED in shown(opened("ranking"))
    (other,) = [text for name, text in site.items() if name.endswith("metric-cer.html")]
    assert "Ranks by overlap of 95 % intervals (only a task's headline is compared in pairs here)." in other


def test_without_evidence_the_reason_is_told(site: dict[str, str], tmp_path: Path, store_url: str) -> None:
    (tmp_path / "runs" / "run" / "scores.parquet").unlink()
    paired_ranks._places.cache_clear()
    (page,) = [text for name, text in files_of(store_url).items() if name.endswith("index.html") and "wer" in name]
    assert "Ranks by overlap of 95 % intervals (the scores of run run cannot be read)." in page


def test_a_suite_has_its_page_with_rank_ranges_and_groups(site: dict[str, str]) -> None:
    page = site["suites/tones.html"]
    assert "Ranks within all 1 tasks by paired comparison, sample by sample." in page
    text = shown(opened("overview"))
    rows = {row["model"]: row for row in json.loads(site["suites/tones.json"])}
    assert "tones 3" in page
    for name in ("good:beam=5", "also-good", "poor"):
        mine = next(part for part in page.split("<tr") if f"{name}</bdi></a>" in part)
        theirs = next(part for part in text.split("<tr") if f"{name}</bdi></a>" in part)
        for cell in (rows[name]["rank"], f"{rows[name]['mean_rank']:.2f}"):
            assert f">{cell}<" in mine
            assert f">{cell}<" in theirs.replace("<bdi>", "").replace("</bdi>", "")
        assert f'data-name="Group">{rows[name]["tie_group"]}<' in mine
        assert ">local<" in mine
    assert rows["oracle"]["place"] == "control"
    assert 'href="suites/tones.html"' in site["index.html"]


def test_each_page_says_how_to_cite_it(site: dict[str, str]) -> None:
    pages = [name for name in site if name.endswith(".html")]
    assert len(pages) == 12
    for name in pages:
        assert site[name].count("<h2>Cite</h2>") == 1, name
