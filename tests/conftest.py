"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: one that begins last would keep one core waiting."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AUDIOMETRY_STORE", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def ray_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ray, started once for all tests that run an evaluation inside this process."""
    import logging

    import ray

    empty = tmp_path_factory.mktemp("empty")
    ray.init(
        num_cpus=2,
        runtime_env={"working_dir": str(empty)},
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
        include_dashboard=False,
    )
    yield
    ray.shutdown()
