from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from audiometry.benchmark.model_kinds import ControlModel
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import ABILITIES, Ability, Model, Request
from audiometry.models.adapters.controls import target_as_output


@pytest.mark.parametrize(("name", "given"), [("oracle", "own target"), ("shuffled", "other target"), ("silent", None)])
def test_controls_are_registered_as_such(name: str, given: str | None) -> None:
    entry = MODELS.check(Spec(name))
    made: Any = MODELS.create(Spec(name))
    assert entry.control
    assert entry.given == given
    assert made.abilities == entry.abilities
    assert made.name == name
    assert made.deterministic
    assert isinstance(made, Model if given is None else ControlModel)
    made.close()


def test_no_two_controls_share_a_fingerprint() -> None:
    assert len({MODELS.create(Spec(name)).fingerprint for name in ("oracle", "shuffled", "silent")}) == 3


@pytest.mark.parametrize("name", ["oracle", "shuffled"])
def test_a_control_answers_each_request_with_what_it_is_given_in_order(name: str) -> None:
    made: Any = MODELS.create(Spec(name))
    outputs = made.generate([Request("transcribe"), Request("respond"), Request("transcribe")], ["a b", "yes", " "])
    assert [(output.status, output.text) for output in outputs] == [("ok", "a b"), ("ok", "yes"), ("empty", "")]
    assert all("total" in output.timings for output in outputs)


@pytest.mark.parametrize(
    ("target", "score"), [("bonafide", 1.0), (1, 1.0), (1.0, 1.0), ("spoof", 0.0), ("A07", 0.0), (0, 0.0), ("1", 0.0)]
)
def test_a_detection_is_one_for_bona_fide_and_zero_for_all_else(target: Any, score: float) -> None:
    assert target_as_output("detect", target).score == score


def test_a_class_is_its_own_label_and_a_rating_its_own_score() -> None:
    assert target_as_output("classify", "angry").labels == {"angry": 1.0}
    assert target_as_output("rate", 3.5).score == 3.5
    assert target_as_output("rate", "4").score == 4.0


@pytest.mark.parametrize(
    ("ability", "target"),
    [("transcribe", None), ("transcribe", 3.0), ("classify", {"a": 1}), ("rate", "good"), ("align", "x")],
)
def test_a_target_that_says_nothing_is_that_samples_error_alone(ability: Ability, target: Any) -> None:
    with pytest.raises(ValueError, match=r"no answer to|not a text|could not convert"):
        target_as_output(ability, target)
    made: Any = MODELS.create(Spec("oracle"))
    wrong, right = made.generate([Request(ability), Request("transcribe")], [target, "fine"])
    assert wrong.status == "error"
    assert wrong.error
    assert right.text == "fine"


def test_as_many_targets_as_requests_must_be_given() -> None:
    made: Any = MODELS.create(Spec("oracle"))
    with pytest.raises(ValueError, match="shorter"):
        made.generate([Request("transcribe")] * 2, ["one"])


def test_silence_is_an_empty_text_a_missing_score_or_a_second_of_zeros() -> None:
    made = MODELS.create(Spec("silent"))
    said = {ability: made.generate([Request(ability)])[0] for ability in get_args(Ability) if ability in made.abilities}
    assert set(said) == set(ABILITIES) - {"embed", "watermark"}
    for ability in ("transcribe", "respond"):
        assert (said[ability].status, said[ability].text) == ("empty", "")
    for ability in ("detect", "classify", "rate", "align"):
        output = said[ability]
        assert output.status == "empty"
        assert (output.text, output.score, output.labels, output.segments) == (None, None, {}, ())
    for ability in ("synthesize", "convert"):
        audio = said[ability].audio
        assert said[ability].status == "ok"
        assert audio is not None
        assert audio.seconds == 1.0
        assert not np.any(audio.samples)
