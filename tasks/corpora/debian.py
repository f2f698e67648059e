"""Debian packages without root: fetched by the machine's own ``apt-get``, unpacked here.

A ``.deb`` is an ``ar`` archive (deb(5)) whose member ``data.tar`` (plain, gz, bz2, xz or zst) holds the files.
"""

from __future__ import annotations

import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.paths import home

__all__ = ["apt_download", "unpack_deb"]

AR_MAGIC = b"!<arch>\n"
MAX_BYTES = 1 << 31
"""The most that is unpacked from one package."""

TIMEOUT = 900.0
"""Seconds that one call of apt-get may take."""


def apt_download(packages: Sequence[str], folder: Path, report: Callable[[str], None], mend: str) -> dict[str, Path]:
    """Download `packages` into `folder` with ``apt-get download``; the path of each, by name.

    Where the machine's package lists do not know them, private lists are made under the home folder. `mend` ends
    the message of every DataError: what to do where apt-get is missing or cannot fetch.
    """
    if shutil.which("apt-get") is None:
        raise DataError(f"this machine has no apt-get to fetch {' and '.join(packages)} with; {mend}")
    report(f"fetching {', '.join(packages)} with apt-get")
    failure = _apt(["download", *packages], folder)
    if failure:
        report(f"apt-get: {failure}")
        private = _private_lists()
        report(f"fetching package lists of our own into {home() / 'apt'}")
        failure = _apt([*private, "update"], folder) or _apt([*private, "download", *packages], folder)
    found = {name: sorted(folder.glob(f"{name}_*.deb")) for name in packages}
    missing = [name for name, files in found.items() if not files]
    if failure or missing:
        raise DataError(f"apt-get cannot fetch {', '.join(missing or packages)}: {failure or 'no file came'}; {mend}")
    return {name: files[-1] for name, files in found.items()}


def unpack_deb(package: Path, wanted: Callable[[PurePosixPath], PurePosixPath | None], folder: Path) -> dict[str, Path]:
    """Unpack regular files of `package` into `folder`; the written paths, by their name under `folder`.

    `wanted` maps a file's path in the package to where it shall lie under `folder`, or None to leave it. Nothing
    else is written: no link, device, owner or mode.

    Raises DataError if the archive is cut off, malformed, larger than `MAX_BYTES`, or has a name that leads out.
    """
    written: dict[str, Path] = {}
    left = MAX_BYTES
    name, data = _data_member(package)
    try:
        with (
            _plain_or_known(name, data, package) as plain,
            tarfile.open(fileobj=plain, mode="r|*", errorlevel=2) as archive,
        ):
            for member in archive:
                target = wanted(_inside(member.name, package))
                stream = archive.extractfile(member) if target is not None and member.isreg() else None
                if stream is None:
                    continue
                left -= member.size
                if left < 0:
                    raise DataError(f"{package}: unpacks to over {MAX_BYTES} bytes; this is not the package meant")
                path = folder / _inside(str(target), package)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as out:
                    shutil.copyfileobj(stream, out)
                written[str(target)] = path
    except (EOFError, OSError, lzma.LZMAError, tarfile.TarError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{package}: cannot be unpacked: {reason}; fetch the package again") from error
    return written


def _apt(arguments: Sequence[str], folder: Path) -> str:
    """Run apt-get in `folder`; the reason if it failed, the empty string otherwise."""
    command = ["apt-get", "-q", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no end after {TIMEOUT:g} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.startswith("E:")]
    return lines[0] if lines else f"exit status {done.returncode}"


def _private_lists() -> list[str]:
    """Options that make apt-get keep its lists under the home folder, which needs no root."""
    base = home() / "apt"
    for part in ("state/lists/partial", "cache/archives/partial"):
        (base / part).mkdir(parents=True, exist_ok=True)
    options: Mapping[str, str] = {
        "Dir::State": str(base / "state"),
        "Dir::State::Lists": str(base / "state" / "lists"),
        "Dir::Cache": str(base / "cache"),
        "Acquire::Languages": "none",
        "Acquire::GzipIndexes": "true",
    }
    return [part for name, value in options.items() for part in ("-o", f"{name}={value}")]


def _data_member(package: Path) -> tuple[str, bytes]:
    """The name and the bytes of the member ``data.tar…``."""
    with package.open("rb") as file:
        if file.read(len(AR_MAGIC)) != AR_MAGIC:
            raise DataError(f"{package}: is not a Debian package; fetch it again")
        while header := file.read(60):
            name, size = header[:16].decode("latin-1").rstrip(" /"), header[48:58].strip()
            if len(header) < 60 or header[58:] != b"`\n" or not size.isdigit():
                raise DataError(f"{package}: is cut off or damaged; fetch the package again")
            if name.startswith("data.tar"):
                data = file.read(int(size))
                if len(data) < int(size):
                    raise DataError(f"{package}: is cut off within {name}; fetch the package again")
                return name, data
            file.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise DataError(f"{package}: holds no data.tar; fetch the package again")


def _plain_or_known(name: str, data: bytes, package: Path) -> IO[bytes]:
    """`data` as a stream that tarfile reads: it knows gz, bz2 and xz by itself."""
    suffix = name.removeprefix("data.tar")
    if suffix not in ("", ".gz", ".bz2", ".xz", ".zst"):
        raise DataError(f"{package}: {name} is compressed in an unknown way; unpack it and give its folder as --source")
    packed: IO[bytes] = io.BytesIO(data)
    if suffix == ".zst":
        import pyarrow as pa

        packed = pa.CompressedInputStream(packed, "zstd")
    return packed


def _inside(name: str, package: Path) -> PurePosixPath:
    """`name` as a relative path.

    Raises DataError if it leads out of the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        raise DataError(f"{package}: holds the name {name!r}, which leads out of the folder; do not use this package")
    return path
