from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from audiometry.benchmark.errors import SettingError, UnknownNameError
from audiometry.benchmark.registry import MODELS, TRANSFORMS, Spec
from audiometry.benchmark.types import Audio, Output, Sample, Task, Waveform
from audiometry.models.adapters.controls import target_as_output
from audiometry.models.adapters.talking import SENTENCE
from audiometry.tasks.corpora.non_speech import KINDS
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.hallucination import non_speech_task, padded_task, padding


@dataclass
class Made:
    """A corpus that is only a list."""

    name: str
    items: list[Utterance]
    language: str = ""
    notes: tuple[str, ...] = ("made",)

    def utterances(self) -> list[Utterance]:
        return self.items


SOUNDS = [
    Utterance(f"non-speech/{kind}-{length:02d}s-{number}", Audio("a.wav", seconds=float(length)), "")
    for kind in KINDS
    for length in (1, 3)
    for number in (1, 2)
]
TEXTS = ["press one for sales", "goodbye", "the number you have dialled is not in service", "please hold"]
SPOKEN = [
    Utterance(f"said/{n}", Audio(f"{n}.wav", seconds=2.0), text, "en", "ann", slices={"speaker": "ann"})
    for n, text in enumerate(TEXTS)
]


@pytest.fixture
def silent_places() -> Task:
    return non_speech_task(Made("non-speech", SOUNDS), language=None, normaliser="basic-1")  # type: ignore[arg-type]


@pytest.fixture
def padded() -> Task:
    corpus = Made("said", SPOKEN, "en")
    return padded_task(corpus, name="hallucination-padded-said", clips=4, seconds=5.0, level=-40.0)  # type: ignore[arg-type]


def oracle(sample: Sample) -> Output:
    return target_as_output(sample.request.ability, sample.target)


def says(text: str) -> Callable[[Sample], Output]:
    return lambda _: Output(text=text)


def test_controls_where_nobody_speaks(silent_places: Task, measured: Callable[..., Any]) -> None:
    perfect = {"hallucination_rate": 0.0, "words_per_minute": 0.0, "loop_rate": 0.0}
    assert measured(silent_places, oracle).values == perfect
    assert measured(silent_places, lambda _: Output(status="empty", text="")).values == perfect
    talking = MODELS.create(Spec("talking"))
    (said,) = talking.generate([next(iter(silent_places.samples())).request])
    assert said.text == SENTENCE
    worst = measured(silent_places, lambda _: said).values
    assert worst["hallucination_rate"] == 1.0
    assert worst["words_per_minute"] == pytest.approx(12 * 40 / (20 * 1 + 20 * 3) * 60)
    talking.close()


def test_loops_are_counted_and_shown(silent_places: Task, measured: Callable[..., Any]) -> None:
    assert measured(silent_places, says("thank you " * 3)).values["loop_rate"] == 1.0
    assert measured(silent_places, says("thank you " * 2)).values["loop_rate"] == 0.0
    sample = next(iter(silent_places.samples()))
    score = silent_places.score(sample, Output(text="Thank you. Thank you. Thank you!"))
    assert score.details["loop"] == "3 x thank you"
    assert score.details["hypothesis_normalised"].strip() == "thank you thank you thank you"


@pytest.mark.parametrize("text", ["[BLANK_AUDIO]", "(wind blowing)", "♪ ♪", "...", " "])
def test_notes_and_symbols_are_no_words(silent_places: Task, text: str, measured: Callable[..., Any]) -> None:
    assert measured(silent_places, says(text)).values["hallucination_rate"] == 0.0


@pytest.mark.parametrize("status", ["error", "timeout"])
def test_failing_gains_nothing(silent_places: Task, padded: Task, status: str, measured: Callable[..., Any]) -> None:
    failed = Output(status=status, error="x")  # type: ignore[arg-type]
    values = measured(silent_places, lambda _: failed).values
    assert (values["hallucination_rate"], values["loop_rate"]) == (1.0, 1.0)
    assert np.isnan(values["words_per_minute"])
    spoken = measured(padded, lambda _: failed).values
    assert (spoken["hallucination_rate"], spoken["loop_rate"], spoken["wer"]) == (1.0, 1.0, 1.0)
    assert np.isnan(spoken["edge_words"])

    def adds(sample: Sample) -> Output:
        plain = sample.slices["padding"] == "none"
        return failed if plain else Output(text=f"{sample.target} thank you for watching")

    assert measured(padded, adds).values["edge_words"] == 4.0


def test_a_refusal_says_no_words(silent_places: Task, measured: Callable[..., Any]) -> None:
    refused = Output(status="refused", text="I cannot hear anybody in this recording")
    assert measured(silent_places, lambda _: refused).values["hallucination_rate"] == 0.0


def test_slices_name_kind_group_and_length(silent_places: Task) -> None:
    found = [sample.slices for sample in silent_places.samples()]
    assert found[0] == {"kind": "silence", "sound": "silence", "length": "01s"}
    assert {one["sound"] for one in found} == {"silence", "noise", "tones", "music", "babble"}
    assert {one["kind"] for one in found} == set(KINDS)


def test_the_start_of_each_clip_can_do() -> None:
    corpus = Made("non-speech", SOUNDS)
    cut = non_speech_task(corpus, language=None, normaliser="basic-1", seconds=2.0)  # type: ignore[arg-type]
    samples = list(cut.samples())
    assert len(samples) == len(SOUNDS)
    assert {(one.request.audios["input"].seconds, one.slices["length"]) for one in samples} == {
        (1.0, "01s"), (2.0, "02s")
    }  # fmt: skip
    assert {(one.request.audios["input"].start, one.request.audios["input"].end) for one in samples} == {
        (0.0, None), (0.0, 2.0)
    }  # fmt: skip
    assert cut.settings["seconds"] == "2"
    whole = non_speech_task(corpus, language=None, normaliser="basic-1")  # type: ignore[arg-type]
    assert "seconds" not in whole.settings
    with pytest.raises(SettingError, match="seconds=-1"):
        non_speech_task(corpus, language=None, normaliser="basic-1", seconds=-1.0)  # type: ignore[arg-type]


def test_each_clip_comes_with_three_paddings(padded: Task) -> None:
    samples = list(padded.samples())
    assert len({sample.id for sample in samples}) == 12
    plain, silence, noise = samples[:3]
    assert [sample.slices["padding"] for sample in samples[:3]] == ["none", "silence", "noise"]
    assert plain.cluster == silence.cluster == noise.cluster
    assert plain.request.audios["input"].transforms == ()
    assert silence.request.audios["input"].seconds == 12.0
    assert noise.request.audios["input"].transforms[0].seed == silence.request.audios["input"].transforms[0].seed


def test_words_in_the_padding_are_found(padded: Task, measured: Callable[..., Any]) -> None:
    perfect = {"hallucination_rate": 0.0, "edge_words": 0.0, "loop_rate": 0.0, "wer": 0.0}
    assert measured(padded, oracle).values == perfect

    def adds(sample: Sample) -> Output:
        more = "" if sample.slices["padding"] == "none" else " thank you for watching"
        return Output(text=f"{sample.target}{more}")

    values = measured(padded, adds).values
    assert values["hallucination_rate"] == pytest.approx(2 / 3)
    assert values["edge_words"] == pytest.approx(4 * 2 / 3)
    assert values["wer"] == pytest.approx(4 * 8 / (3 * sum(len(text.split()) for text in TEXTS)))
    noisy = list(padded.samples())[2]
    assert padded.score(noisy, adds(noisy)).details["inserted"] == "thank you for watching"
    assert padded.score(noisy, adds(noisy)).details["inserted_at"] == "end"


def test_two_added_words_inside_are_no_hallucination(padded: Task, measured: Callable[..., Any]) -> None:
    sample = next(iter(padded.samples()))
    words = str(sample.target).split()
    counts = padded.score(sample, Output(text=" ".join([words[0], "very", "much", *words[1:]]))).counts
    assert (counts["hallucinated"], counts["errors"]) == (0.0, 2.0)
    silent = measured(padded, lambda _: Output(status="empty", text="")).values
    assert (silent["hallucination_rate"], silent["wer"]) == (0.0, 1.0)


def test_digits_spelt_apart_are_no_hallucination(padded: Task) -> None:
    sample = replace(next(iter(padded.samples())), target="dial 1234 now please")
    counts = padded.score(sample, Output(text="dial 1, 2, 3, 4 now please")).counts
    assert (counts["hallucinated"], counts["errors"]) == (0.0, 4.0)
    counts = padded.score(sample, Output(text="dial 1234 now please and do not hang up")).counts
    assert (counts["hallucinated"], counts["edge_words"]) == (1.0, 5.0)


def test_padding_is_what_it_says() -> None:
    sound = Waveform(np.full(800, 0.5, np.float32), 8000)
    made = padding(sound, np.random.default_rng(1), before=1.0, after=0.5, fill="noise", level=-20.0)
    assert (len(made.samples), made.samples.dtype) == (8000 + 800 + 4000, np.float32)
    assert 20 * np.log10(np.std(made.samples[:8000])) == pytest.approx(-20.0, abs=0.2)
    np.testing.assert_array_equal(made.samples[8000:8800], sound.samples)
    still = TRANSFORMS.get("padding").factory(sound, np.random.default_rng(1), before=0.0, after=1.0)
    assert not still.samples[800:].any()
    for wrong in ({"before": -1.0, "after": 0.0}, {"before": 0.0, "after": 0.0, "fill": "music"}):
        with pytest.raises(SettingError, match="silence or noise"):
            padding(sound, np.random.default_rng(1), **wrong)  # type: ignore[arg-type]


def test_bad_settings_are_told() -> None:
    corpus = Made("said", SPOKEN, "en")
    with pytest.raises(SettingError, match="at least 1 clip"):
        padded_task(corpus, name="x", clips=0, seconds=5.0, level=-40.0)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="basic-1"):
        non_speech_task(corpus, language=None, normaliser="basic")  # type: ignore[arg-type]
