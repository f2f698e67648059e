"""The synthesis tasks: what is asked, what is counted, and that a perfect and a worthless voice come out as such."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import MODELS, TASKS, Spec, parse_spec
from audiometry.benchmark.types import Audio, Output, Request, Sample, Score, Task, Waveform
from audiometry.tasks.corpora.utterance import Utterance, open_corpus
from audiometry.tasks.hard_texts import HARD_TEXTS
from audiometry.tasks.metrics.intonation import Delivered
from audiometry.tasks.metrics.normalise import normaliser
from audiometry.tasks.synthesis import Reference, prosody_counts, reference_voices, spoken_samples

RATE = 16_000
TEXTS = {
    "ann": ("the cat sat on the mat", "we will all go home now", "please close the old door"),
    "bob": (
        "it rained for nine long days in a row",
        "stop",
        "nobody knows who built this long grey wall of stone here",
    ),
}


def buzz(seconds: float, low: float = 120.0, high: float = 160.0) -> np.ndarray:
    """A gliding harmonic tone between half seconds of silence."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(low + (high - low) * time / seconds) / RATE
    tone = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 9))
    return np.concatenate([np.zeros(RATE // 2), tone, np.zeros(RATE // 2)]).astype(np.float32)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A list of recordings: two speakers, three texts each; Ann's are long enough to lend her voice."""
    lines = ["id,audio,text,speaker,gender,language"]
    for speaker, texts in TEXTS.items():
        for number, text in enumerate(texts):
            name = f"{speaker}-{number}"
            seconds = 2.5 + number if speaker == "ann" else 1.0
            soundfile.write(tmp_path / f"{name}.wav", buzz(seconds), RATE)
            lines.append(f"{name},{name}.wav,{text},{speaker},x,en")
    path = tmp_path / "list.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def made(name: str, path: Path | None = None, **settings: str) -> Task:
    given = settings if path is None else {"corpus": "manifest", "path": str(path), "language": "en", **settings}
    return TASKS.create(Spec(name, tuple(sorted(given.items()))))


def values(task: Task, scores: list[Score], samples: list[Sample]) -> dict[str, float]:
    columns = Columns()
    for at, (sample, score) in enumerate(zip(samples, scores, strict=True)):
        columns.append(at, sample, score.status, score.counts)
    table = columns.table()
    reduced = task.reduce(table, np.ones((1, table.clusters)))
    return {metric.name: float(reduced[metric.name][0]) for metric in task.metrics}


def judged(task: Task, sample: Sample, answers: Mapping[str, Output]) -> Score:
    assert task.score_judged is not None
    return task.score_judged(sample, Output(), answers)


def test_texts_come_with_a_voice_and_a_human_reading(recordings: Path) -> None:
    samples = list(spoken_samples(open_corpus("manifest", path=str(recordings))))
    assert [one.id.rpartition("/")[2] for one in samples] == ["ann-0", "ann-1", "ann-2", "bob-0", "bob-2"]
    for one in samples:
        target: Any = one.target
        assert (one.request.ability, one.request.language) == ("synthesize", "en")
        assert target["text"] == one.request.text
        assert isinstance(target["recording"], Audio)
        assert set(one.request.audios) == ({"voice"} if "ann" in one.id else set())
        assert one.cluster == one.id
        if "ann" in one.id:
            voice = one.request.audios["voice"]
            assert voice.path != target["recording"].path
            assert ((voice.end or 0) - voice.start, voice.seconds) == (3.0, 3.0)
    assert [one.slices["length"] for one in samples] == [
        "04-06 words", "04-06 words", "04-06 words", "07-12 words", "07-12 words",
    ]  # fmt: skip
    speakers = {one.cluster for one in made("synthesis-prosody", recordings).samples()}
    assert speakers == {"ann", "bob"}
    assert {one.cluster for one in made("synthesis-similarity", recordings).samples()} == {"ann"}


def test_an_utterance_without_a_language_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", buzz(1.0), RATE)
    (tmp_path / "l.csv").write_text("audio,text,speaker\na.wav,one two three four,ann\n")
    with pytest.raises(DataError, match="has no language; give language=CODE"):
        list(spoken_samples(open_corpus("manifest", path=str(tmp_path / "l.csv"))))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([1.0, 3.0, 8.0])), max_size=12))
def test_a_voice_is_another_recording_of_the_same_speaker(facts: list[tuple[str, float]]) -> None:
    utterances = [
        Utterance(f"u{i}", Audio(f"u{i}.wav", start=1.0, seconds=seconds), "x", speaker=speaker)
        for i, (speaker, seconds) in enumerate(facts)
    ]
    by_path = {one.audio.path: one for one in utterances}
    voices = reference_voices(utterances)
    for one in utterances:
        others = [
            o for o in utterances if o.id != one.id and o.speaker == one.speaker and (o.audio.seconds or 0) >= 3.0
        ]
        assert (one.id in voices) == bool(others)
        if one.id in voices:
            lender = by_path[voices[one.id].path]
            assert lender in others
            assert (voices[one.id].start, voices[one.id].end) == (1.0, 4.0)


def test_a_reference_reads_the_same_wherever_its_file_lies() -> None:
    here, there = (Reference(text="a", recording=Audio(f"{where}/a.wav")) for where in ("/x", "/y/z"))
    assert str(here) == str(there) == "a (a.wav, 0 to None)"
    known = Reference(text="a", recording=Audio("/x/a.wav", digest="abc"))
    assert "abc" in str(known)
    assert str(Reference(text="a")) == "a"
    copied = pickle.loads(pickle.dumps(known))  # noqa: S301  (our own bytes)
    assert (type(copied), copied) == (Reference, known)


def test_intelligibility_counts_what_the_judge_hears(recordings: Path) -> None:
    task = made("synthesis-intelligibility", recordings)
    samples = list(task.samples())
    said = [str(one.request.text) for one in samples]
    right = [judged(task, one, {"whisper": Output(text=text)}) for one, text in zip(samples, said, strict=True)]
    assert values(task, right, samples) == {"wer": 0.0, "cer": 0.0, "per": 0.0}
    one_wrong = [judged(task, samples[0], {"whisper": Output(text="the cat sat on the rat")}), *right[1:]]
    words = sum(len(text.split()) for text in said)
    assert values(task, one_wrong, samples)["wer"] == pytest.approx(1 / words)
    assert one_wrong[0].counts["phoneme_errors"] == 1
    homophone = judged(task, samples[0], {"whisper": Output(text="the cat satt on the mat")})
    assert (homophone.counts["errors"], homophone.counts["phoneme_errors"]) == (1, 0)
    nothing = [judged(task, one, {"whisper": Output(status="empty", text="")}) for one in samples]
    assert values(task, nothing, samples) == {"wer": 1.0, "cer": 1.0, "per": 1.0}
    assert {score.status for score in (*right, *nothing)} == {"ok"}
    assert right[0].details["hypothesis"] == said[0]


@pytest.mark.parametrize(
    ("name", "worst"),
    [
        ("synthesis-intelligibility", {"wer": 1.0, "cer": 1.0, "per": 1.0}),
        ("synthesis-naturalness", {"ovrl": 1.0, "sig": 1.0, "bak": 1.0, "p808": 1.0}),
        ("synthesis-similarity", {"similarity": 0.0}),
        ("synthesis-robustness", {"wer": 1.0, "cer": 1.0, "per": 1.0, "broken": 1.0}),
    ],
)
def test_a_failure_counts_the_worst_and_is_told(name: str, worst: dict[str, float], recordings: Path) -> None:
    task = made(name, None if name == "synthesis-robustness" else recordings)
    samples = list(task.samples())
    for status in ("error", "timeout", "refused", "empty"):
        failed = [task.score(one, Output(status=status, error="x")) for one in samples]  # type: ignore[arg-type]
        assert values(task, failed, samples) == worst
        assert {score.status for score in failed} == {status}
    assert task.score(samples[0], Output(text="written, not said")).status == "unparsed"


def test_judges_hear_the_sound_that_was_made(recordings: Path) -> None:
    sound = Audio("made.wav", seconds=1.0)
    asked = {}
    for name in ("intelligibility", "naturalness", "similarity", "robustness"):
        task = made(f"synthesis-{name}", None if name == "robustness" else recordings)
        sample = next(iter(task.samples()))
        assert task.judge is not None
        assert task.judge(sample, Output(text="no sound"), None) == {}
        (judge, request), *more = task.judge(sample, Output(), sound).items()
        assert not more
        assert task.judges == (judge,)
        assert any(judge in note for note in task.notes)
        asked[name] = (judge, request.ability, sorted(request.audios))
    assert asked == {
        "intelligibility": ("whisper", "transcribe", ["input"]),
        "robustness": ("whisper", "transcribe", ["input"]),
        "naturalness": ("dnsmos", "rate", ["candidate"]),
        "similarity": ("resemblyzer", "rate", ["candidate", "voice"]),
    }
    assert made("synthesis-intelligibility", recordings, judge="pocketsphinx").judges == ("pocketsphinx",)


def test_naturalness_and_similarity_are_means_of_what_the_judge_says(recordings: Path) -> None:
    task = made("synthesis-naturalness", recordings)
    samples = list(task.samples())[:2]
    labels = [{"ovrl": 3.0, "sig": 4.0, "bak": 4.5, "p808": 2.0}, {"ovrl": 2.0, "sig": 2.0, "bak": 2.5, "p808": 3.0}]
    scores = [judged(task, one, {"dnsmos": Output(labels=said)}) for one, said in zip(samples, labels, strict=True)]
    assert values(task, scores, samples) == {"ovrl": 2.5, "sig": 3.0, "bak": 3.5, "p808": 2.5}
    task = made("synthesis-similarity", recordings)
    samples = list(task.samples())[:2]
    answers = [Output(score=0.9), Output(status="empty")]  # there is no voice in the second
    scores = [judged(task, one, {"resemblyzer": said}) for one, said in zip(samples, answers, strict=True)]
    assert values(task, scores, samples) == {"similarity": 0.45}


def test_prosody_is_perfect_for_the_recording_and_worst_for_silence(recordings: Path) -> None:
    task = made("synthesis-prosody", recordings)
    samples = list(task.samples())
    control: Any = MODELS.create(Spec("human-recording"))
    copies = control.generate([one.request for one in samples], [one.target for one in samples])
    perfect = [task.score(one, output) for one, output in zip(samples, copies, strict=True)]
    assert values(task, perfect, samples) == {"f0_range_error": 0.0, "rate_error": 0.0}
    silence: Any = MODELS.create(Spec("silent"))
    quiet = [
        task.score(one, output)
        for one, output in zip(samples, silence.generate([s.request for s in samples]), strict=True)
    ]
    worst = values(task, [task.score(one, Output(status="error")) for one in samples], samples)
    assert values(task, quiet, samples) == worst
    assert worst["rate_error"] == 1.0
    assert worst["f0_range_error"] > 3.0
    assert "semitones" in perfect[0].details["human"]


def test_a_flatter_and_slower_voice_is_measured_as_such(recordings: Path) -> None:
    task = made("synthesis-prosody", recordings)
    sample = next(iter(task.samples()))
    flat = task.score(sample, Output(audio=Waveform(buzz(2.5, 140.0, 141.0), RATE))).counts
    assert flat["f0_range_error"] == pytest.approx(0.8 * 12 * np.log2(160 / 120), rel=0.15)  # 10th to 90th percentile
    assert flat["rate_error"] == pytest.approx(0.0, abs=0.02)
    slow = task.score(sample, Output(audio=Waveform(buzz(5.0), RATE))).counts
    assert slow["rate_error"] == pytest.approx(0.5, abs=0.02)
    assert slow["f0_range_error"] == pytest.approx(0.0, abs=0.1)


def test_what_the_human_recording_does_not_show_is_not_measured() -> None:
    unvoiced = Delivered(float("nan"), float("nan"), -20.0, 2.0)
    counts = prosody_counts(unvoiced, Delivered(120.0, 5.0, -20.0, 2.0))
    assert counts == {"f0_range_error": 0.0, "f0_measured": 0.0, "rate_error": 0.0, "rate_measured": 1.0}
    silent = Delivered(float("nan"), float("nan"), float("nan"), 0.0)
    assert prosody_counts(silent, None)["rate_measured"] == 0.0
    assert prosody_counts(Delivered(120.0, 5.0, -20.0, 2.0), silent)["rate_error"] == 1.0


def test_speed_is_seconds_made_a_second(recordings: Path) -> None:
    task = made("synthesis-speed", recordings)
    assert task.exclusive
    samples = list(task.samples())[:3]
    sound = Waveform(np.zeros(RATE * 2, np.float32), RATE)
    answers = [Output(audio=sound, timings={"total": seconds}) for seconds in (0.1, 0.2, 0.1)]
    found = values(task, [task.score(one, said) for one, said in zip(samples, answers, strict=True)], samples)
    assert found["rtfx"] == pytest.approx(6 / 0.4)
    assert found["latency_p50"] == pytest.approx(0.1)
    failed = task.score(samples[0], Output(status="timeout", timings={"total": 60.0}))
    assert (failed.status, failed.counts["audio"]) == ("timeout", 0.0)
    nothing = values(task, [failed], samples[:1])
    assert np.isnan(nothing["rtfx"])


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Output(text="I cannot speak", timings={"total": 0.01}), "unparsed"),
        (Output(audio=Waveform(np.zeros(0, np.float32), RATE), timings={"total": 0.01}), "unparsed"),
        (Output(status="refused", text="no", timings={"total": 0.01}), "refused"),
    ],
)
def test_an_answer_without_sound_is_not_a_quick_one(answer: Output, status: str, recordings: Path) -> None:
    task = made("synthesis-speed", recordings)
    score = task.score(next(iter(task.samples())), answer)
    assert (score.status, score.counts["latency_answered"], score.counts["compute"]) == (status, 0.0, 0.0)


def test_hard_texts_are_broken_where_half_of_the_words_are_wrong() -> None:
    task = made("synthesis-robustness")
    samples = list(task.samples())
    assert len({one.id for one in samples}) == len(samples) == sum(map(len, HARD_TEXTS.values())) == 36
    assert {one.slices["kind"] for one in samples} == {"numbers", "repeats", "tongue twisters"}
    right = [judged(task, one, {"whisper": Output(text=str(one.target["text"]))}) for one in samples]  # type: ignore[index, call-overload]
    assert values(task, right, samples) == {"wer": 0.0, "cer": 0.0, "per": 0.0, "broken": 0.0}
    stuck = judged(task, samples[12], {"whisper": Output(text="no " * 20)})
    assert (stuck.counts["errors"], stuck.counts["broken"]) == (14, 1.0)


def test_a_judge_may_write_numbers_in_digits_or_in_words() -> None:
    plain = normaliser("whisper-english-1")
    for pairs in HARD_TEXTS.values():
        assert all(plain(written) == plain(said) for written, said in pairs)
        assert not any(character.isdigit() for _, said in pairs for character in said)


@pytest.mark.slow
@pytest.mark.speech
def test_the_judge_understands_a_voice_and_no_noise(tmp_path: Path) -> None:
    """End to end without the engine: a synthesiser, whisper as the judge, the score."""
    task = made("synthesis-robustness")
    sample = next(one for one in task.samples() if one.id == "repeats-02")
    judge: Any = MODELS.create(parse_spec("whisper"))

    def errors(model: str) -> float:
        voice: Any = MODELS.create(parse_spec(model))
        answer = voice.generate([sample.request])[0]
        assert task.judge is not None
        request = task.judge(sample, answer, Audio("not read"))["whisper"]
        heard = judge.generate([replace(request, waveforms={"input": answer.audio})])[0]
        return judged(task, sample, {"whisper": heard}).counts["errors"]

    assert errors("hibari") <= 1
    assert errors("white-noise") >= 8
    judge.close()


def test_a_request_is_the_same_for_every_run(recordings: Path) -> None:
    first, second = (list(made("synthesis-naturalness", recordings).samples()) for _ in range(2))
    assert first == second
    assert isinstance(first[0].request, Request)
