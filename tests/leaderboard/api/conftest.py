"""A store of a test's own, and an application over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audiometry.benchmark.store import Store


@pytest.fixture
def api_store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'api.db'}") as store:
        yield store
