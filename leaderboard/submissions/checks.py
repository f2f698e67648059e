"""Whether a folder may be submitted: its files, their formats, its manifest, adapter and settings.

Nothing of it is loaded, unpickled or run here.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.registry import MODELS, SUITES, parse_spec
from audiometry.leaderboard.submissions.adapters import admitted
from audiometry.leaderboard.submissions.archives import unpack
from audiometry.leaderboard.submissions.contamination import contamination
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.formats import check_content
from audiometry.leaderboard.submissions.limits import DEFAULT_LIMITS, Limits
from audiometry.leaderboard.submissions.manifest import FILE, Manifest, read_manifest, spec_of
from audiometry.leaderboard.submissions.names import Names, shown

__all__ = ["DEFAULT_LIMITS", "Checked", "FileFact", "Limits", "check_folder", "digest_of", "unpack"]

CHUNK = 2**20
REASON_CHARACTERS = 500


@dataclass(frozen=True)
class FileFact:
    """A file of a submission: its path inside the folder, its size in bytes, and the sha256 of its bytes in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Checked:
    """A submission that passed. `digest` names the content of all its files."""

    manifest: Manifest
    files: tuple[FileFact, ...]
    digest: str
    warnings: tuple[str, ...]

    def file_documents(self) -> list[dict[str, Any]]:
        """The files as the queue keeps them: ``{path, size, sha256}`` each."""
        return [asdict(file) for file in self.files]


def check_folder(folder: Path, limits: Limits = DEFAULT_LIMITS) -> Checked:
    """Check the submission in `folder`.

    Raises SubmissionError, with a reason of one line, for a link, a second name of one file, a device, a name that
    `names.check_name` refuses, too many files or bytes, a manifest that is not right, an adapter or setting that is
    not for submissions, a suite that is not registered, and a file that is not of an admitted format.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise SubmissionError(f"there is no folder {folder.name!r}; give the folder that holds {FILE}")
    paths = _list(folder, limits)
    manifest = read_manifest(folder)
    try:
        known = admitted(manifest)
        SUITES.get(manifest.suite)
    except UserError as error:
        raise SubmissionError(str(error)) from error
    if known.file_bytes is not None:
        limits = replace(limits, file_bytes=min(limits.file_bytes, known.file_bytes))
    files = []
    for name in paths:
        _check_size(name, (folder / name).lstat().st_size, limits)
        check_content(folder / name, name, known.formats, limits)
        files.append(_fact(folder, name, limits))
    _check_settings(manifest, folder)
    return Checked(manifest, tuple(files), digest_of(files), contamination(manifest.training_data, manifest.suite))


def digest_of(files: Sequence[FileFact]) -> str:
    """A sha256 in hex over the paths and contents of files, whatever their order.

    >>> one, other = FileFact("a", 1, "0" * 64), FileFact("b", 1, "1" * 64)
    >>> digest_of([one, other]) == digest_of([other, one]) != digest_of([one])
    True
    """
    listed = sorted([file.path, file.size, file.sha256] for file in files)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _list(folder: Path, limits: Limits) -> list[str]:
    """The names of all files, sorted; what is no plain file of one name is refused."""
    names = Names()
    found: list[str] = []
    waiting = [""]
    total = folders = 0
    while waiting:
        inside = waiting.pop()
        with os.scandir(folder / inside) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        folders += 1
        if folders > limits.files:
            raise SubmissionError(f"the folder holds more than {limits.files} folders")
        for entry in listed:
            name = f"{inside}{entry.name}"
            facts = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                names.add_folder(name)
                waiting.append(f"{name}/")
                continue
            if not stat.S_ISREG(facts.st_mode):
                what = "a symbolic link" if stat.S_ISLNK(facts.st_mode) else "no plain file"
                raise SubmissionError(f"{shown(name)} is {what}; copy what it stands for into the folder")
            if facts.st_nlink > 1:
                raise SubmissionError(f"{shown(name)} is a hard link; copy the file into the folder")
            names.add(name)
            found.append(name)
            total += facts.st_size
            _check_sizes(name, facts.st_size, total, len(found), limits)
    return sorted(found)


def _check_sizes(name: str, size: int, total: int, count: int, limits: Limits) -> None:
    if count > limits.files:
        raise SubmissionError(f"the folder holds more than {limits.files} files")
    if total > limits.total_bytes:
        raise SubmissionError(f"the folder holds more than {limits.total_bytes} bytes")
    _check_size(name, size, limits)


def _check_size(name: str, size: int, limits: Limits) -> None:
    if size > limits.file_bytes:
        raise SubmissionError(f"{shown(name)} has {size} bytes; {limits.file_bytes} is the most")


def _fact(folder: Path, name: str, limits: Limits) -> FileFact:
    """The file's size and hash, from one reading that follows no link."""
    hashed, size = hashlib.sha256(), 0
    descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as stream:
        while chunk := stream.read(CHUNK):
            hashed.update(chunk)
            size += len(chunk)
            if size > limits.file_bytes:
                raise SubmissionError(f"{shown(name)} grows while it is read; submit a folder that nobody writes to")
    return FileFact(name, size, hashed.hexdigest())


def _check_settings(manifest: Manifest, folder: Path) -> None:
    """Ask the adapter whether it takes the settings and the files, which it looks at without loading them."""
    spec = spec_of(manifest, folder)
    try:
        MODELS.check(parse_spec(spec))
    except SubmissionError:
        raise
    except (UserError, OSError) as error:
        reason = " ".join(str(error).replace(str(folder), ".").split())
        raise SubmissionError(f"adapter {manifest.adapter!r} refuses it: {reason[:REASON_CHARACTERS]}") from error
