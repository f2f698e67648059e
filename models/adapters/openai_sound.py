"""Sound as endpoints take it: the file's own bytes where they do, a WAV file of what is heard otherwise."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from audiometry.benchmark.audio import encode_wav, probe_seconds, read, read_file
from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.types import Audio, Waveform

__all__ = ["Sound", "decoded", "load", "seconds_of", "sniff"]

RATES = range(4_000, 192_001)
PCM = 1
DEPTH = 16


@dataclass(frozen=True)
class Sound:
    """A whole sound file: its bytes and its format (`wav`, `mp3`, `flac` or `ogg`)."""

    content: bytes
    kind: str


class _ReadingTime:
    """How long reading a file takes lately, in seconds.

    From memory or a disk nearby it takes less than handing it to a thread would; from a file system far away it would
    hold up every request under way.
    """

    SLOW = 0.0005
    WEIGHT = 0.05

    def __init__(self) -> None:
        self._mean = 0.0

    @property
    def slow(self) -> bool:
        """Whether threads should read."""
        return self._mean > self.SLOW

    def note(self, seconds: float) -> None:
        """Learn from one file."""
        self._mean += self.WEIGHT * (seconds - self._mean)


_reading = _ReadingTime()


async def load(audio: Audio, kinds: Collection[str], *, largest: int) -> Sound:
    """`audio` for an endpoint that takes files of the formats `kinds`, at most `largest` bytes long.

    A local file without span and transforms goes as it is, if it is of such a format and can be decoded here too: a
    damaged one is not the model's failure. Anything else (a WAV file too that is not mono PCM of 16 bits, or lies
    about its length) is decoded and goes as such a WAV file.

    Raises AudioError for a file that cannot be read or decoded, or that is too large.
    """
    if audio.start == 0.0 and audio.end is None and not audio.transforms and "://" not in audio.path:
        asked = audio.path, largest
        content = await asyncio.to_thread(_content, *asked) if _reading.slow else _content(*asked)
        kind = sniff(content)
        if kind in kinds:
            if kind != "wav":  # whose header was looked at; of the others only decoding shows whether they are whole
                await asyncio.to_thread(read, audio)
            return Sound(content, kind)
    content = await asyncio.to_thread(lambda: encode_wav(read(audio)))
    if len(content) > largest:
        raise AudioError(
            f"{audio.path}: {len(content) / 1e6:.1f} MB to send, and at most {largest / 1e6:g} MB are allowed; "
            "cut the recording, or raise the setting max_upload if the endpoint takes more"
        )
    return Sound(content, "wav")


def _content(path: str, largest: int) -> bytes:
    """The bytes of a file, or nothing where it is no regular file or larger than can be sent as it is."""
    start = time.perf_counter()
    try:
        facts = os.stat(path)  # noqa: PTH116  (a Path and a buffer would cost as much as the reading)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > largest:
            return b""
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            content = file.read(facts.st_size)
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened: {error.strerror}") from error
    _reading.note(time.perf_counter() - start)
    return content


def sniff(content: bytes) -> str:
    """The format of a sound file by its first bytes; empty for one that must be decoded here.

    >>> sniff(b"fLaC...")
    'flac'
    """
    head = content[:4]
    if head == b"RIFF" and content[8:12] == b"WAVE":
        return "wav" if _is_plain_wav(content) else ""
    if head == b"fLaC":
        return "flac"
    if head == b"OggS":
        return "ogg"
    mpeg_layer_3 = len(head) == 4 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
    return "mp3" if head[:3] == b"ID3" or mpeg_layer_3 else ""


def _is_plain_wav(content: bytes) -> bool:
    """Whether a WAV file is mono 16-bit PCM with as much sound as its header says, and some."""
    place, plain = 12, False
    while place + 8 <= len(content):
        name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8
        if name == b"fmt ":
            fields = [int.from_bytes(content[place + a : place + b], "little") for a, b in ((0, 2), (2, 4), (4, 8))]
            depth = int.from_bytes(content[place + 14 : place + 16], "little")
            plain = fields[:2] == [PCM, 1] and fields[2] in RATES and depth == DEPTH
        elif name == b"data":
            return plain and 0 < size <= len(content) - place
        place += size + size % 2
    return False


async def decoded(content: bytes) -> Waveform:
    """The sound of an answer, decoded with the checks that recordings get.

    Raises AudioError if it cannot be.
    """
    return await asyncio.to_thread(_decoded, content)


def _decoded(content: bytes) -> Waveform:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer"
        file.write_bytes(content)
        try:
            return read_file(file)
        except AudioError as error:
            raise AudioError(str(error).replace(str(file), "the sound that the server sent")) from error


async def seconds_of(audio: Audio) -> float:
    """Length of what is heard, in seconds, from the corpus, the span or the file.

    Raises AudioError if the file cannot be read.
    """
    if audio.seconds is not None:
        return audio.seconds
    if audio.end is not None:
        return audio.end - audio.start
    return await asyncio.to_thread(probe_seconds, audio.path) - audio.start
