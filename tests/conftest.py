"""Fixtures for every test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from postgres_server import PostgresServer, running

from audiometry.tasks.metrics.compiled_code import keep_entries_apart

keep_entries_apart()  # two workers run tests that have librosa compiled

TESTS = Path(__file__).parent

# The gate draws the same cases every time; `HYPOTHESIS_PROFILE=default` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """In a worker of pytest-xdist, pytest-cov 7.1 begins twice, and everything is traced twice: end the first."""
    plugin = session.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if hasattr(session.config, "workerinput") and controller is not None:
        controller.cov.stop()


COVERED = ("benchmark", "tasks")
"""Folders whose tests count for coverage: `benchmark` and `tasks` are measured, and tests mirror the folders."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: one that begins last would keep one core waiting.

    Tests of what is not measured run without the tracer of coverage, which takes them up to twice the time.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        if not any(item.path.is_relative_to(TESTS / folder) for folder in COVERED):
            item.add_marker("no_cover")


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
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the tests' own."""
    with running() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer, _number: Callable[[], int]) -> str:
    """The URL of an empty database on the server."""
    return postgres.create(f"test{_number()}")


@pytest.fixture(scope="session")
def _number() -> Callable[[], int]:
    counter = itertools.count()
    return lambda: next(counter)
