"""Every public function of the metrics and of the statistics has an example, and the examples run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

from audiometry.benchmark import stats
from audiometry.benchmark.types import Metric
from audiometry.tasks import metrics

MODULES = sorted(
    f"{package.__name__}.{found.name}"
    for package in (metrics, stats)
    for found in pkgutil.iter_modules(package.__path__)
)


def public_functions(module):
    """The functions that `__all__` names, without what caches them."""
    found = {name: inspect.unwrap(getattr(module, name)) for name in module.__all__}
    return {name: function for name, function in found.items() if inspect.isfunction(function)}


def test_the_modules_are_found():
    assert {"audiometry.tasks.metrics.detection", "audiometry.benchmark.stats.groups"} <= set(MODULES)
    assert len(MODULES) > 40


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_exists_once_and_in_order(name):
    module = importlib.import_module(name)
    assert module.__all__ == sorted(
        set(module.__all__), key=lambda listed: (not listed.isupper(), not listed[0].isupper(), listed)
    )
    assert all(hasattr(module, listed) for listed in module.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_an_example_that_runs(name):
    module = importlib.import_module(name)
    functions = public_functions(module)
    without = [function for function, found in functions.items() if ">>>" not in (found.__doc__ or "")]
    assert not without, f"without an example: {', '.join(without)}"
    assert doctest.testmod(module).failed == 0
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    for function in functions.values():  # the module's own search passes over what a cache wraps
        for example in finder.find(function, globs=vars(module).copy()):
            runner.run(example)
    assert runner.tries >= len(functions)
    assert runner.failures == 0


def declared_metrics():
    """What the modules declare that tasks report: `X_METRICS`, and `x_metrics(…)` for classes or cut-offs."""
    for name in MODULES:
        module = importlib.import_module(name)
        for listed in module.__all__:
            found = getattr(module, listed)
            if inspect.isfunction(found) and inspect.signature(found).return_annotation == "tuple[Metric, ...]":
                first = next(iter(inspect.signature(found).parameters.values()))
                found = found(["dog", "cat"]) if first.default is first.empty else found()
            if isinstance(found, tuple):
                yield from ((listed, metric) for metric in found if isinstance(metric, Metric))


def test_fractions_are_declared_on_their_scale():
    """Near 0 or 1 a linear interval misses the truth too often; a rate that may pass 1 is formed on the log scale."""
    fractions = [(listed, metric) for listed, metric in declared_metrics() if metric.unit == "fraction"]
    assert {listed for listed, _ in fractions} == {
        "ANSWER_METRICS", "ATTRIBUTION_METRICS", "BOUNDARY_METRICS", "DIARISATION_METRICS", "FORMATTING_METRICS",
        "classification_metrics", "multilabel_metrics", "retrieval_metrics",
    }  # fmt: skip
    wanted = {1.0: "logit", float("inf"): "log"}
    assert [(listed, metric.name) for listed, metric in fractions if metric.scale != wanted.get(metric.high)] == []


@pytest.mark.parametrize("page", ["quality.md", "other_metrics.md", "detection.md"])
def test_examples_of_the_pages_run(page):
    result = doctest.testfile(str(Path(__file__).parents[3] / "docs" / page), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0
