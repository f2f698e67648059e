"""Which names a file of a submission may have, and which names of models look alike.

A file's name is written to disk, put into a table and shown on a page, on this machine and on others: what is read in
two ways somewhere is refused, not mended.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from audiometry.leaderboard.submissions.errors import SubmissionError

__all__ = ["INVISIBLE", "Names", "check_name", "likeness", "shown"]

MAX_CHARACTERS = 500
MAX_PART_BYTES = 200
MAX_DEPTH = 8

FORBIDDEN = frozenset('\\:*?"<>|')
"""Separators, streams and wildcards of other systems."""

INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories: control, format (which turns the direction of a text), surrogate, private, unassigned."""

BLANK = re.compile(
    "[\\s\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""White space, and what is drawn as nothing though its category is that of a letter, mark or symbol."""


def check_name(name: str) -> PurePosixPath:
    """The path that `name` means, relative to the submission's folder.

    >>> check_name("model/config.json")
    PurePosixPath('model/config.json')

    Raises SubmissionError for an absolute name, one that leaves the folder or hides, and one that is too long, too
    deep, or holds a character that is not shown or that another system reads as more than a letter.
    """
    if len(name) > MAX_CHARACTERS:
        raise SubmissionError(f"the file name {shown(name)} has {len(name)} characters; {MAX_CHARACTERS} is the most")
    if any(unicodedata.category(one) in INVISIBLE for one in name):
        raise SubmissionError(f"the file name {shown(name)} holds a control or invisible character; rename it")
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise SubmissionError(f"the file name {shown(name)} is absolute or not written with '/'; use relative names")
    if FORBIDDEN & set(name):
        raise SubmissionError(f'the file name {shown(name)} holds one of : * ? " < > |; rename it')
    parts = name.split("/")
    if ".." in parts:
        raise SubmissionError(f"the file name {shown(name)} leads out of the folder; remove the '..'")
    if len(parts) > MAX_DEPTH:
        raise SubmissionError(f"the file {shown(name)} lies more than {MAX_DEPTH} folders deep; flatten them")
    for part in parts:
        if not part or part != part.strip() or part.endswith("."):
            raise SubmissionError(f"the file name {shown(name)} has an empty part, or one ending in a dot or space")
        if part.startswith("."):
            raise SubmissionError(f"the file {shown(name)} is hidden; leave it out")
        if len(part.encode()) > MAX_PART_BYTES:
            raise SubmissionError(f"the file name {shown(name)} has a part of more than {MAX_PART_BYTES} bytes")
    return PurePosixPath(name)


class Names:
    """The names of one submission: no two may mean the same file on any system, and no file may be a folder too."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._files)

    def add(self, name: str) -> PurePosixPath:
        """The path that `name` means, once it is known to be new.

        Raises SubmissionError as `check_name` does, and for a name that is there already, alone or up to its case or
        its Unicode normal form.
        """
        path = check_name(name)
        key = _folded(name)
        if key in self._files:
            twice = "stands there twice" if self._files[key] == name else f"collides with {shown(self._files[key])}"
            raise SubmissionError(f"the file name {shown(name)} {twice}; names must differ in more than case")
        self._files[key] = name
        self._add_folders(path)
        return path

    def add_folder(self, name: str) -> None:
        """Take note of a folder.

        Raises SubmissionError as `add` does.
        """
        self._add_folders(check_name(name) / "x")

    def _add_folders(self, path: PurePosixPath) -> None:
        for folder in path.parents[:-1]:
            known = self._folders.setdefault(_folded(str(folder)), str(folder))
            if known != str(folder):
                raise SubmissionError(
                    f"the folder name {shown(str(folder))} collides with {shown(known)}; "
                    "names must differ in more than case"
                )
        if clash := self._files.keys() & self._folders.keys():
            raise SubmissionError(f"{shown(self._files[min(clash)])} is a file and a folder; rename one")


def shown(name: str, most: int = 80) -> str:
    """A name as it stands in a one-line message: quoted, escaped and cut.

    >>> shown("a" + chr(10) + "b")
    "'a\\\\nb'"
    """
    text = ascii(name) if any(unicodedata.category(one) in INVISIBLE for one in name[: 4 * most]) else repr(name)
    return text if len(text) <= most else f"{text[:most]}…'"


def likeness(name: str) -> str:
    """The same for names of models that a reader takes for the same: case, spaces and invisible characters left out.

    Letters of different scripts that look alike stay different.

    >>> likeness("Small\u200b  but\u00a0ｍine") == likeness("smallbutMINE")
    True
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    if not folded.isascii():
        folded = "".join(one for one in folded if unicodedata.category(one) not in INVISIBLE)
    return unicodedata.normalize("NFC", BLANK.sub("", folded))


def _folded(name: str) -> str:
    """The same for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
