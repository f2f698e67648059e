"""Tiny Debian packages made on the spot."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from audiometry.benchmark.audio import encode_wav
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.layout import CorpusFolder

MakeDeb = Callable[..., Path]


def ar(members: Mapping[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def tar(files: Mapping[str, bytes], *, suffix: str, extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    buffer = io.BytesIO()
    mode = {"": "w", ".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz", ".zst": "w"}[suffix]
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    data = buffer.getvalue()
    return pa.compress(data, codec="zstd", asbytes=True) if suffix == ".zst" else data


def make_tone(seconds: float, rate: int = 8000) -> bytes:
    time = np.arange(round(seconds * rate)) / rate
    return encode_wav(Waveform((0.1 * np.sin(440 * time)).astype(np.float32), rate))


@pytest.fixture
def tone() -> Callable[[float], bytes]:
    """The bytes of a WAV file of so many seconds."""
    return make_tone


@pytest.fixture
def make_deb(tmp_path: Path) -> MakeDeb:
    def make(
        name: str,
        files: Mapping[str, bytes],
        *,
        suffix: str = ".xz",
        extra: tuple[tarfile.TarInfo, ...] = (),
        folder: Path | None = None,
    ) -> Path:
        path = (folder or tmp_path) / f"{name}_1.0-1_all.deb"
        path.parent.mkdir(parents=True, exist_ok=True)
        members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd"}
        path.write_bytes(ar(members | {f"data.tar{suffix}": tar(files, suffix=suffix, extra=extra)}))
        return path

    return make


TRANSCRIPT = """; Core Asterisk Sounds in English

hello: Hello there.
digits/1:  One   ring.
beep: [a beep]
silence/1: (1 second of silence)
spy: IAX (note: not "2")
gone: Nobody recorded this.
quiet:
"""

SOUNDS = ("hello", "digits/1", "beep", "silence/1", "spy", "quiet", "untold")


@pytest.fixture
def packages(tmp_path: Path, make_deb: MakeDeb) -> Path:
    """A folder with the three packages of a tiny English corpus, in three compressions."""
    folder = tmp_path / "packages"
    sounds, doc = "./usr/share/asterisk/sounds/en_US_f_Ann", "./usr/share/doc/asterisk-core-sounds-en"
    make_deb(
        "asterisk-core-sounds-en",
        {
            f"{doc}/core-sounds-en.txt.gz": gzip.compress(TRANSCRIPT.encode()),
            f"{doc}/copyright": b"terms",
            f"{doc}/changelog.gz": b"not wanted",
        },
        folder=folder,
    )
    g722 = {f"{sounds}/{name}.g722": b"\x7f" * (8000 + 100 * i) for i, name in enumerate(SOUNDS)}
    make_deb("asterisk-core-sounds-en-g722", g722, suffix=".zst", folder=folder)
    wav = {f"{sounds}/{name}.wav": make_tone(1.0 + i / 80) for i, name in enumerate(SOUNDS)}
    make_deb("asterisk-core-sounds-en-wav", wav, suffix=".gz", folder=folder)
    return folder


WriteSound = Callable[..., Path]
Refuses = Callable[..., str]


@pytest.fixture
def write_sound() -> WriteSound:
    """Write a tone of so many seconds to a path, in the format that its ending tells."""
    formats = {".flac": "FLAC", ".wav": "WAV", ".mp3": "MP3", ".opus": "OGG", ".ogg": "OGG", ".sph": "NIST"}

    def write(path: Path, seconds: float = 0.5, rate: int = 16_000) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = 0.1 * np.sin(0.2 * np.arange(round(seconds * rate)))
        kind = "OPUS" if path.suffix == ".opus" else None
        soundfile.write(path, samples, rate, format=formats[path.suffix], subtype=kind)
        return path

    return write


@pytest.fixture
def refuses() -> Refuses:
    """Assert that a corpus is not ready and says so in one line that holds the texts; returns the line."""

    def check(corpus: CorpusFolder[object], *texts: str) -> str:
        with pytest.raises(DataError) as caught:
            corpus.rows()
        message = str(caught.value)
        assert "\n" not in message
        for text in texts:
            assert text in message
        assert not corpus.ready()
        assert corpus.describe()["prepared"] == f"no: {message}"
        return message

    return check
