"""The board's HTML: whatever a name holds, it is shown and nothing else."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from audiometry.benchmark.store import Store
from audiometry.leaderboard import board, markup

NASTY = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "[x](javascript:alert(1))",
    "' onmouseover='alert(1)",
    "&lt;b&gt;",
    "\u202egnol",
)


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.update(name for name, _ in attributes)
        self.links += [value or "" for name, value in attributes if name == "href"]

    def handle_data(self, text: str) -> None:
        self.text += text


@pytest.fixture
def results(usual_run: Path, store_url: str) -> pd.DataFrame:
    with Store.open(store_url) as store:
        return store.results(metric="wer")


@pytest.fixture
def rows(results: pd.DataFrame) -> pd.DataFrame:
    return board.ranking(results[results["slice"] == "all"])


LINK = {"task": "wer-tones", "run": "latest"}
TAGS = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "a", "bdi", "span", "header", "h1", "p", "b"}
ATTRIBUTES = {"aria-hidden", "class", "scope", "title", "href", "colspan", "data-name", "role"}


def test_the_ranking_shows_every_number_with_what_limits_it(rows: pd.DataFrame) -> None:
    html = markup.ranking_table(rows, "WER", LINK, "How to read it.")
    reader = Reader(html)
    for row in board.records(rows):
        assert row["model"] in reader.text
        assert board.format_value(row["value"], row["unit"]) in reader.text
        assert board.format_interval(row["low"], row["high"], row["unit"]) in reader.text
    assert reader.text.count("these speakers only") == len(rows)
    assert "Controls, never ranked" in reader.text
    assert reader.text.index("poor") < reader.text.index("Controls, never ranked") < reader.text.index("oracle")
    assert "How to read it." in reader.text


def test_a_link_leads_to_the_samples_of_its_model(rows: pd.DataFrame) -> None:
    links = Reader(markup.ranking_table(rows, "WER", LINK, "")).links
    found = [parse_qs(urlsplit(link).query) for link in links]
    assert [query["model"] for query in found] == [[model] for model in rows["model"]]
    assert all(query["task"] == ["wer-tones"] for query in found)
    assert all(urlsplit(link).scheme == "" and urlsplit(link).path == "samples" for link in links)


@pytest.mark.parametrize("name", NASTY)
def test_names_are_text(name: str, rows: pd.DataFrame, results: pd.DataFrame) -> None:
    rows.loc[0, "model"] = name
    rows["notes"] = [(name,)] * len(rows)
    slices = board.slice_rows(results.assign(model=name, notes=[[name]] * len(results)), "duration", [name])
    slices["group"] = name
    pieces = [
        markup.ranking_table(rows, name, LINK, name),
        markup.slice_table(slices, name, name),
        markup.heading(name, name),
        markup.callout(name),
        markup.tiles({name: name}),
        markup.notes_html([name]),
    ]
    for piece in pieces:
        reader = Reader(piece)
        assert set(reader.tags) <= TAGS
        assert set(reader.attributes) <= ATTRIBUTES
        assert name in reader.text
        assert all(link.startswith("samples") for link in reader.links)


def test_a_name_of_ten_thousand_characters_does_not_fill_the_page(rows: pd.DataFrame) -> None:
    rows.loc[0, "model"] = "x" * 10_000
    html = markup.ranking_table(rows, "WER", LINK, "")
    assert len(html) < 20_000
    assert "…" in Reader(html).text


def test_answers_that_were_no_answers_are_counted_beside_the_number(rows: pd.DataFrame) -> None:
    rows.loc[0, ["refused", "unparsed"]] = [3, 4]
    text = Reader(markup.ranking_table(rows, "WER", LINK, "")).text
    assert "3 refused" in text
    assert "4 unparsed" in text


def test_unranked_models_stand_apart(rows: pd.DataFrame) -> None:
    rows.loc[0, "place"], rows.loc[0, "rank"] = "unranked", ""
    assert "Not ranked" in Reader(markup.ranking_table(rows, "WER", LINK, "")).text


def test_a_slice_that_cannot_be_told_from_another_says_so(results: pd.DataFrame) -> None:
    slices = board.slice_rows(results, "voice", ["poor"])
    assert "same samples as all" in Reader(markup.slice_table(slices, "voice", "WER")).text


def test_no_notes_no_chips() -> None:
    assert markup.notes_html([]) == ""
