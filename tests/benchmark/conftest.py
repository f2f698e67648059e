"""Empty stores of each kind, and finished runs written by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audiometry.benchmark.registry import PLUGIN_FILES, load_plugin_file
from audiometry.benchmark.store import Store


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite store that is not there yet."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a store of each kind, not there yet."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An open, empty store of each kind."""
    with Store.open(url) as opened:
        yield opened


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """`write_run` of the plug-in `gated.py`, whose tasks are then known."""
    load_plugin_file(Path(__file__).with_name("gated.py"))
    module = next(module for name, module in sys.modules.items() if name.startswith(f"{PLUGIN_FILES}gated_"))
    found: Callable[..., Path] = module.write_run
    return found
