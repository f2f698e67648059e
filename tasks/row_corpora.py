"""Opening the corpus that a task names, with the settings that the task hands on to the corpus' reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import CORPORA, Spec
from audiometry.tasks.corpora.layout import CorpusFolder

__all__ = ["given", "must_name", "named_after", "open_rows", "open_rows_of"]


def given(**settings: str | None) -> dict[str, str]:
    """The settings that were given.

    >>> given(path="/data", split=None)
    {'path': '/data'}
    """
    return {name: value for name, value in settings.items() if value is not None}


def open_rows(corpus: str, **settings: str | None) -> Any:
    """The corpus registered under `corpus`, opened with those of `settings` that are given.

    Raises UnknownNameError for an unknown name, and SettingError for a setting that the corpus does not take.
    """
    return CORPORA.create(Spec(corpus, tuple(sorted(given(**settings).items()))))


def open_rows_of(kind: type, what: str, corpus: str, **settings: str | None) -> Any:
    """As `open_rows`, of a corpus whose rows are of that kind.

    Raises DataError, which says `what`, where the corpus is no folder of a public corpus or has rows of another kind.
    """
    opened = open_rows(corpus, **settings)
    if not isinstance(opened, CorpusFolder) or not all(isinstance(row, kind) for row in opened.rows()[:1]):
        raise DataError(f"corpus {corpus!r} holds no {what}")
    return opened


def must_name(task: str, what: str, example: str) -> Callable[..., None]:
    """The check of a task that has no corpus of its own: SettingError, with an example, where it is told none.

    >>> check = must_name("captioning", "a corpus of captions", "corpus=clotho,path=FOLDER")
    >>> check(corpus="clotho")
    """

    def check(*, corpus: str = "", **_: object) -> None:
        if not corpus:
            raise SettingError(f"task {task!r} needs {what}, as in {task}:{example}")

    return check


def named_after(task: str, corpus: str, opened: object) -> str:
    """The name of a task on a corpus: ``emotion-ravdess``, and ``emotion-ravdess-song`` on a split not the default."""
    if isinstance(opened, CorpusFolder) and opened.split != opened.layout.splits[0]:
        return f"{task}-{corpus}-{opened.split}"
    return f"{task}-{corpus}"
