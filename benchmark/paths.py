"""Where Audiometry keeps data, cache and its default store."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["artefacts_url", "corpora_folder", "home", "runs_folder", "store_url"]


def home() -> Path:
    """``AUDIOMETRY_HOME``, or ``audiometry`` under the user's data folder (``XDG_DATA_HOME``, ``~/.local/share``)."""
    given = os.environ.get("AUDIOMETRY_HOME")
    if given:
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "audiometry"


def corpora_folder() -> Path:
    """Where prepared corpora are."""
    return home() / "corpora"


def runs_folder() -> Path:
    """Where run folders go unless told otherwise."""
    return home() / "runs"


def store_url() -> str:
    """``AUDIOMETRY_STORE`` (a database URL), or SQLite under the home folder."""
    return os.environ.get("AUDIOMETRY_STORE") or f"sqlite:///{home() / 'store.db'}"


def artefacts_url() -> str:
    """``AUDIOMETRY_ARTEFACTS`` (a URL for the files of submissions), or ``submissions`` in the home folder."""
    return os.environ.get("AUDIOMETRY_ARTEFACTS") or str(home() / "submissions")
