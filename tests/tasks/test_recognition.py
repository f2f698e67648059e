from __future__ import annotations

from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.errors import SettingError, UnknownNameError
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Output, Request, Sample, ScoreTable, Task
from audiometry.tasks.recognition import reduce_transcripts, score_transcript

PAIRS = [
    ("the cat sat on the mat", "the cat sat on mat"),
    ("hello there", "hello where there"),
    ("one two three", ""),
    ("stop", "stop"),
]


def sample(index: int, target: str) -> Sample:
    return Sample(f"s{index}", Request("transcribe"), target, cluster=f"c{index % 2}")


def table(outputs: list[Output]) -> ScoreTable:
    samples = [sample(i, reference) for i, (reference, _) in enumerate(PAIRS)]
    scores = [score_transcript(one, output, str.lower) for one, output in zip(samples, outputs, strict=True)]
    columns = Columns()
    for i, (one, score) in enumerate(zip(samples, scores, strict=True)):
        columns.append(i, one, score.status, score.counts)
    return columns.table()


def test_corpus_values_are_jiwers() -> None:
    outputs = [Output(text=said) for _, said in PAIRS]
    values = reduce_transcripts(table(outputs), np.ones((1, 2)))
    references, hypotheses = map(list, zip(*PAIRS, strict=True))
    assert values["wer"][0] == pytest.approx(jiwer.wer(references, hypotheses), abs=1e-12)
    assert values["mer"][0] == pytest.approx(jiwer.mer(references, hypotheses), abs=1e-12)
    assert values["wil"][0] == pytest.approx(jiwer.wil(references, hypotheses), abs=1e-12)
    assert values["cer"][0] == pytest.approx(jiwer.cer(references, hypotheses), abs=1e-12)
    assert values["wer"][0] == pytest.approx((1 + 1 + 3 + 0) / 12)


def test_weights_count_a_cluster_twice() -> None:
    outputs = [Output(text=said) for _, said in PAIRS]
    doubled = reduce_transcripts(table(outputs), np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(doubled["wer"], [4 / 9, 1 / 3, 5 / 12])


@pytest.mark.parametrize("status", ["error", "timeout", "refused", "empty"])
def test_what_is_not_an_answer_is_all_deletions(status: str) -> None:
    output = Output(status=status, text="the cat sat on the mat", error="x")  # type: ignore[arg-type]
    score = score_transcript(sample(0, PAIRS[0][0]), output, str)
    assert score.status == status
    assert (score.counts["deletions"], score.counts["errors"], score.counts["reference"]) == (6, 6, 6)
    assert score.details["hypothesis"] == ""


def test_raw_and_normalised_texts_are_kept() -> None:
    score = score_transcript(sample(0, "Mr. Cat"), Output(text="MISTER cat"), lambda text: text.lower())
    assert score.details == {
        "reference": "Mr. Cat", "hypothesis": "MISTER cat",
        "reference_normalised": "mr. cat", "hypothesis_normalised": "mister cat",
    }  # fmt: skip


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16000)
    path = tmp_path / "list.csv"
    path.write_text("audio,text,speaker,room\na.wav,Hello,ann,hall\n")
    return path


def made(**settings: str) -> Task:
    return TASKS.create(Spec("wer", tuple(sorted(settings.items()))))


def test_a_list_of_ones_own(manifest: Path) -> None:
    task = made(path=str(manifest), language="en")
    (only,) = task.samples()
    assert (only.target, only.cluster, only.slices["room"]) == ("Hello", "ann", "hall")
    assert only.request.language == "en"
    assert task.settings["normaliser"] == "whisper-english-1"
    assert made(path=str(manifest), language="es").settings["normaliser"] == "basic-1"
    assert made(path=str(manifest), normaliser="none-1", name="mine").name == "mine"


def test_bad_settings(manifest: Path) -> None:
    with pytest.raises(SettingError, match="wer:path=FILE"):
        made()
    with pytest.raises(UnknownNameError, match="whisper-english-1"):
        made(path=str(manifest), normaliser="whisper-english")


def test_every_corpus_has_its_task() -> None:
    names = TASKS.names()
    for language in ("en", "es", "fr", "it", "ru"):
        assert f"wer-asterisk-{language}" in names
        assert f"wer-asterisk-{language}-telephone" in names
    assert "synthetic speech" in TASKS.create(Spec("wer-synthetic-en")).notes


def test_a_number_of_clips_takes_the_first_of_a_fixed_order() -> None:
    everything = [one.id for one in TASKS.create(Spec("wer-asterisk-en")).samples()]
    few, more = (
        [one.id for one in TASKS.create(Spec("wer-asterisk-en", (("clips", count),))).samples()] for count in ("5", "9")
    )
    assert (len(few), len(more)) == (5, 9)
    assert set(few) < set(more) < set(everything)
    with pytest.raises(SettingError, match="setting 'clips': -1 is negative"):
        TASKS.create(Spec("wer-asterisk-en", (("clips", "-1"),)))
