from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

MODULES = [
    "alignment", "classification", "extras", "frechet", "intrusive", "latency", "mos_prediction", "multilabel",
    "opinion", "retrieval", "similarity", "translation", "weighting",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_and_every_public_function_has_one(name):
    module = importlib.import_module(f"audiometry.tasks.metrics.{name}")
    functions = [getattr(module, public) for public in module.__all__ if inspect.isfunction(getattr(module, public))]
    assert functions
    for function in functions:
        assert ">>>" in function.__doc__, f"{function.__name__} has no example"
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0


@pytest.mark.parametrize("page", ["quality.md", "other_metrics.md"])
def test_examples_of_the_pages_run(page):
    path = Path(__file__).parents[3] / "docs" / page
    result = doctest.testfile(str(path), module_relative=False)
    assert result.failed == 0
    assert result.attempted > 0
