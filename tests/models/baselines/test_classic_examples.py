"""The examples in the classic detectors' modules run, and the modules name what they offer."""

from __future__ import annotations

import doctest
import subprocess
import sys
from types import ModuleType

import pytest

from audiometry.models.baselines import (
    boosted_trees,
    cepstra,
    fusion,
    gaussian_mixture,
    saved,
    shortcut,
    shortcut_features,
    trial_data,
    waveform_scores,
)

MODULES = [
    boosted_trees, cepstra, fusion, gaussian_mixture, saved, shortcut, shortcut_features, trial_data, waveform_scores,
]  # fmt: skip
WITHOUT_EXAMPLES = {"audiometry.models.baselines.fusion", "audiometry.models.baselines.shortcut",
                    "audiometry.models.baselines.trial_data"}  # fmt: skip

HEAVY = ("sklearn", "scipy", "torch", "safetensors", "librosa")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_examples_run(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.failed == 0
    assert (result.attempted == 0) == (module.__name__ in WITHOUT_EXAMPLES)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_what_a_module_offers_is_there(module: ModuleType) -> None:
    assert all(hasattr(module, name) for name in module.__all__)


def test_registering_them_loads_nothing_heavy() -> None:
    names = ", ".join(module.__name__ for module in MODULES)
    look = f"import sys, {names}; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
