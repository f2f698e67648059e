from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Request

REQUEST = Request("respond", text="Rain is expected.", instruction="Manner: sad.")
NAMES = ("always-asks", "never-asks", "asks-at-random")


@pytest.mark.parametrize("name", NAMES)
def test_they_are_controls_for_replies(name: str) -> None:
    entry = MODELS.check(Spec(name))
    made = MODELS.create(Spec(name))
    assert entry.control
    assert made.abilities == entry.abilities == {"respond"}
    made.close()


def test_no_two_share_a_fingerprint() -> None:
    assert len({MODELS.create(Spec(name)).fingerprint for name in NAMES}) == 3


def test_one_asks_and_one_speaks_alike() -> None:
    (asked,) = MODELS.create(Spec("always-asks")).generate([REQUEST])
    assert str(asked.text).endswith("?")
    assert asked.audio is None
    never = MODELS.create(Spec("never-asks"))
    sad, happy, nothing = never.generate([REQUEST, replace(REQUEST, instruction="Manner: happy."), Request("respond")])
    assert sad.text is None
    np.testing.assert_array_equal(sad.audio.samples, happy.audio.samples)  # type: ignore[union-attr]
    assert nothing.status == "error"


def test_a_coin_falls_by_the_seed_alone() -> None:
    random = MODELS.create(Spec("asks-at-random"))
    assert not random.deterministic
    requests = [replace(REQUEST, seed=seed) for seed in range(24)]
    outputs, again = random.generate(requests), random.generate(requests[:4])
    spoken = [output for output in outputs if output.audio is not None]
    assert 4 <= len(spoken) <= 20
    assert all((output.audio is None) == (output.text is not None) for output in outputs)
    assert len({len(output.audio.samples) for output in spoken if output.audio}) > len(spoken) / 2
    for first, second in zip(outputs, again, strict=False):
        assert first.text == second.text
        if first.audio and second.audio:
            np.testing.assert_array_equal(first.audio.samples, second.audio.samples)
