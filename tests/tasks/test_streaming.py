from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.types import Audio, Output, Sample, Task
from audiometry.models.adapters.controls import target_as_output
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.streaming import latency_task


@dataclass
class Said:
    """A corpus that is only a list."""

    name: str = "said"
    language: str = "en"
    notes: tuple[str, ...] = ("made",)

    def utterances(self) -> list[Utterance]:
        return [
            Utterance(f"said/{n}", Audio(f"{n}.wav", seconds=2.0), "yes", "en", slices={"duration": "01-03 s"})
            for n in range(9)
        ]


def made(*, streaming: bool = True, clips: int = 5) -> Task:
    return latency_task(Said(), name="streaming-latency-said", clips=clips, streaming=streaming)  # type: ignore[arg-type]


def measured(task: Task, outputs: list[Output]) -> dict[str, float]:
    columns = Columns()
    for position, (sample, output) in enumerate(zip(task.samples(), outputs, strict=True)):
        score = task.score(sample, output)
        columns.append(position, sample, score.status, score.counts)
    values = task.reduce(columns.table(), np.ones((1, len(outputs))))
    assert set(values) == {metric.name for metric in task.metrics}
    return {name: float(value[0]) for name, value in values.items()}


def test_a_streaming_model_by_hand() -> None:
    outputs = [Output(text="yes", timings={"first": n / 10, "total": n / 5}) for n in range(1, 6)]
    values = measured(made(), outputs)
    assert values["first_latency_p50"] == pytest.approx(0.3)
    assert values["latency_p50"] == pytest.approx(0.6)
    assert values["latency_p90"] == pytest.approx(np.percentile([0.2, 0.4, 0.6, 0.8, 1.0], 90))
    assert values["rtfx"] == pytest.approx(5 * 2.0 / 3.0)
    assert values["streamed"] == 1.0


def test_a_model_that_does_not_stream_has_no_first_token() -> None:
    values = measured(made(), [Output(text="yes", timings={"total": 0.5})] * 5)
    assert np.isnan(values["first_latency_p50"])
    assert (values["latency_p95"], values["streamed"]) == (0.5, 0.0)


def test_giving_up_on_the_slow_ones_gains_nothing() -> None:
    outputs = [Output(text="yes", timings={"total": 0.1})] * 3 + [Output(status="timeout", timings={"total": 9.0})] * 2
    values = measured(made(), outputs)
    assert values["latency_p50"] == pytest.approx(0.1)
    assert np.isnan(values["latency_p90"])
    assert values["rtfx"] == pytest.approx(20.0)


def test_controls() -> None:
    task = made()
    oracle = [target_as_output("transcribe", sample.target) for sample in task.samples()]
    timed = [Output(text=one.text, timings={"first": 0.0, "total": 1e-6}) for one in oracle]
    values = measured(task, timed)
    assert (values["first_latency_p50"], values["streamed"]) == (0.0, 1.0)
    failed = measured(task, [Output(status="error")] * 5)
    assert np.isnan([failed["latency_p50"], failed["first_latency_p50"], failed["rtfx"]]).all()


def test_the_headline_and_the_choice_of_clips() -> None:
    assert made().metrics[0].name == "first_latency_p50"
    assert made(streaming=False).metrics[0].name == "rtfx"
    few, more = ({sample.id for sample in made(clips=clips).samples()} for clips in (3, 6))
    assert len(few) == 3
    assert few < more
    sample: Sample = next(iter(made().samples()))
    assert sample.slices == {"duration": "01-03 s"}
    assert made().exclusive
    with pytest.raises(SettingError, match="give 1 or more"):
        made(clips=0)
