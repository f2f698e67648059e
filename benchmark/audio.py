"""Reading sound: any file soundfile or FFmpeg's libraries can open, cut to its span, mono, transformed.

Files come from anybody, so what a header says is checked against what was decoded, and no more than
`MAX_SECONDS` is ever read.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.registry import TRANSFORMS, load_plugins
from audiometry.benchmark.remote import is_url, open_url, read_failure, suffix
from audiometry.benchmark.types import Audio, Waveform

__all__ = ["MAX_SECONDS", "encode_wav", "probe_seconds", "read", "read_file", "resample"]

MAX_SECONDS = 4 * 3600.0
"""The longest span that is read at once."""

MAX_CHANNELS = 32
RATES = (1_000, 768_000)
FFMPEG_ONLY = (".g722", ".mp4", ".m4a", ".aac", ".webm", ".amr")
G722_RATE = 16_000
UNKNOWN_LENGTH = 0x7FFFF000
"""WAV lengths from here on mean that the writer did not know."""

ENDLESS_HOURS = 1e6
"""What libsndfile promises for sound of unknown length is beyond this."""

STRANGE = (1, 4, 18, 40)
"""libsndfile's codes for formats and encodings that it does not know, or cannot seek in. What it knows and finds
damaged FFmpeg would read as far as it goes, and say nothing."""

TOO_SHORT = re.compile(r"^ ?(?:SSND|  Data Size  |riff|  Riff size|data) : (\d+) \(should be (\d+)\)", re.MULTILINE)
"""How libsndfile's log tells of AIFF, AU, W64, RF64 and CAF files that are cut off. WAV files are looked at here."""


def read(audio: Audio, rate: int | None = None) -> Waveform:
    """Decode `audio` to mono float32, cut to its span, transformed in order, at `rate` Hz (None: the file's own).

    Raises AudioError, saying why, for a file that is missing, empty, cut off, of no known format, of no sound rate
    or channel count, or that holds NaN.
    """
    waveform = read_file(audio.path, start=audio.start, end=audio.end)
    if audio.transforms:
        load_plugins()
    for step in audio.transforms:
        change = TRANSFORMS.get(step.name).factory
        waveform = change(waveform, np.random.default_rng(step.seed), **dict(step.settings))
    return waveform if rate is None else resample(waveform, rate)


def read_file(path: str | Path, *, start: float = 0.0, end: float | None = None) -> Waveform:
    """Decode one file's span to mono (the mean of its channels); `start` and `end` in seconds.

    Raises AudioError as `read` does.
    """
    name = str(path)
    if end is not None and end <= start:
        raise AudioError(f"{name}: span {start:g} to {end:g} s is empty")
    with _open(name) as stream:
        decode = _decode_av if suffix(name) in FFMPEG_ONLY else _decode
        try:
            samples, rate = decode(stream, name, start, end)
        finally:
            if failure := read_failure(stream):
                raise AudioError(f"{name}: cannot be read: {failure}")
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(f"{name}: sampling rate {rate} Hz is outside {RATES[0]} to {RATES[1]} Hz")
    if len(samples) == 0:
        raise AudioError(f"{name}: holds no sound{'' if start == 0 else f' after {start:g} s'}")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: holds samples that are not finite numbers")
    return Waveform(samples, rate)


def probe_seconds(path: str | Path) -> float:
    """Length of a file in seconds, from its header where that can be trusted, decoded otherwise.

    Raises AudioError if it cannot be read.
    """
    import soundfile

    name = str(path)
    if suffix(name) == ".g722" and not is_url(name):  # raw G.722: 64 kbit/s, two samples a byte, no header
        return Path(name).stat().st_size * 2 / G722_RATE
    with _open(name) as stream:
        try:
            info = soundfile.info(stream)
        except (soundfile.LibsndfileError, TypeError, OSError):
            info = None
    if info is not None and info.samplerate > 0 and info.frames > 0:
        return float(info.frames / info.samplerate)
    return read_file(name).seconds


def resample(waveform: Waveform, rate: int) -> Waveform:
    """`waveform` at `rate` Hz (soxr, high quality). The same object if it has that rate already."""
    if waveform.rate == rate:
        return waveform
    import soxr

    changed = soxr.resample(waveform.samples, waveform.rate, rate, quality="HQ")
    return Waveform(np.asarray(changed, dtype=np.float32), rate)


def encode_wav(waveform: Waveform) -> bytes:
    """`waveform` as the bytes of a 16-bit WAV file."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(waveform.samples, -1.0, 1.0), waveform.rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _open(name: str) -> BinaryIO:
    try:
        if "://" not in name and Path(name).exists() and not Path(name).is_file():
            raise AudioError(f"{name}: cannot be opened: it is not a file")  # a pipe would be waited for
        return open_url(name) if is_url(name) else Path(name).open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(f"{name}: cannot be opened: {reason}") from error


def _decode(stream: BinaryIO, name: str, start: float, end: float | None) -> tuple[NDArray[np.float32], int]:
    import soundfile

    _check_length(stream, name)
    try:
        with soundfile.SoundFile(stream) as file:
            if file.channels > MAX_CHANNELS:
                raise AudioError(f"{name}: {file.channels} channels; at most {MAX_CHANNELS} are read")
            rate = int(file.samplerate)
            if rate <= 0:
                raise AudioError(f"{name}: sampling rate {rate} Hz")
            _check_told(file.extra_info, name)
            if start > 0:
                file.seek(min(round(start * rate), file.frames))
            limit = MAX_SECONDS if end is None else min(end - start, MAX_SECONDS)
            hours = (file.frames - file.tell()) / rate / 3600 if end is None else 0.0
            if MAX_SECONDS / 3600 < hours < ENDLESS_HOURS:
                raise AudioError(f"{name}: {hours:.1f} hours in one piece; list it in spans of at most 4 hours")
            promised = min(file.frames - file.tell(), round(limit * rate))
            frames = _read_blocks(file, round(limit * rate), rate)
    except soundfile.LibsndfileError as error:
        stream.seek(0)
        try:
            if error.code not in STRANGE:
                raise AudioError("damaged")
            return _decode_av(stream, name, start, end)
        except AudioError:
            raise AudioError(f"{name}: cannot be decoded: {error.error_string}") from error
    if len(frames) < promised:
        raise AudioError(f"{name}: cut off: the header promises {promised} samples and {len(frames)} are there")
    return _mono(frames), rate


def _check_length(stream: BinaryIO, name: str) -> None:
    """Raise AudioError for a WAV file with less sound than its header promises; the decoder would say nothing.

    Programs that write to a pipe cannot know the length and promise the largest one: that is no lie.
    """
    start = stream.read(12)
    if start[:4] == b"RIFF" and start[8:] == b"WAVE":
        end = stream.seek(0, io.SEEK_END)
        place = 12
        while place + 8 <= end:
            stream.seek(place)
            chunk = stream.read(8)
            size = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                if size > end - place - 8 and size < UNKNOWN_LENGTH:
                    raise AudioError(
                        f"{name}: cut off: its header promises {size} bytes of sound, {end - place - 8} are there"
                    )
                break
            place += 8 + size + size % 2
    stream.seek(0)


def _check_told(parsed: str, name: str) -> None:
    """Raise AudioError where libsndfile noted, while it parsed the header, that the file ends too soon."""
    for claimed, there in TOO_SHORT.findall(parsed):
        if int(there) < int(claimed) < UNKNOWN_LENGTH:
            raise AudioError(f"{name}: cut off: its header promises {claimed} bytes and {there} are there")
    if "without an End-Of-Stream flag" in parsed or "Junk after the last page" in parsed:
        raise AudioError(f"{name}: cut off: its last Ogg page is not the stream's end")


def _read_blocks(file: Any, limit: int, rate: int) -> NDArray[np.float32]:
    """Read in blocks, so that memory follows what is in the file and not what its header claims."""
    blocks: list[NDArray[np.float32]] = []
    left = limit
    while left > 0:
        block = file.read(min(left, 60 * max(rate, 1)), dtype="float32", always_2d=True)
        if len(block) == 0:
            break
        blocks.append(block)
        left -= len(block)
    return np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)


def _decode_av(stream: BinaryIO, name: str, start: float, end: float | None) -> tuple[NDArray[np.float32], int]:
    import av

    limit = MAX_SECONDS if end is None else min(end, MAX_SECONDS + start)
    chunks: list[NDArray[np.float32]] = []
    rate = total = 0
    try:
        with av.open(stream, "r", format="g722" if suffix(name) == ".g722" else None) as container:
            if not container.streams.audio:
                raise AudioError(f"{name}: has no audio stream")
            for frame in container.decode(audio=0):
                rate = rate or int(frame.sample_rate)
                data = frame.to_ndarray()
                channels = len(frame.layout.channels)
                if channels > MAX_CHANNELS:
                    raise AudioError(f"{name}: {channels} channels; at most {MAX_CHANNELS} are read")
                data = data.T if frame.format.is_planar else data.reshape(-1, channels)
                chunks.append(_mono(_to_float(data)))
                total += len(chunks[-1])
                if total >= limit * rate:
                    break
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise AudioError(f"{name}: cannot be decoded: {' '.join(str(error).split())}") from error
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    return samples[round(start * rate) : round(limit * rate)], rate


def _to_float(data: NDArray[Any]) -> NDArray[np.float32]:
    if data.dtype == np.uint8:
        return (data.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(data.dtype, np.integer):
        return data.astype(np.float32) / float(-np.iinfo(data.dtype).min)
    return data.astype(np.float32)


def _mono(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """(time, channels) → (time,)."""
    if frames.shape[1] == 1:
        return np.ascontiguousarray(frames[:, 0])
    return np.asarray(frames.mean(axis=1), dtype=np.float32)
