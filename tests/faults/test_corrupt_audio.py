"""Three hundred damaged recordings in one run: each is named with a reason, and none crashes or stops it."""

from __future__ import annotations

import io
import json
import os
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiometry.benchmark import audio
from audiometry.benchmark.errors import AudioError, DataError
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings

HERE = Path(__file__).parent
RATE = 16_000
DAMAGED = 300

Maker = Callable[[random.Random], bytes]

pytestmark = pytest.mark.slow


def sound(chance: random.Random, seconds: float | None = None, channels: int = 1) -> np.ndarray:
    """Noise in syllables with a pitch: compresses, and trips, as speech does."""
    generator = np.random.default_rng(chance.getrandbits(32))
    time = np.arange(round(RATE * (seconds or chance.uniform(0.3, 1.5)))) / RATE
    pitch = generator.uniform(80, 250) * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))
    voice = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) + 0.3 * generator.standard_normal(len(time))
    envelope = np.abs(np.sin(2 * np.pi * 2 * time)) * 0.3
    return np.repeat((voice * envelope)[:, None], channels, axis=1)


def encoded(chance: random.Random, kind: str, subtype: str | None = None, channels: int = 1) -> bytes:
    """Sound as the bytes of a file."""
    buffer = io.BytesIO()
    rate = 48_000 if subtype == "OPUS" else RATE
    soundfile.write(buffer, sound(chance, channels=channels), rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def wav(chance: random.Random) -> bytearray:
    """A 16-bit WAV file with the plainest of headers: 44 bytes, the data's length at 40."""
    content = bytearray(encoded(chance, "WAV", "PCM_16"))
    assert content[36:40] == b"data"
    return content


def field(place: int, form: str, *values: int) -> Maker:
    """A WAV file in whose header one field holds one of `values`."""

    def make(chance: random.Random) -> bytes:
        content = wav(chance)
        struct.pack_into(form, content, place, chance.choice(values))
        return bytes(content)

    return make


def cut(kind: str, low: float, high: float) -> Maker:
    """A file of which only a part is there."""

    def make(chance: random.Random) -> bytes:
        content = encoded(chance, kind)
        return content[: round(len(content) * chance.uniform(low, high))]

    return make


def not_numbers(chance: random.Random) -> bytes:
    """32-bit floats of which some are none."""
    buffer = io.BytesIO()
    samples = sound(chance).astype(np.float32)
    samples[chance.randrange(len(samples))] = chance.choice([np.nan, np.inf, -np.inf])
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def many_channels(chance: random.Random) -> bytes:
    """64 channels."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound(chance, 0.1, channels=64), RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def without(chunk: bytes) -> Maker:
    """A WAV file with one of its chunks called something else."""
    return lambda chance: bytes(wav(chance)).replace(chunk, b"junk", 1)


def headed(*heads: bytes) -> Maker:
    """Random bytes behind the first bytes of a format."""
    return lambda chance: chance.choice(heads) + chance.randbytes(chance.randint(200, 5000))


def texts(chance: random.Random) -> bytes:
    """What people rename: transcripts, JSON, web pages, pictures, archives."""
    return chance.choice(
        [b"hello\n", b'{"audio": null}', b"<!doctype html><title>404</title>", b"\x89PNG\r\n\x1a\n" + bytes(99),
         b"PK\x03\x04" + bytes(99), "мир\n".encode("utf-16"), b"%PDF-1.7\n", b"#!/bin/sh\nexit 1\n"]
    ) * chance.randint(1, 50)  # fmt: skip


DAMAGES: dict[str, tuple[str, Maker]] = {
    "nothing": (".wav", lambda _: b""),
    "zeros": (".wav", lambda chance: bytes(chance.randint(1, 9000))),
    "header-cut": (".wav", lambda chance: bytes(wav(chance)[: chance.randrange(1, 44)])),
    "data-cut": (".wav", cut("WAV", 0.05, 0.95)),
    "no-data": (".wav", lambda chance: bytes(wav(chance)[:40]) + bytes(4)),
    "not-numbers": (".wav", not_numbers),
    "rate-zero": (".wav", field(24, "<I", 0)),
    "rate-absurd": (".wav", field(24, "<I", 1, 999, 1_000_000_000, 2**31 - 1, 2**32 - 1)),
    "channels-none": (".wav", field(22, "<H", 0)),
    "channels-lie": (".wav", field(22, "<H", 64, 255, 1024, 65535)),
    "channels-64": (".wav", many_channels),
    "bits-lie": (".wav", field(34, "<H", 0, 33, 255, 65535)),
    "format-unknown": (".wav", field(20, "<H", 0x4242, 0xFFFF, 0)),
    "length-1-gigabyte": (".wav", field(40, "<I", 10**9, 10**9 + 1)),
    "no-format-chunk": (".wav", without(b"fmt ")),
    "no-data-chunk": (".wav", without(b"data")),
    "text": (".wav", texts),
    "text-flac": (".flac", texts),
    "text-mp3": (".mp3", texts),
    "flac-cut": (".flac", cut("FLAC", 0.02, 0.9)),
    "ogg-cut": (".ogg", cut("OGG", 0.02, 0.9)),
    "mp3-cut": (".mp3", cut("MP3", 0.02, 0.9)),
    "aiff-cut": (".aiff", cut("AIFF", 0.05, 0.9)),
    "au-cut": (".au", cut("AU", 0.05, 0.9)),
    "caf-cut": (".caf", cut("CAF", 0.02, 0.9)),
    "w64-cut": (".w64", cut("W64", 0.02, 0.9)),
    "rf64-cut": (".wav", cut("RF64", 0.02, 0.9)),
    "riff-noise": (".wav", headed(b"RIFF\x24\x08\0\0WAVE", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"RIFX\0\0\0\0WAVE")),
    "flac-noise": (".flac", headed(b"fLaC", b"fLaC\0\0\0\x22")),
    "ogg-noise": (".ogg", headed(b"OggS\0\x02", b"OggS")),
    "mp4-noise": (".m4a", headed(b"\0\0\0\x20ftypM4A ", b"\0\0\0\x08moov")),
    "unreadable": (".wav", lambda chance: bytes(wav(chance))),
    "swap-fifo": (".wav", lambda chance: bytes(wav(chance))),
    "swap-folder": (".wav", lambda chance: bytes(wav(chance))),
    "swap-loop": (".wav", lambda chance: bytes(wav(chance))),
    "swap-gone": (".wav", lambda chance: bytes(wav(chance))),
    "swap-endless": (".wav", lambda chance: bytes(wav(chance))),
}  # fmt: skip

FINE: dict[str, tuple[str, Maker]] = {
    "pcm-8": (".wav", lambda chance: encoded(chance, "WAV", "PCM_U8")),
    "pcm-16": (".wav", lambda chance: encoded(chance, "WAV", "PCM_16")),
    "pcm-24": (".wav", lambda chance: encoded(chance, "WAV", "PCM_24")),
    "pcm-32": (".wav", lambda chance: encoded(chance, "WAV", "PCM_32")),
    "float-32": (".wav", lambda chance: encoded(chance, "WAV", "FLOAT")),
    "float-64": (".wav", lambda chance: encoded(chance, "WAV", "DOUBLE")),
    "u-law": (".wav", lambda chance: encoded(chance, "WAV", "ULAW")),
    "a-law": (".wav", lambda chance: encoded(chance, "WAV", "ALAW")),
    "adpcm": (".wav", lambda chance: encoded(chance, "WAV", "MS_ADPCM")),
    "gsm": (".wav", lambda chance: encoded(chance, "WAV", "GSM610")),
    "stereo": (".wav", lambda chance: encoded(chance, "WAV", channels=2)),
    "channels-8": (".wav", lambda chance: encoded(chance, "WAV", channels=8)),
    "extensible": (".wav", lambda chance: encoded(chance, "WAVEX", "PCM_24")),
    "big-endian": (".aiff", lambda chance: encoded(chance, "AIFF")),
    "rf64": (".wav", lambda chance: encoded(chance, "RF64")),
    "w64": (".w64", lambda chance: encoded(chance, "W64")),
    "caf": (".caf", lambda chance: encoded(chance, "CAF")),
    "au": (".au", lambda chance: encoded(chance, "AU")),
    "flac": (".flac", lambda chance: encoded(chance, "FLAC")),
    "vorbis": (".ogg", lambda chance: encoded(chance, "OGG", "VORBIS")),
    "opus": (".ogg", lambda chance: encoded(chance, "OGG", "OPUS")),
    "mp3": (".mp3", lambda chance: encoded(chance, "MP3")),
    "from-a-pipe": (".wav", field(40, "<I", 0x7FFFF000, 2**32 - 1)),
    "wav-named-mp3": (".mp3", lambda chance: encoded(chance, "WAV")),
    "flac-named-wav": (".wav", lambda chance: encoded(chance, "FLAC")),
    "ogg-named-nothing": ("", lambda chance: encoded(chance, "OGG")),
}  # fmt: skip


REASONS = {
    "data-cut": "cut off: its header promises", "length-1-gigabyte": "cut off: its header promises 100000000",
    "not-numbers": "holds samples that are not finite numbers", "channels-64": "64 channels",
    "text-0": "not recognised",
    "unreadable": "cannot be opened: Permission denied", "swap-fifo": "it is not a file",
    "swap-folder": "it is not a file", "swap-endless": "it is not a file", "swap-gone": "No such file",
    "swap-loop": "symbolic link", "large": "9.3 hours in one piece; list it in spans",
}  # fmt: skip


def sparse(path: Path, gigabytes: float, *, data: int | None = None) -> None:
    """A WAV file of silence that takes no room on the disk."""
    size = round(gigabytes * 2**30)
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", size + 36, b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16,
                         b"data", size if data is None else data)  # fmt: skip
    with path.open("wb") as file:
        file.write(header)
        file.truncate(size + 44)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hundred damaged recordings, some fine ones between them, and a manifest of all."""
    folder = tmp_path_factory.mktemp("recordings")
    chance = random.Random(300)
    lines = []
    kinds = list(DAMAGES)
    damaged = [(f"{kinds[i % len(kinds)]}-{i:03d}", *DAMAGES[kinds[i % len(kinds)]]) for i in range(DAMAGED - 1)]
    fine = [(f"fine-{kind}", *FINE[kind]) for kind in FINE]
    for name, suffix, make in [*damaged, *fine]:
        (folder / f"{name}{suffix}").write_bytes(make(chance))
        lines.append({"id": name, "audio": f"{name}{suffix}", "text": "hello"})
    for path in folder.glob("unreadable-*"):
        path.chmod(0)
    sparse(folder / "large.wav", 1.0)
    lines.append({"id": "large", "audio": "large.wav", "text": "hello"})
    chance.shuffle(lines)
    (folder / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_three_hundred_damaged_recordings(cli, folder: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words = cli.words(
        "-m", "listener", "-t", f"wer:path={folder / 'list.jsonl'},language=en", "-o", str(tmp_path / "run"),
        "--max-failures", "1", "--sample-timeout", "60",
    )  # fmt: skip
    ended = cli.run(words, fault=f"swap@{folder}", before=cli.obey_permissions)
    assert ended.code == 0, ended
    outputs = pd.read_parquet(tmp_path / "run" / "outputs.parquet").set_index("sample_id")
    assert outputs.index.is_unique
    fine = outputs[outputs.index.str.startswith("fine-")]
    damaged = outputs.drop(fine.index)
    assert (len(damaged), len(fine)) == (DAMAGED, len(FINE))
    assert {name: told for name, told in fine["error"].items() if fine["status"][name] != "ok"} == {}
    assert sorted(damaged.index[damaged["status"] != "error"]) == []
    reasons = {name: str(reason) for name, reason in damaged["error"].items()}
    named = re.compile(rf"{re.escape(str(folder))}/\S+: [a-z0-9].{{8,}}")
    assert {name: reason for name, reason in reasons.items() if not named.fullmatch(reason)} == {}
    said = {kind: {reason for name, reason in reasons.items() if name.startswith(kind)} for kind in REASONS}
    assert {
        kind: told for kind, told in said.items() if not told or not all(REASONS[kind] in one for one in told)
    } == {}
    overall = next(one for one in json.loads(ended.out)["results"] if (one["metric"], one["slice"]) == ("wer", "all"))
    assert (overall["n"], overall["failed"]) == (DAMAGED + len(FINE), DAMAGED)
    assert overall["value"] == pytest.approx(DAMAGED / (DAMAGED + len(FINE)), abs=1e-12)


@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "device", "gone"])
def test_what_is_no_file_is_refused_before_anything_starts(tmp_path: Path, home: Path, kind: str) -> None:
    path = tmp_path / "sound.wav"
    make: dict[str, Callable[[], object]] = {
        "fifo": lambda: os.mkfifo(path), "folder": path.mkdir, "loop": lambda: path.symlink_to(path),
        "device": lambda: path.symlink_to("/dev/zero"), "gone": lambda: None,
    }  # fmt: skip
    make[kind]()
    (tmp_path / "list.csv").write_text("audio,text\nsound.wav,hello\n")
    settings = RunSettings(
        models=("listener",), tasks=(f"wer:path={tmp_path / 'list.csv'},language=en",),
        plugins=(str(HERE / "breaking.py"),),
    )  # fmt: skip
    with pytest.raises(DataError, match=r"list\.csv, row 1: recording .*sound\.wav"):
        evaluate(settings, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", sorted(DAMAGES))
def test_reading_says_why(tmp_path: Path, kind: str) -> None:
    if kind.startswith(("swap-", "unreadable")):
        return
    suffix, make = DAMAGES[kind]
    for seed in range(8):
        path = tmp_path / f"{seed}{suffix}"
        path.write_bytes(make(random.Random(seed)))
        with pytest.raises(AudioError, match=rf"{seed}{suffix}: .+"):
            audio.read_file(path)
