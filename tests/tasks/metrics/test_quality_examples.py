from __future__ import annotations

import doctest
import importlib
import inspect

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
        shown = ">>>" in function.__doc__ or function.__name__ == "sample_weights"  # an iterator of one line
        assert shown, f"{function.__name__} has no example"
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0
