from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiometry.benchmark import cli
from audiometry.benchmark.cache import Cache, default_cache, known_digests, request_key
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.types import Audio, Request, Transform, Turn


@pytest.fixture
def cache(tmp_path: Path):
    opened = Cache(tmp_path / "cache" / "answers.db")
    yield opened
    opened.close()


def test_what_is_kept_is_found(cache: Cache) -> None:
    cache.keep([(f"k{i}", {"status": "ok", "output": {"text": f"é{i}"}}) for i in range(1200)])
    found = cache.find([f"k{i}" for i in range(0, 2400, 2)])
    assert len(found) == 600
    assert found["k4"] == {"status": "ok", "output": {"text": "é4"}}
    assert cache.stats().answers == 1200
    assert cache.stats().size > 0


def test_what_is_not_asked_for_is_pruned(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiometry.benchmark.cache.time.time", lambda: 1000.0)
    cache.keep([("old", {}), ("used", {})])
    monkeypatch.setattr("audiometry.benchmark.cache.time.time", lambda: 2000.0)
    cache.touch(["used"])
    assert cache.prune(unused_seconds=500) == 1
    assert set(cache.find(["old", "used"])) == {"used"}


def test_a_files_digest_is_forgotten_when_the_file_changes(cache: Cache, tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(b"1")
    cache.remember([(str(file), "abc"), (str(tmp_path / "none"), "x")])
    assert cache.digest(str(file)) == "abc"
    os.utime(file, ns=(1, 1))
    assert cache.digest(str(file)) is None
    assert cache.digest(str(tmp_path / "none")) is None


REQUEST = Request("transcribe", {"input": Audio("a.wav", digest="d")}, text="t", seed=1)


@pytest.mark.parametrize(
    "other",
    [
        Request("respond", {"input": Audio("a.wav", digest="d")}, text="t", seed=1),
        Request("transcribe", {"voice": Audio("a.wav", digest="d")}, text="t", seed=1),
        Request("transcribe", {"input": Audio("a.wav", start=1.0, digest="d")}, text="t", seed=1),
        Request("transcribe", {"input": Audio("a.wav", end=1.0, digest="d")}, text="t", seed=1),
        Request("transcribe", {"input": Audio("a.wav", transforms=(Transform("n"),), digest="d")}, text="t", seed=1),
        Request("transcribe", {"input": Audio("a.wav", digest="d")}, text="u", seed=1),
        Request("transcribe", {"input": Audio("a.wav", digest="d")}, text="t", instruction="i", seed=1),
        Request("transcribe", {"input": Audio("a.wav", digest="d")}, text="t", language="en", seed=1),
        Request("transcribe", {"input": Audio("a.wav", digest="d")}, text="t", turns=(Turn("user", "x"),), seed=1),
        Request("transcribe", {"input": Audio("a.wav", digest="d")}, text="t", seed=2),
    ],
)
def test_whatever_is_asked_differently_has_another_key(other: Request) -> None:
    digests = dict.fromkeys(other.audios, "d")
    assert request_key("f", other, digests, seeded=True) != request_key("f", REQUEST, {"input": "d"}, seeded=True)


def test_what_does_not_matter_is_not_in_the_key() -> None:
    elsewhere = Request("transcribe", {"input": Audio("b.wav", seconds=2.0, digest="d")}, text="t", seed=9)
    keys = [request_key("f", request, {"input": "d"}, seeded=False) for request in (REQUEST, elsewhere)]
    assert keys[0] == keys[1]
    assert request_key("g", REQUEST, {"input": "d"}, seeded=False) != keys[0]
    assert request_key("f", REQUEST, {"input": "e"}, seeded=False) != keys[0]


def test_sound_without_a_digest_is_not_cached(cache: Cache, tmp_path: Path) -> None:
    assert known_digests(REQUEST, cache) == {"input": "d"}
    assert known_digests(Request("transcribe", {"input": Audio(str(tmp_path / "x"))}), cache) is None
    assert known_digests(Request("transcribe", {"input": Audio("s3://x/y")}), cache) is None
    assert known_digests(Request("respond", turns=(Turn("user", audio=Audio("x")),)), cache) is None


def test_a_cache_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="run with --no-cache"):
        Cache(tmp_path / "file" / "answers.db")
    (tmp_path / "damaged.db").write_text("this is not a database, " * 100)
    with pytest.raises(StoreError, match="run with --no-cache"):
        Cache(tmp_path / "damaged.db")


def test_a_failed_write_leaves_what_was_there(cache: Cache) -> None:
    cache.keep([("a", {})])
    with pytest.raises(StoreError, match="cannot be used"):
        cache._many("INSERT INTO answers VALUES (?, ?, ?)", [("b", "{}", 0.0), ("a", "{}", 0.0)])
    assert set(cache.find(["a", "b"])) == {"a"}


def test_the_commands(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    default_cache().keep([("a", {})])
    assert cli.main(["cache", "stats"]) == 0
    assert "1 answers" in capsys.readouterr().out
    assert cli.main(["cache", "prune", "--unused-days", "0"]) == 0
    assert "1 answers forgotten" in capsys.readouterr().out
    assert home.exists()
