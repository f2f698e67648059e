"""Unpacking what was uploaded: a zip or tar archive, of which nothing is believed.

What an archive promises (sizes, counts, names, kinds) is compared with what is found; bytes are counted as they come
out. Nothing is written outside a new folder, and that is removed again if anything is wrong.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.folders import new_file, whole_folder
from audiometry.leaderboard.submissions.limits import DEFAULT_LIMITS, Limits
from audiometry.leaderboard.submissions.manifest import FILE
from audiometry.leaderboard.submissions.names import Names, shown

__all__ = ["holds_zip", "unpack"]

CHUNK = 2**18
HEADER_BYTES = 4 * 2**20
"""The most that is read at once: a zip's table of contents, or a tar's extended header."""

ENCRYPTED = 0x41
"""Flags of a zip member: encrypted, strongly encrypted."""

DAMAGED = (
    zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, ValueError,
    NotImplementedError, OverflowError, RuntimeError, struct.error,
)  # fmt: skip
"""What the libraries raise over an archive that is not one; a UnicodeDecodeError is a ValueError."""


def unpack(archive: Path, into: Path, limits: Limits = DEFAULT_LIMITS) -> None:
    """Unpack a ``.zip``, ``.tar`` or ``.tar.gz`` into the folder `into`: a new one in a folder that is there, or empty.

    Archives inside stay as they are; empty folders are left out. Files get mode 0600. Where all lies in one folder
    that holds the manifest, as when a folder itself was packed, that folder's content is taken.

    Raises SubmissionError, and leaves nothing behind, for an archive that is damaged, encrypted or of another kind; a
    name that `names.check_name` refuses or that stands there twice; a link or a device; more files or bytes than
    `limits` allow; and a folder that holds something.
    """
    size = archive.stat().st_size
    if size > limits.archive_bytes:
        raise SubmissionError(f"the archive has {size} bytes; {limits.archive_bytes} is the most")
    with whole_folder(into, FILE) as made, archive.open("rb") as stream:
        _unpack(stream, _Target(made, limits, size))


def holds_zip(path: Path) -> bool:
    """Whether the file is a zip archive, at its beginning or behind something else."""
    try:
        with path.open("rb") as stream, zipfile.ZipFile(_bounded(stream)) as archive:
            return bool(archive.filelist)
    except SubmissionError:  # a table of contents that is too large is one
        return True
    except DAMAGED:
        return False


class _Target:
    """The new folder, and how much was written to it."""

    def __init__(self, folder: Path, limits: Limits, archive_bytes: int) -> None:
        self.folder = folder
        self.limits = limits
        self.names = Names()
        self.most = min(limits.total_bytes, int(max(limits.free_bytes, limits.ratio * archive_bytes)))
        self.written = 0
        self.members = 0

    def count(self) -> None:
        """Count a member, whatever it is.

        Raises SubmissionError for one too many; folders count too.
        """
        self.members += 1
        if self.members > 2 * self.limits.files:
            raise SubmissionError(f"the archive holds more than {self.limits.files} files")

    def write(self, name: str, source: IO[bytes]) -> None:
        """Write one file, counting what comes out.

        Raises SubmissionError for a name that is refused, or one byte too many.
        """
        path = self.names.add(name)
        if len(self.names) > self.limits.files:
            raise SubmissionError(f"the archive holds more than {self.limits.files} files")
        size = 0
        with new_file(self.folder, path) as file:
            while chunk := source.read(CHUNK):
                size += len(chunk)
                self.written += len(chunk)
                if size > self.limits.file_bytes:
                    raise SubmissionError(f"{shown(name)} has more than {self.limits.file_bytes} bytes")
                if self.written > self.most:
                    raise SubmissionError(
                        f"the archive unpacks to more than {self.most} bytes: {self.limits.total_bytes} in all, and "
                        f"{self.limits.ratio:g} times its own size, are the most"
                    )
                file.write(chunk)


def _unpack(stream: IO[bytes], target: _Target) -> None:
    head = stream.read(512)
    stream.seek(0)
    try:
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            _unpack_zip(stream, target)
        elif head.startswith(b"\x1f\x8b"):
            # twice what may come out, for the headers and the padding between small files
            with gzip.GzipFile(fileobj=stream) as plain:
                _unpack_tar(_bounded(plain, target.most + 2**20 + 4096 * target.limits.files), target)
        elif head[257:262] == b"ustar":
            _unpack_tar(_bounded(stream), target)
        else:
            raise SubmissionError("the upload is no zip, tar or tar.gz archive; pack the folder as one of them")
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:200]
        raise SubmissionError(f"the archive is damaged or not of a kind that is read here: {reason}") from error
    if not target.names:
        raise SubmissionError("the archive is empty")


def _unpack_zip(stream: IO[bytes], target: _Target) -> None:
    with zipfile.ZipFile(_bounded(stream)) as archive:
        for member in archive.filelist:
            target.count()
            if member.orig_filename != member.filename:
                raise SubmissionError(f"the file name {shown(member.orig_filename)} holds a NUL; rename it")
            if not member.filename:
                raise SubmissionError("an entry of the archive has no name; pack it again")
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise SubmissionError(f"{shown(member.filename)} is a link or a device; submit plain files alone")
            if member.is_dir() or stat.S_ISDIR(mode):
                target.names.add_folder(member.filename.removesuffix("/"))
                continue
            if member.flag_bits & ENCRYPTED:
                raise SubmissionError(f"{shown(member.filename)} is encrypted; pack it without a password")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise SubmissionError(f"{shown(member.filename)} is packed in a rare way; use deflate")
            with archive.open(member) as source:
                target.write(member.filename, source)


def _unpack_tar(stream: IO[bytes], target: _Target) -> None:
    with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
        while (member := archive.next()) is not None:
            target.count()
            if member.isdir():
                if member.name not in ("", "."):
                    target.names.add_folder(member.name.removeprefix("./"))
                continue
            if not member.isreg() or member.issparse() or member.size < 0:
                raise SubmissionError(f"{shown(member.name)} is a link or a device; submit plain files alone")
            source = archive.extractfile(member)
            if source is not None:
                target.write(member.name.removeprefix("./"), source)


def _bounded(stream: IO[bytes] | gzip.GzipFile, total: int | None = None) -> IO[bytes]:
    return _Bounded(stream, total)  # type: ignore[return-value]  # a RawIOBase is read like any IO


class _Bounded(io.RawIOBase):
    """A stream of which only so much is read at once, and at most `total` bytes.

    The libraries read a table of contents, or an extended header, whole into memory, however long it says that it is.
    With a `total`, which is for streams that decompress, it goes forward alone and what is passed over is counted too.
    """

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, total: int | None) -> None:
        super().__init__()
        self._stream = stream
        self._total = total
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """At most `HEADER_BYTES` at once.

        Raises SubmissionError for more.
        """
        if size > HEADER_BYTES:
            raise SubmissionError("the archive's table of contents is too large; pack fewer files, with shorter names")
        data = self._stream.read(HEADER_BYTES if size < 0 else size)
        self._position += len(data)
        if self._total is not None and self._position > self._total:
            raise SubmissionError("the archive unpacks to far more than its own size")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset; forward, by reading, where the bytes are counted."""
        if self._total is None:
            try:
                return self._stream.seek(offset, whence)
            except OSError as error:  # before the beginning
                raise ValueError("its table of contents is not where it should be") from error
        if whence != os.SEEK_SET or offset < self._position:
            raise SubmissionError("the archive is not in order; pack it again")
        while self._position < offset and self.read(min(CHUNK, offset - self._position)):
            pass
        return self._position

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._stream.tell() if self._total is None else self._position

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True
