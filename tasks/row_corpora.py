"""Opening the corpus that a task names, with the settings that the task hands on to the corpus' reader."""

from __future__ import annotations

from typing import Any

from audiometry.benchmark.registry import CORPORA, Spec
from audiometry.tasks.corpora.layout import CorpusFolder

__all__ = ["given", "holds", "named_after", "open_rows"]


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


def holds(opened: object, kind: type) -> bool:
    """Whether `opened` is a folder of a public corpus whose rows are of that kind. Raises what its `rows` raises."""
    return isinstance(opened, CorpusFolder) and all(isinstance(row, kind) for row in opened.rows()[:1])


def named_after(task: str, corpus: str, opened: object) -> str:
    """The name of a task on a corpus: ``emotion-ravdess``, and ``emotion-ravdess-song`` on a split not the default."""
    if isinstance(opened, CorpusFolder) and opened.split != opened.layout.splits[0]:
        return f"{task}-{corpus}-{opened.split}"
    return f"{task}-{corpus}"
