"""The static board: its files, the same bytes for the same store, nothing of ours left over, nothing else gone."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audiometry.benchmark.cli import main
from audiometry.benchmark.errors import StoreError, UserError
from audiometry.benchmark.store import Store
from audiometry.leaderboard.site import build
from audiometry.leaderboard.site.build import LIST, export_site, site_files
from audiometry.leaderboard.site.look import POLICY, slug
from audiometry.leaderboard.site.parts import model_path

AddRun = Callable[..., Path]
NASTY = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "x" * 10_000,
    "../../etc/passwd", '"><svg onload=alert(1)>', "good_name", "GOOD", "good", "'\u202e\u2066&amp;",
)  # fmt: skip


class Links(HTMLParser):
    """Every address that a page names, and every text of its headers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.found += [value for name, value in attrs if name in ("href", "src") and value is not None]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url) as opened:
        yield opened


def written(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def pages(files: dict[str, bytes]) -> dict[str, Links]:
    return {name: Links(content.decode()) for name, content in files.items() if name.endswith(".html")}


def test_the_files_of_a_board(usual_run: Path, store: Store, tmp_path: Path) -> None:
    done = export_site(store, tmp_path / "site")
    files = written(tmp_path / "site")
    (protocol,) = store.protocols()["protocol"]
    folder = f"protocols/wer-tones-{protocol}"
    models = [f"models/{name}.html" for name in ("also-good", slug("good:beam=5"), "oracle", "poor", "silent")]
    suite = [f"suites/{slug('every task')}.{suffix}" for suffix in ("html", "csv", "json")]
    assert sorted(files) == sorted([
        "assets/icon.svg", "assets/site.css", "assets/site.js", "board.csv", "board.json", "index.html", LIST,
        f"{folder}/index.html", f"{folder}/metric-cer.html", f"{folder}/results.csv", f"{folder}/results.json",
        f"{folder}/slices-cer.html", f"{folder}/slices-wer.html", *models, *suite,
    ])  # fmt: skip
    assert (done.files, done.written, done.removed) == (len(files) - 1, len(files) - 1, 0)
    listed = json.loads(files[LIST])["files"]
    assert listed == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != LIST
    }  # fmt: skip


def test_every_link_leads_to_a_file_and_none_outside(usual_run: Path, store: Store, tmp_path: Path) -> None:
    site = tmp_path / "site"
    export_site(store, site)
    reached = set()
    for name, links in pages(written(site)).items():
        for link in links.found:
            if link.startswith("#"):
                continue
            assert not re.match(r"[a-z]+:|/", link), (name, link)
            target = ((site / name).parent / link).resolve()
            assert target.is_file(), (name, link)
            reached.add(str(target.relative_to(site.resolve())))
    assert reached == set(written(site)) - {LIST}


def test_every_page_forbids_what_is_not_its_own(usual_run: Path, store: Store, tmp_path: Path) -> None:
    export_site(store, tmp_path / "site")
    for name, links in pages(written(tmp_path / "site")).items():
        policies = [a["content"] for tag, a in links.tags if tag == "meta" and "http-equiv" in a]
        assert policies == [POLICY], name
        assert not [a for _, a in links.tags if "style" in a or any(key.startswith("on") for key in a)], name
        assert [a["src"] for tag, a in links.tags if tag == "script"] == [
            "../" * name.count("/") + "assets/site.js"
        ], name  # fmt: skip
        assert not [tag for tag, _ in links.tags if tag in ("style", "iframe", "object", "form", "base")], name
    assert "unsafe" not in POLICY
    assert "http:" not in POLICY
    assert "https:" not in POLICY


def test_numbers_are_those_of_the_board(usual_run: Path, store: Store, tmp_path: Path) -> None:
    export_site(store, tmp_path / "site", title="Ours <b>")
    files = written(tmp_path / "site")
    (name,) = [name for name in files if name.endswith("results.json")]
    results = store.results()
    document = json.loads(files[name])
    assert (document["task"], document["task_samples"], len(document["results"])) == ("wer-tones", 12, len(results))
    assert [row["value"] for row in document["results"]] == list(results["value"])
    assert "folder" not in document["results"][0]
    rows = list(csv.DictReader(files[name.replace("json", "csv")].decode().splitlines()))
    assert [float(row["value"]) for row in rows] == list(results["value"])
    headline = json.loads(files["board.json"])
    assert [(row["rank"], row["model"]) for row in headline] == [
        ("1-2", "also-good"), ("1-2", "good:beam=5"), ("3", "poor"), ("", "oracle"), ("", "silent"),
    ]  # fmt: skip
    ranking = Links(files[name.replace("results.json", "index.html")].decode())
    text = " ".join(" ".join(ranking.texts).split())
    assert "1-2 also-good" in text
    assert "3 poor" in text
    assert "these speakers only" in text
    assert "Controls, never ranked" in text
    assert "540" not in text
    poor = " ".join(Links(files["models/poor.html"].decode()).texts)
    assert "Earlier runs" not in poor
    assert "Ours <b>" in " ".join(Links(files["index.html"].decode()).texts)


def test_no_path_of_this_machine_is_given_away(usual_run: Path, store: Store, tmp_path: Path) -> None:
    export_site(store, tmp_path / "site")
    for name, content in written(tmp_path / "site").items():
        assert str(tmp_path).encode() not in content, name


def test_the_same_store_gives_the_same_bytes_and_writes_nothing_twice(
    usual_run: Path, store: Store, store_url: str, tmp_path: Path
) -> None:
    first = export_site(store, tmp_path / "one")
    with Store.open(store_url) as again:
        export_site(again, tmp_path / "two")
    assert written(tmp_path / "one") == written(tmp_path / "two")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    assert vars(export_site(store, tmp_path / "one")) == vars(first) | {"written": 0}
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*") if path.is_file()} == {
        path: time for path, time in times.items() if path.is_file()
    }


def test_a_database_that_sorts_names_otherwise_gives_the_same_bytes(
    add_run: AddRun, usual_texts: dict[str, Sequence[str]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL sorts names as its locale does, SQLite by their bytes."""
    add_run(usual_texts | {name: ["noise"] * 12 for name in ("GOOD", "_good")})
    before = dict(site_files(store))
    given = Store.results

    def otherwise(self: Store, **chosen: Any) -> pd.DataFrame:
        return given(self, **chosen).sort_values("model", key=lambda names: names.str.lower().str[::-1], kind="stable")

    monkeypatch.setattr(Store, "results", otherwise)
    assert dict(site_files(store)) == before


def test_names_from_outside_stay_text_and_inside(
    add_run: AddRun, usual_texts: dict[str, Sequence[str]], store: Store, tmp_path: Path
) -> None:
    add_run({name: ["noise"] * 12 for name in NASTY}, notes=NASTY[:3])
    export_site(store, tmp_path / "deep" / "site")
    files = written(tmp_path)
    assert all(name.startswith(("deep/site/", "sounds/", "runs/", "store.db")) for name in files)
    assert len({model_path(name) for name in NASTY}) == len(NASTY)
    site = written(tmp_path / "deep" / "site")
    for name, links in pages(site).items():
        assert not [a for tag, a in links.tags if tag == "img" or "onerror" in a or "onload" in a], name
        assert len([tag for tag, _ in links.tags if tag == "script"]) == 1, name
    for model in NASTY:
        assert model in Links(site[model_path(model)].decode()).texts


def test_a_model_that_left_is_taken_away_and_nothing_else(
    usual_run: Path, usual_texts: dict[str, Sequence[str]], add_run: AddRun, store: Store, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    export_site(store, site)
    (site / "CNAME").write_text("board.example.org")
    (site / "models" / "mine.txt").write_text("mine")
    other = {name: texts for name, texts in usual_texts.items() if name != "poor"}
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM runs")
    add_run(other, run_id="20261123-000000-00000000")
    done = export_site(store, site)
    assert done.removed == 1
    assert not (site / "models" / "poor.html").exists()
    assert (site / "CNAME").read_text() == "board.example.org"
    assert (site / "models" / "mine.txt").read_text() == "mine"


def test_earlier_runs_stand_on_the_model_s_page(
    usual_run: Path, usual_texts: dict[str, Sequence[str]], add_run: AddRun, store: Store, tmp_path: Path
) -> None:
    add_run({"poor": usual_texts["also-good"]}, run_id="20261123-000000-00000000", created="2026-11-23T00:00:00+00:00")
    site = dict(site_files(store))
    text = " ".join(" ".join(Links(site["models/poor.html"].decode()).texts).split())
    now, _, before = text.partition("Earlier runs")
    assert "20261123-000000-00000000" in now
    assert "20261122-155501-ab12cd34" not in now
    assert "20261122-155501-ab12cd34" in before


def test_imported_results_are_marked(usual_run: Path, usual_texts: dict[str, Sequence[str]], store: Store) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET origin = 'self-reported'")
    site = dict(site_files(store))
    shown = [name for name, content in site.items() if b"self-reported: imported, not run here" in content]
    assert "models/poor.html" in shown
    assert any(name.endswith("/index.html") for name in shown)


def test_an_empty_store_gives_a_page_that_says_so(store: Store, tmp_path: Path) -> None:
    export_site(store, tmp_path / "site")
    assert "There are no results yet." in (tmp_path / "site" / "index.html").read_text()
    assert json.loads((tmp_path / "site" / "board.json").read_text()) == []


def test_an_export_that_was_interrupted_is_no_obstacle(
    usual_run: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"

    def broken(*_: object, **__: object) -> Iterator[tuple[str, bytes]]:
        yield from [*site_files(store)][:5]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(build, "site_files", broken)
        with pytest.raises(KeyboardInterrupt):
            export_site(store, site)
    assert len(written(site)) == 6
    done = export_site(store, site)
    assert done.files == len(written(site)) - 1
    assert done.written == done.files - 5


def test_a_folder_of_somebody_else_is_left_alone(usual_run: Path, store: Store, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"holds 'thesis.tex' and no earlier export; give a new or empty folder"):
        export_site(store, mine)
    assert written(mine) == {"thesis.tex": b"years of work"}
    (mine / LIST).write_text("[]")
    with pytest.raises(UserError, match="is no list of an export"):
        export_site(store, mine)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="choose another folder"):
            export_site(store, place)


@pytest.mark.parametrize("name", ["../thesis.tex", "/etc/hostname", "models/../../thesis.tex", "", "link/x"])
def test_a_list_that_names_files_outside_takes_nothing_away(
    usual_run: Path, store: Store, tmp_path: Path, name: str
) -> None:
    site, outside = tmp_path / "site", tmp_path / "outside"
    (tmp_path / "thesis.tex").write_text("years of work")
    outside.mkdir()
    (outside / "x").write_text("years of work")
    export_site(store, site)
    (site / "link").symlink_to(outside)
    listed: dict[str, Any] = json.loads((site / LIST).read_text())
    listed["files"][name] = "0"
    (site / LIST).write_text(json.dumps(listed))
    with pytest.raises(UserError, match="which is not in the folder"):
        export_site(store, site)
    assert (tmp_path / "thesis.tex").exists()
    assert (outside / "x").exists()


def test_the_command(usual_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = str(tmp_path / "site")
    assert main(["export", site, "--title", "Ours"]) == 0
    assert "20 files, 20 written, 0 removed" in capsys.readouterr().out
    assert main(["export", site, "--title", "Ours", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": site, "files": 20, "written": 0, "removed": 0}
    assert main(["export", str(tmp_path)]) == 2
    assert "no earlier export" in capsys.readouterr().err
