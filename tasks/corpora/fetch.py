"""Fetching a public corpus: files of a Hugging Face dataset repository, or archives at their official address."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audiometry.benchmark.errors import DataError

__all__ = ["Archive", "Hub", "Source", "fetch", "unpack"]

Report = Callable[[str], None]

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ARCHIVES = (*TARS, ".zip")
CHUNK = 2**20


@dataclass(frozen=True)
class Hub:
    """Files of a dataset repository on the Hugging Face hub, by patterns such as ``data/en_us/*``."""

    repository: str
    patterns: tuple[str, ...]
    revision: str = "main"


@dataclass(frozen=True)
class Archive:
    """A file at a URL, with its MD5 where its makers publish one (`md5` empty: not checked)."""

    url: str
    md5: str = ""


Source = Hub | Archive


def fetch(sources: Sequence[Source], folder: Path, report: Report, by_hand: str) -> None:
    """Fetch every source into `folder` and unpack the archives beside themselves.

    Raises DataError, which ends with `by_hand`, where one cannot be had or differs from its published checksum.
    """
    for source in sources:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if isinstance(source, Hub):
                report(f"fetching {', '.join(source.patterns)} of {source.repository} from the Hugging Face hub")
                _from_hub(source, folder)
            else:
                report(f"fetching {source.url}")
                _from_url(source, folder)
        except (OSError, ImportError) as error:
            what = source.repository if isinstance(source, Hub) else source.url
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{what} cannot be fetched: {reason}; {by_hand}") from error
    for archive in sorted(path for path in folder.rglob("*") if path.name.endswith(ARCHIVES) and path.is_file()):
        report(f"unpacking {archive.name}")
        unpack(archive, archive.parent)
        archive.unlink()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar (gzip, bzip2, xz or plain) or zip file into `folder`; no member may leave it.

    Raises DataError for an archive that is damaged or cut off, or that names a file outside.
    """
    try:
        if archive.name.endswith(".zip"):
            with zipfile.ZipFile(archive) as pack:
                for name in pack.namelist():
                    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                        raise DataError(f"{archive} names {name!r}, which lies outside its folder; do not use it")
                pack.extractall(folder)  # noqa: S202 (names were looked at)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise DataError(f"{archive} cannot be unpacked: {' '.join(str(error).split())}; fetch it again") from error


def _from_hub(source: Hub, folder: Path) -> None:
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            source.repository,
            repo_type="dataset",
            revision=source.revision,
            allow_patterns=list(source.patterns),
            local_dir=folder,
        )
    except Exception as error:  # those of the hub, of its HTTP client and of its transfer have no base in common
        raise OSError(f"{error}") from error


def _from_url(source: Archive, folder: Path) -> None:
    """Fetch into a file that gets its name only once it is whole."""
    import urllib.request
    from http.client import HTTPException

    target = folder / PurePosixPath(source.url).name
    part = target.with_name(f"{target.name}.part")
    if not source.url.startswith("https://"):
        raise OSError("only https is fetched")
    try:
        with urllib.request.urlopen(source.url, timeout=60) as response, part.open("wb") as out:  # noqa: S310 (https)
            shutil.copyfileobj(response, out, CHUNK)
    except HTTPException as error:
        raise OSError(f"{error}") from error
    if source.md5 and (found := _md5(part)) != source.md5:
        part.unlink()
        raise OSError(f"its MD5 is {found} where {source.md5} is published")
    part.replace(target)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
