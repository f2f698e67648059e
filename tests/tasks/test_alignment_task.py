from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Output, Request, Sample, Segment
from audiometry.tasks.alignment import METRICS, align_matched_voices, as_target, joined, score_alignment, segments_of
from audiometry.tasks.corpora import matched_voices as corpus_module
from audiometry.tasks.corpora.matched_voices import TEXTS, VOICES
from audiometry.tasks.metrics.alignment import boundary_reduce

WORDS = (Segment(0.0, 0.3, "Good"), Segment(0.3, 0.5, "in the"), Segment(0.6, 1.0, "hall"))


def sample(words: tuple[Segment, ...] = WORDS) -> Sample:
    return Sample("a", Request("align", text="Good in the hall."), as_target(words), cluster="v")


def reduced(*pairs: tuple[Sample, Output]) -> Mapping[str, float]:
    columns = Columns()
    for place, (one, output) in enumerate(pairs):
        score = score_alignment(one, output)
        columns.append(place, one, score.status, score.counts)
    table = columns.table()
    return {name: float(value[0]) for name, value in boundary_reduce()(table, np.ones((1, table.clusters))).items()}


def test_by_hand() -> None:
    heard = Output(
        segments=(
            Segment(0.0, 0.0, "<s>"), Segment(0.01, 0.33, "good(2)"), Segment(0.33, 0.4, "in"),
            Segment(0.4, 0.56, "THE"), Segment(0.56, 0.6, "[NOISE]"), Segment(0.6, 1.2, "hall,"),
        )
    )  # fmt: skip
    found = reduced((sample(), heard))
    assert found["matched"] == 1.0
    assert found["mean_absolute_error"] == pytest.approx((0.01 + 0.03 + 0.03 + 0.06 + 0.0 + 0.2) / 6)
    assert found["under_50ms"] == pytest.approx(4 / 6)
    assert found["under_20ms"] == pytest.approx(2 / 6)


def test_the_oracle_is_perfect_and_nothing_is_worst() -> None:
    best = reduced((sample(), Output(segments=segments_of(sample().target))))
    assert (best["under_50ms"], best["mean_absolute_error"], best["matched"]) == (1.0, 0.0, 1.0)
    for output in (Output(status="empty"), Output(status="error", segments=WORDS), Output(status="timeout")):
        worst = reduced((sample(), output))
        assert (worst["under_50ms"], worst["matched"]) == (0.0, 0.0)
        assert np.isnan(worst["mean_absolute_error"])
        assert score_alignment(sample(), output).status == output.status


def test_segments_out_of_order_are_unparsed() -> None:
    score = score_alignment(sample(), Output(segments=(WORDS[2], WORDS[0])))
    assert score.status == "unparsed"
    assert score.counts["matched"] == 0
    assert "sort by time" in score.details["why"]


def test_only_what_the_reference_joins_is_joined() -> None:
    words = [Segment(n / 10, n / 10 + 0.1, label) for n, label in enumerate(["in", "the", "in", "hall", "in", "the"])]
    assert [one.label for one in joined(WORDS, words)] == ["in the", "in", "hall", "in the"]
    assert joined(WORDS[:1], words) == words
    assert joined(WORDS, []) == []


def test_a_target_without_segments_is_refused() -> None:
    for target in ("text", None, {"words": []}):
        with pytest.raises(DataError, match="no segments"):
            segments_of(target)


def test_metrics_have_ranges_that_json_can_hold() -> None:
    assert METRICS[0].name == "under_50ms"
    assert all(np.isfinite(metric.low) for metric in METRICS)


@pytest.mark.slow
def test_the_task_on_its_corpus(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "VOICES", (VOICES[0], VOICES[-1]))
    monkeypatch.setattr(corpus_module, "TEXTS", TEXTS[:2])
    corpus_module.matched_voices().prepare(None, lambda _: None)
    task = align_matched_voices()
    samples = list(task.samples())
    assert [one.cluster for one in samples] == [VOICES[0].speaker] * 2  # the neural voice tells no times
    assert samples[0].request.text == TEXTS[0]
    assert [one.label for one in segments_of(samples[0].target)][:3] == ["The", "old", "clock"]
    assert task.notes == ("synthetic speech",)
