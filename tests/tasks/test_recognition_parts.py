"""The task families that look at one side of a transcript: entities, formatting, disfluency, code-switching, gap."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.stats import intervals
from audiometry.benchmark.types import Audio, Output, Request, Sample, ScoreTable, Task
from audiometry.models.adapters.controls import target_as_output
from audiometry.tasks import code_switching
from audiometry.tasks.code_switching import reduce_switches, score_switched
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.formatting import is_written_out
from audiometry.tasks.multilingual import language_gap, multilingual_task

TEXTS = {
    "entities": ["Press 4 or 6.", "Your code is 6013.", "We meet on Monday.", "Thank you."],
    "formatting": ["Hello, Ann.", "Is it you?", "Stop!"],
    "disfluency": ["Turn um off the light.", "Turn off -- off the light.", "What I -- Close it.", "Close it."],
}
HEADLINES = {"entities": "entity_error_rate", "formatting": "formatted_wer", "disfluency": "wer_verbatim"}
SILENCE = Output(status="empty", text="")


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[Iterable[str]], str]:
    """Write a list of recordings with these transcripts; its path."""

    def write(texts: Iterable[str]) -> str:
        path = tmp_path / "list.csv"
        with path.open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["audio", "text", "speaker"])
            for number, text in enumerate(texts):
                soundfile.write(tmp_path / f"{number}.wav", np.zeros(1600), 16_000)
                rows.writerow([f"{number}.wav", text, f"s{number}"])
        return str(path)

    return write


def made(name: str, **given: str) -> Task:
    return TASKS.create(Spec(name, tuple(sorted(given.items()))))


def measured(task: Task, answer: Callable[[Sample], Output]) -> dict[str, float]:
    samples = list(task.samples())
    columns = Columns()
    for place, one in enumerate(samples):
        score = task.score(one, answer(one))
        columns.append(place, one, score.status, score.counts)
    table = columns.table()
    values = task.reduce(table, np.ones((1, table.clusters)))
    assert set(values) == {metric.name for metric in task.metrics}
    for metric in task.metrics:
        assert metric.events is None or metric.events in table.counts
    return {name: float(value[0]) for name, value in values.items()}


def oracle(sample: Sample) -> Output:
    return target_as_output("transcribe", sample.target)


@pytest.mark.parametrize("family", TEXTS)
def test_the_oracle_is_perfect_and_silence_is_worst(family: str, listed: Callable[[Iterable[str]], str]) -> None:
    task = made(family, path=listed(TEXTS[family]))
    assert task.metrics[0].name == HEADLINES[family]
    assert measured(task, oracle)[HEADLINES[family]] == 0
    assert measured(task, lambda _: SILENCE)[HEADLINES[family]] == 1
    failed = measured(task, lambda one: Output(status="timeout", text=str(one.target)))
    assert failed[HEADLINES[family]] == 1


def test_entities_are_sliced_and_utterances_without_are_left_out(listed: Callable[[Iterable[str]], str]) -> None:
    task = made("entities", path=listed(TEXTS["entities"]))
    assert [one.slices["entities"] for one in task.samples()] == ["number", "number", "date"]
    found = measured(task, lambda one: Output(text=str(one.target).replace("4", "5")))
    assert found["entity_error_rate"] == pytest.approx(1 / 4)
    assert found["number_error_rate"] == pytest.approx(1 / 3)
    assert found["date_error_rate"] == 0
    assert np.isnan(found["name_error_rate"])
    (first, *_) = task.samples()
    details = task.score(first, Output(text="press for or six")).details
    assert details["entities"] == "4; 6"


def test_names_are_read_from_a_file(listed: Callable[[Iterable[str]], str], tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("Ann Lee\n\nOslo\n")
    task = made("entities", path=listed(["I am Ann Lee of Oslo"]), names=str(names))
    found = measured(task, lambda _: Output(text="i am ann of oslo"))
    assert found["name_error_rate"] == pytest.approx(1 / 2)
    with pytest.raises(DataError, match="cannot be read"):
        made("entities", path="x.csv", names=str(tmp_path / "missing.txt"))


@pytest.mark.parametrize("name", ["entities", "formatting"])
def test_a_list_or_a_corpus_is_needed(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name}:path=FILE"):
        made(name)


def test_formatting_of_what_is_said_right(listed: Callable[[Iterable[str]], str]) -> None:
    task = made("formatting", path=listed(TEXTS["formatting"]), language="en")
    plain = measured(task, lambda one: Output(text=str(one.target).lower().translate(str.maketrans("", "", ",.?!"))))
    assert plain["punctuation_f1"] == 0
    assert plain["case_error_rate"] == pytest.approx(4 / 6)  # Hello Ann Is Stop
    assert plain["formatted_wer"] == pytest.approx((4 + 4) / (6 + 4))


@pytest.mark.speech
def test_the_prompts_that_are_written_out() -> None:
    samples = list(made("formatting-asterisk-en").samples())
    assert 150 < len(samples) < 300
    assert all(is_written_out(str(one.target)) for one in samples)
    assert len(list(made("entities-asterisk-en").samples())) > 200


def test_disfluency_has_two_references(listed: Callable[[Iterable[str]], str]) -> None:
    task = made("disfluency", path=listed(TEXTS["disfluency"]))
    assert [one.slices["disfluency"] for one in task.samples()] == ["filler", "repeat", "false_start", "none"]
    verbatim = measured(task, lambda one: Output(text=str(one.target).replace("--", "")))
    assert verbatim["wer_verbatim"] == 0
    assert verbatim["wer_cleaned"] == pytest.approx(3 / 12)  # one repeated word and two of a false start; "um" is free
    assert [verbatim[f"{kind}_kept"] for kind in ("filler", "repeat", "false_start")] == [1, 1, 1]
    fluent = ["turn off the light", "turn off the light", "close it", "close it"]
    answers = dict(zip([one.id for one in task.samples()], fluent, strict=True))
    cleaned = measured(task, lambda one: Output(text=answers[one.id]))
    assert cleaned["wer_cleaned"] == 0
    assert cleaned["wer_verbatim"] == pytest.approx(4 / 16)
    assert [cleaned[f"{kind}_kept"] for kind in ("filler", "repeat", "false_start")] == [0, 0, 0]


def switched(number: int, target: str, languages: str) -> Sample:
    return Sample(f"s{number}", Request("transcribe"), target, slices={"languages": languages}, cluster=f"c{number}")


def test_code_switching_by_language() -> None:
    samples = [switched(0, "Thank you.\nBuenos días.", "en es"), switched(1, "Hello there.\nБуон.\nBye.", "en ru en")]

    def values(texts: list[str]) -> dict[str, float]:
        columns = Columns()
        for place, (one, text) in enumerate(zip(samples, texts, strict=True)):
            columns.append(place, one, "ok", score_switched(one, Output(text=text)).counts)
        table = columns.table()
        return {name: float(value[0]) for name, value in reduce_switches(table, np.ones((1, 2))).items()}

    perfect = values([str(one.target) for one in samples])
    assert perfect["wer"] == perfect["switch_error_rate"] == perfect["wer_es"] == 0
    assert np.isnan(perfect["wer_fr"])
    english = values(["thank you", "hello there bye"])
    assert english["wer_en"] == 0
    assert english["wer_es"] == english["wer_ru"] == english["switch_error_rate"] == 1
    assert english["wer"] == pytest.approx(3 / 8)
    assert score_switched(samples[0], Output(status="error", text="thank you")).counts["errors"] == 4


def test_code_switched_samples_tell_their_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"prompts/en-es-01": "Thank you.\nBuenos días.", "espeak/en-ru-en-03": "Hello.\nПока.\nBye."}

    class Switched(Made):
        def utterances(self) -> list[Utterance]:
            return [Utterance(f"code-switched/{key}", Audio("none.wav"), text) for key, text in texts.items()]

    monkeypatch.setattr(code_switching, "open_corpus", lambda _: Switched("", []))
    task = made("code-switching")
    human, machine = task.samples()
    assert human.slices == {"languages": "en es", "pair": "en-es", "speech": "human"}
    assert machine.slices == {"languages": "en ru en", "pair": "en-ru", "speech": "synthetic"}
    assert (human.cluster, machine.cluster) == (human.id, machine.id)
    perfect = measured(task, oracle)
    assert perfect["wer"] == perfect["switch_error_rate"] == 0
    silent = measured(task, lambda _: SILENCE)
    assert silent["wer"] == silent["switch_error_rate"] == 1


class Made:
    """A corpus of one language, of texts that need no sound."""

    licence = citation = "none"
    synthetic = True

    def __init__(self, language: str, texts: list[str], notes: tuple[str, ...] = ("made",)) -> None:
        self.name, self.language, self.texts, self.notes = f"made-{language}", language, texts, notes

    def ready(self) -> bool:
        return True

    def prepare(self, source: str | None, report: object) -> None: ...

    def describe(self) -> dict[str, str]:
        return {}

    def utterances(self) -> list[Utterance]:
        return [
            Utterance(f"{self.name}/{place}", Audio("none.wav"), text, self.language, f"{self.language}-{place % 8}")
            for place, text in enumerate(self.texts)
        ]


def corpora(words: int = 10, clips: int = 40) -> list[Made]:
    return [Made(language, [" ".join(["word"] * words)] * clips) for language in ("en", "it", "ru")]


def with_errors(rates: dict[str, float], seed: int) -> Callable[[Sample], Output]:
    """Answers in which each word is wrong with the language's rate."""
    random = np.random.default_rng(seed)

    def answer(sample: Sample) -> Output:
        wrong = random.random(len(str(sample.target).split())) < rates[sample.slices["language"]]
        return Output(text=" ".join("other" if one else "word" for one in wrong))

    return answer


def table_of(task: Task, answer: Callable[[Sample], Output]) -> ScoreTable:
    columns = Columns()
    for place, one in enumerate(task.samples()):
        score = task.score(one, answer(one))
        columns.append(place, one, score.status, score.counts)
    return columns.table()


def test_the_gap_of_made_answers_is_found() -> None:
    task = multilingual_task(corpora(), name="gap", low=["it", "ru"])
    assert task.notes == ("made",)
    covered = 0
    for seed in range(20):
        table = table_of(task, with_errors({"en": 0.20, "it": 0.28, "ru": 0.32}, seed))
        found = intervals(table, task.reduce, task.metrics, seed=seed, resamples=500)["gap"]
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.5 <= found.high
    assert covered >= 16  # 19 of 20 are nominal


def test_gap_by_hand() -> None:
    task = multilingual_task(corpora(words=2, clips=2), name="gap")
    said = {"en": "word word", "it": "word", "ru": "other"}  # nothing, a half, all of it wrong
    values = measured(task, lambda one: Output(text=said[one.slices["language"]]))
    assert np.isnan(values["gap"])  # nothing is relative to no errors
    assert (values["wer_macro"], values["wer_best"], values["wer_worst"]) == (0.5, 0, 1)
    said["en"] = "word"
    found = measured(task, lambda one: Output(text=said[one.slices["language"]]))
    assert (found["gap"], found["gap_worst"]) == (0.5, 1.0)
    assert measured(task, oracle)["wer_macro"] == 0
    assert measured(task, lambda _: SILENCE)["wer_macro"] == 1


def test_gap_of_rates_that_are_not_there() -> None:
    rates = np.array([[0.1, np.nan, np.nan, 0.0], [0.2, 0.3, np.nan, 0.1], [np.nan, 0.6, np.nan, np.nan]])
    found = language_gap(rates)
    np.testing.assert_allclose(found["gap"], [1.0, 1.0, np.nan, np.nan])
    np.testing.assert_allclose(found["wer_worst"], [0.2, 0.6, np.nan, 0.1])
    np.testing.assert_allclose(found["wer_macro"], [0.15, 0.45, np.nan, 0.05])
    np.testing.assert_allclose(language_gap(rates, [2])["gap"], [np.nan, 1.0, np.nan, np.nan])


def test_bad_settings_of_the_gap() -> None:
    with pytest.raises(SettingError, match="two languages"):
        multilingual_task(corpora()[:1], name="gap")
    with pytest.raises(SettingError, match="no corpus in de"):
        multilingual_task(corpora(), name="gap", low=["de"])
    assert made("multilingual", low="ru+it").settings["low"] == "ru+it"
