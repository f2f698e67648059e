"""Files at URLs (``https://``, ``s3://``, ``memory://``, …), through whatever file systems fsspec knows."""

from __future__ import annotations

import io
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["beside", "is_url", "open_url", "read_failure", "suffix"]

WHOLE_BYTES = 8 * 2**20
"""Up to this size a file is fetched in one piece; of a larger one only the parts that are read."""

BLOCK_BYTES = 2**20
"""How much of a larger file is fetched at a time."""

LARGEST_BYTES = 2**30
"""The largest file that is taken from a server that cannot give parts of it."""


def is_url(name: str) -> bool:
    """Whether `name` is a URL and not a path on this machine.

    >>> [is_url(name) for name in ("https://host/a.wav", "zip://a.wav::s3://bucket/a.zip", "/data/a.wav")]
    [True, True, False]
    """
    return "://" in name


def suffix(name: str) -> str:
    """The ending of a path or URL, in small letters.

    >>> [suffix(name) for name in ("/data/A.WAV", "https://host/a.flac?key=1.2", "zip://a.g722::s3://bucket/a.zip")]
    ['.wav', '.flac', '.g722']
    """
    path = name.partition("::")[0].partition("?")[0] if is_url(name) else name
    return PurePath(path).suffix.lower()


def open_url(url: str) -> BinaryIO:
    """The file at `url`, seekable. A failure while a large file is read later shows in `read_failure`.

    Raises OSError, its text saying why, for a file that is not there or cannot be reached, a protocol or package that
    is missing, and a server that gives no parts of a file larger than `LARGEST_BYTES`.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
        stream = system.open(path, "rb", block_size=BLOCK_BYTES)
        size = _size(stream)
        if size is not None and size > WHOLE_BYTES:
            return cast("BinaryIO", _Guarded(stream, system))
        with stream:
            return io.BytesIO(_all(stream))
    except FileNotFoundError as error:
        raise FileNotFoundError("does not exist") from error
    except Exception as error:  # each file system raises errors of its own
        raise OSError(_reason(error)) from error


def read_failure(stream: object) -> str | None:
    """Why reading failed in the middle, where `stream` is of `open_url`; None where nothing did.

    Decoders written in C cannot pass such an error on: they see the end of the file.
    """
    error = stream.error if isinstance(stream, _Guarded) else None
    return None if error is None else _reason(error)


def beside(url: str, name: str) -> str:
    """The URL of the file `name` in the folder of the file at `url`.

    >>> beside("https://host/corpus/list.csv?version=2", "clips/a.wav")
    'https://host/corpus/clips/a.wav'
    >>> beside("zip://list.csv::s3://bucket/corpus.zip", "clips/a.wav")
    'zip://clips/a.wav::s3://bucket/corpus.zip'
    """
    inner, chain, outer = url.partition("::")
    protocol, _, path = inner.partition("://")
    folder, slash, _ = path.partition("?")[0].rpartition("/")
    return f"{protocol}://{folder}{slash}{name}{chain}{outer}"


class _Guarded(io.RawIOBase):
    """A file that remembers the error that ended it, since C code that reads it would lose the error."""

    def __init__(self, stream: Any, system: Any) -> None:
        super().__init__()
        self._stream = stream
        self._system = system  # an archive is closed once nobody holds its file system
        self.error: Exception | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fill `buffer` from here; returns how many bytes there were. None after a failure."""
        if self.error is not None:
            return 0
        try:
            view = memoryview(buffer)
            part = self._stream.read(len(view))
            view[: len(part)] = part
            return len(part)
        except Exception as error:  # each file system raises errors of its own
            self.error = error
            return 0

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; returns it from the begin."""
        try:
            return int(self._stream.seek(place, whence))
        except Exception as error:  # an archive reads when it seeks
            self.error = error
            return 0

    def tell(self) -> int:
        """The place from the begin."""
        return int(self._stream.tell())

    def close(self) -> None:
        """Give the connection back."""
        self._stream.close()
        super().close()


def _size(stream: Any) -> int | None:
    """Bytes in it; None where the server gives it only from its begin to its end."""
    try:
        size = int(stream.seek(0, io.SEEK_END))
        stream.seek(0)
    except (OSError, ValueError):
        return None
    return size


def _all(stream: Any) -> bytes:
    parts = bytearray()
    while part := stream.read(BLOCK_BYTES):
        parts += part
        if len(parts) > LARGEST_BYTES:
            raise OSError(f"is larger than {LARGEST_BYTES >> 20} MiB, and its server gives no parts of it")
    return bytes(parts)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, OSError | ImportError | ValueError) and text else f"{type(error).__name__}: {text}"
