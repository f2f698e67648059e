"""Sound and lists at URLs: in memory, on disk, and on real HTTP servers, good and bad."""

from __future__ import annotations

import io
import re
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile

from audiometry.benchmark import audio, remote
from audiometry.benchmark.errors import AudioError, DataError
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.manifest import manifest

RATE = 16_000
SECONDS = 300.0


def wav(seconds: float, *, kind: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    ramp = np.linspace(-0.5, 0.5, round(seconds * RATE), dtype=np.float32)
    soundfile.write(buffer, ramp, RATE, format=kind, subtype="PCM_16")
    return buffer.getvalue()


@dataclass
class Site:
    """A server of the files in `files`, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    broken_from: int | None = None
    """From this byte on, a request is answered with 500."""
    told: list[int] = field(default_factory=list)
    """How many bytes each answer had."""
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        content = self.site.files.get(self.path.partition("?")[0])
        if content is None:
            self._send(404, {}, b"")
            return
        wanted = self.headers.get("Range")
        headers = {"Accept-Ranges": "bytes" if self.site.ranges else "none"}
        if wanted and self.site.ranges:
            first, last = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
            if self.site.broken_from is not None and last >= self.site.broken_from:
                self._send(500, {}, b"")
                return
            headers["Content-Range"] = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            self._send(206, headers, content[first : last + 1])
        else:
            self._send(200, headers, content if body else b"", len(content))

    def _send(self, status: int, headers: dict[str, str], content: bytes, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content) if length is None else length)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.site.told.append(len(content))
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Handler,), {"site": served}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


Put = Callable[[str, bytes], str]


@pytest.fixture(params=["memory", "file", "http", "http without ranges", "zip over http"])
def put(request: pytest.FixtureRequest, tmp_path: Path, site: Site) -> Put:
    """Puts a file somewhere; returns its URL."""

    def place(name: str, content: bytes) -> str:
        if request.param == "memory":
            fsspec.filesystem("memory").pipe(f"{tmp_path}/{name}", content)
            return f"memory:/{tmp_path}/{name}"
        if request.param == "file":
            (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / name).write_bytes(content)
            return (tmp_path / name).as_uri()
        if request.param == "zip over http":
            archive = io.BytesIO(site.files.get("/all.zip", b""))
            with zipfile.ZipFile(archive, "a") as members:
                members.writestr(name, content)
            site.files["/all.zip"] = archive.getvalue()
            return f"zip://{name}::{site.url}/all.zip"
        site.ranges = request.param == "http"
        site.files[f"/{name}"] = content
        return f"{site.url}/{name}"

    return place


@pytest.mark.parametrize("seconds", [1.0, SECONDS])
def test_sound_at_a_url_is_read_as_from_a_file(put: Put, tmp_path: Path, seconds: float) -> None:
    for kind in ("WAV", "FLAC"):
        content = wav(seconds, kind=kind)
        local = tmp_path / f"local.{kind.lower()}"
        local.write_bytes(content)
        url = put(f"sound.{kind.lower()}", content)
        for start, end in ((0.0, None), (seconds / 2, seconds / 2 + 0.25), (seconds - 0.5, None)):
            there = audio.read(Audio(url, start, end))
            here = audio.read(Audio(str(local), start, end))
            np.testing.assert_array_equal(there.samples, here.samples)
        assert audio.probe_seconds(url) == audio.probe_seconds(local) == seconds


def test_of_a_large_file_only_what_is_needed_is_fetched(site: Site) -> None:
    site.files["/long.wav"] = wav(SECONDS)
    assert len(site.files["/long.wav"]) > remote.WHOLE_BYTES
    audio.read(Audio(f"{site.url}/long.wav", 200.0, 202.0))
    assert sum(site.told) < 4 * remote.BLOCK_BYTES


def test_a_small_file_takes_two_requests(site: Site) -> None:
    site.files["/short.wav"] = wav(2.0)
    audio.read(Audio(f"{site.url}/short.wav"))
    assert site.told == [0, len(site.files["/short.wav"])]


def test_formats_of_ffmpeg(put: Put, tmp_path: Path) -> None:
    import av

    path = tmp_path / "tone.g722"
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.int16), format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    url = put("tone.g722", path.read_bytes())
    np.testing.assert_array_equal(audio.read_file(url).samples, audio.read_file(path).samples)
    assert audio.probe_seconds(url) == pytest.approx(1.0, abs=0.01)


def refusal(url: str) -> str:
    """What is said of `url`, whose name must be in it, without that name."""
    with pytest.raises(AudioError) as caught:
        audio.read(Audio(url))
    before, named, after = str(caught.value).partition(url)
    assert named
    assert "\n" not in before + after
    return before + after


def test_sound_that_is_not_there(site: Site) -> None:
    assert re.search(r"cannot be opened: does not exist", refusal(f"{site.url}/nothing.wav"))
    assert re.search(r"cannot be opened: does not exist", refusal("memory://nothing.wav"))
    assert re.search(r"cannot be opened: does not exist", refusal("file:///nowhere/nothing.wav"))


def test_a_server_that_is_not_there() -> None:
    assert re.search(r"cannot be opened: ", refusal("http://127.0.0.1:9/sound.wav"))


def test_a_protocol_that_nobody_knows() -> None:
    assert re.search(r"cannot be opened: .*gopher", refusal("gopher://host/sound.wav"))


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert re.search(r"cannot be opened: .*s3fs", refusal("s3://bucket/sound.wav"))


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_server_that_breaks_in_the_middle(site: Site, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound that is cut off must not pass for a shorter recording."""
    monkeypatch.setattr(remote, "WHOLE_BYTES", 2**20)
    content = wav(1500.0 if kind == "FLAC" else SECONDS, kind=kind)
    assert len(content) > 2 * remote.WHOLE_BYTES
    site.files["/long"] = content
    site.broken_from = len(content) // 2
    assert re.search(r"cannot be read: .*500", refusal(f"{site.url}/long"))


def test_a_small_file_whose_server_breaks(site: Site) -> None:
    site.files["/short.wav"] = wav(1.0)
    site.broken_from = 0
    assert re.search(r"cannot be opened: .*500", refusal(f"{site.url}/short.wav"))


def test_an_endless_file_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LARGEST_BYTES", 2**21)
    site.ranges = False
    site.files["/long.wav"] = wav(SECONDS)
    assert re.search(r"is larger than 2 MiB, and its server gives no parts of it", refusal(f"{site.url}/long.wav"))


def test_an_archive_that_breaks_in_the_middle(site: Site) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("sound.wav", wav(SECONDS))
        members.writestr("more", bytes(8 * 2**20))
    site.files["/all.zip"] = archive.getvalue()
    stream = remote.open_url(f"zip://sound.wav::{site.url}/all.zip")
    site.broken_from = 0
    with stream:
        assert stream.seek(-4, io.SEEK_END) == 0
        assert "500" in (remote.read_failure(stream) or "")
        assert stream.read(10) == b""


LIST = {
    "csv": b"audio,text,room\nclips/a.wav,One.,hall\nclips/b.wav,Two.,\n",
    "jsonl": b'{"audio": "clips/a.wav", "text": "One.", "room": "hall"}\n{"audio": "clips/b.wav", "text": "Two."}\n',
}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_manifest_at_a_url(put: Put, suffix: str) -> None:
    for name in ("a", "b"):
        put(f"clips/{name}.wav", wav(0.5))
    url = put(f"list.{suffix}", LIST[suffix])
    corpus = manifest(path=url)
    first, second = corpus.utterances()
    assert (first.id, first.text, first.audio.seconds) == ("clips/a.wav", "One.", None)
    assert first.slices == {"room": "hall", "duration": "unknown"}
    assert audio.read(second.audio).seconds == 0.5
    assert corpus.describe()["path"] == url


def test_a_parquet_manifest_at_a_url_with_a_query(site: Site) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pa.table({"audio": ["a.wav", "/data/b.wav", "s3://bucket/c.wav"], "text": list("xyz")}), buffer)
    site.files["/lists/new.parquet"] = buffer.getvalue()
    utterances = manifest(path=f"{site.url}/lists/new.parquet?version=2").utterances
    with pytest.raises(DataError, match=r"row 2: recording /data/b\.wav does not exist; 1 of 3 rows"):
        utterances()
    site.files["/lists/new.parquet"] = b""
    with pytest.raises(DataError, match=r"is not a Parquet file"):
        utterances()


def test_manifests_that_cannot_be_reached(site: Site) -> None:
    for url, message in (
        (f"{site.url}/nothing.csv", r"cannot be read: does not exist"),
        ("gopher://host/list.csv", r"cannot be read: .*gopher"),
        (f"{site.url}/list.xlsx", r"'\.xlsx' is no manifest format"),
        (f"{site.url}", r"is no manifest format"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            manifest(path=url).utterances()
        assert "\n" not in str(caught.value)
        assert not manifest(path=url).ready()


def test_a_manifest_whose_server_breaks_in_the_middle_is_not_taken_for_a_shorter_one(site: Site) -> None:
    lines = b"".join(b'{"audio": "memory://%d.wav", "text": "%s"}\n' % (i, b"word " * 200) for i in range(10_000))
    assert len(lines) > remote.WHOLE_BYTES
    site.files["/list.jsonl"] = lines
    assert sum(1 for _ in manifest(path=f"{site.url}/list.jsonl").utterances()) == 10_000
    for broken_from in (len(lines) // 2, 5 * 2**20 - 7):
        site.broken_from = broken_from
        with pytest.raises(DataError, match=r"cannot be read: .*500"):
            manifest(path=f"{site.url}/list.jsonl").utterances()
