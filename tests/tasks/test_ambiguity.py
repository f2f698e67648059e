from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.seeds import derive_seed
from audiometry.benchmark.types import Output, Request, Sample, Waveform
from audiometry.tasks.ambiguity import KINDS, ambiguity, asks_back, intensity, score_answer
from audiometry.tasks.corpora.espeak_speech import Delivery, speak
from audiometry.tasks.style_instructions import STYLES

TASK = ambiguity()
SAMPLES = list(TASK.samples())


def reduced(answer: Callable[[Sample], Output], samples: list[Sample] = SAMPLES) -> Mapping[str, float]:
    columns = Columns()
    for place, sample in enumerate(samples):
        score = score_answer(sample, answer(sample))
        columns.append(place, sample, score.status, score.counts)
    table = columns.table()
    return {name: float(value[0]) for name, value in TASK.reduce(table, np.ones((1, table.clusters))).items()}


def by_model(name: str, samples: list[Sample]) -> Mapping[str, float]:
    model = MODELS.create(Spec(name))
    requests = [replace(one.request, seed=derive_seed(0, one.id)) for one in samples]
    targets = [one.target for one in samples]
    outputs = model.generate(requests, targets) if name == "oracle" else model.generate(requests)  # type: ignore[call-arg]
    said = dict(zip([one.id for one in samples], outputs, strict=True))
    return reduced(lambda sample: said[sample.id], samples)


def test_fifty_styles_each_on_a_sentence_of_its_own() -> None:
    assert len(STYLES) == len({style.name for style in STYLES}) == len({style.sentence for style in STYLES}) == 50
    assert len(SAMPLES) == len({sample.id for sample in SAMPLES}) == 150
    assert all(style.clear != style.hedged for style in STYLES)
    assert not any(asks_back(style.sentence, "") for style in STYLES)
    hedges = {hedge: sum(style.hedge == hedge for style in STYLES) for hedge in ("degree", "vague", "conflict")}
    assert hedges == {"degree": 18, "vague": 18, "conflict": 14}
    happy = next(sample for sample in SAMPLES if sample.id == "happy/hedged")
    assert "Manner: happy but not too exaggerated." in str(happy.request.instruction)
    assert happy.request.text == STYLES[0].sentence


def test_controls_that_cannot_tell_and_the_oracle_that_can() -> None:
    assert by_model("oracle", SAMPLES)["told_apart"] == 1.0
    always, silent = by_model("always-asks", SAMPLES), by_model("silent", SAMPLES)
    assert (always["told_apart"], always["asked_clear"], always["asked_hedged"]) == (0.0, 1.0, 1.0)
    assert (silent["told_apart"], silent["asked_hedged"], silent["rendered"]) == (0.0, 0.0, 0.0)
    assert math.isnan(silent["moderated"])


@pytest.mark.slow
def test_controls_that_speak() -> None:
    few = SAMPLES[:30]
    never = by_model("never-asks", few)
    assert (never["told_apart"], never["asked_hedged"], never["rendered"]) == (0.0, 0.0, 1.0)
    assert never["intensity_clear"] == pytest.approx(0.0, abs=1e-9)
    random = by_model("asks-at-random", SAMPLES[:60])
    assert abs(random["told_apart"]) < 0.6
    assert 0.2 < random["rendered"] < 0.8
    assert by_model("asks-at-random", SAMPLES[:60]) == random


@pytest.mark.slow
def test_a_model_that_moderates_is_seen_to() -> None:
    manners = {
        "neutral": Delivery(), "clear": Delivery(rate=260, volume=150, range=95),
        "hedged": Delivery(rate=210, volume=120, range=70),
    }  # fmt: skip

    def answer(sample: Sample) -> Output:
        manner = manners[sample.slices["instruction"]]
        return Output(text="Here it is.", audio=speak(str(sample.request.text), "en-us", manner).waveform)

    found = reduced(answer, SAMPLES[:18])
    assert found["moderated"] == 1.0
    assert 0.0 < found["intensity_ratio"] < 0.9
    assert found["intensity_clear"] > 5
    assert (found["asked_hedged"], found["rendered"]) == (0.0, 1.0)


def test_intensity_by_hand() -> None:
    neutral = np.array([[4.0, -20.0, 1.0], [0.0, 0.0, 0.0]])
    styled = neutral + np.array([[6.0, 0.0, 2 * math.log(1.05)], [0.0, -1.0, 0.0]])
    np.testing.assert_allclose(intensity(neutral, styled), [math.sqrt(8), 1.0])
    np.testing.assert_allclose(intensity(styled, neutral), intensity(neutral, styled))


@pytest.mark.parametrize("status", ["error", "timeout", "refused", "empty"])
def test_what_is_not_an_answer_has_asked_and_rendered_nothing(status: str) -> None:
    output = Output(status=status, text="What do you mean?", error="x")  # type: ignore[arg-type]
    score = score_answer(SAMPLES[1], output)
    assert score.status == status
    assert score.counts["clear"] == 1
    assert sum(score.counts[f"{what}_{kind}"] for what in ("asked", "rendered") for kind in KINDS) == 0


def test_an_echoed_question_is_no_question_and_noise_is_no_rendering() -> None:
    sample = Sample("x/clear", Request("respond", text="Are you there?"), "", {"instruction": "clear"}, "x")
    assert score_answer(sample, Output(text="Are you there?")).counts["asked_clear"] == 0
    assert score_answer(sample, Output(text="Are you there? How loud?")).counts["asked_clear"] == 1
    for samples in (np.zeros(16_000), np.random.default_rng(0).normal(0, 0.1, 16_000), np.full(16_000, np.nan)):
        sound = Waveform(samples.astype(np.float32), 16_000)
        assert score_answer(sample, Output(audio=sound)).counts["rendered_clear"] == 0
