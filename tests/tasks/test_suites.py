"""Every suite names tasks that are there, with weights that make sense; each can be planned where its corpora are."""

from __future__ import annotations

import pytest

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.plan import RunSettings, make_plan
from audiometry.benchmark.registry import SUITES, TASKS, Spec, parse_specs

BUILT_IN = ["smoke", "core", "asr", "tts", "safety", "bias", "robustness", "spoof", "full"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_suite_names_tasks_with_weights(name: str) -> None:
    suite = SUITES.create(Spec(name))
    assert suite.version
    assert suite.weights
    for spec in parse_specs(list(suite.weights)):
        TASKS.check(spec)
    assert all(weight > 0 for weight in suite.weights.values())


def test_the_full_suite_holds_every_other_suite_task() -> None:
    full = {spec.name for spec in parse_specs(list(SUITES.create(Spec("full")).weights))}
    for name in BUILT_IN:
        assert {spec.name for spec in parse_specs(list(SUITES.create(Spec(name)).weights))} <= full, name


@pytest.mark.usefixtures("home")
def test_all_that_is_missing_is_told_at_once() -> None:
    with pytest.raises(DataError) as caught:
        make_plan(RunSettings(models=("silent",), tasks=("wer-asterisk-ru", "wer-asterisk-it")))
    for language in ("ru", "it"):
        assert f"run: audiometry data prepare asterisk-{language}" in str(caught.value)
