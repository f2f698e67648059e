from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

MODULES = [
    "english_numbers", "english_spelling", "normalise", "normalise_basic", "normalise_english", "normalise_rules",
    "phonemes", "transcription",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_and_every_public_function_has_one(name):
    module = importlib.import_module(f"audiometry.tasks.metrics.{name}")
    functions = [getattr(module, public) for public in module.__all__ if inspect.isroutine(getattr(module, public))]
    for function in functions:
        assert ">>>" in inspect.unwrap(function).__doc__, f"{function.__name__} has no example"
    finder = doctest.DocTestFinder()
    tests = [test for function in functions for test in finder.find(inspect.unwrap(function), globs=vars(module))]
    results = [doctest.DocTestRunner().run(test) for test in tests]
    assert [result.failed for result in results] == [0] * len(results)
    assert sum(result.attempted for result in results) >= len(functions) > 0
