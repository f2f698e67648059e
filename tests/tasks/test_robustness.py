from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import trapezoid

from audiometry.benchmark.audio import read
from audiometry.benchmark.columns import Columns, Subject, reduce_columns
from audiometry.benchmark.errors import SettingError, UnknownNameError
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Output, Result, Sample, ScoreTable, Task, Waveform
from audiometry.models.adapters.controls import target_as_output
from audiometry.tasks.conditions import parse_condition
from audiometry.tasks.corpora.utterance import SpeechCorpus, open_corpus
from audiometry.tasks.robustness import CODEC_STEPS, SNRS, codec_ladder, far_ladder, ladder_shares, noise_ladder

Listed = Callable[..., SpeechCorpus]
Said = Callable[[Sample], Output]


@pytest.fixture
def listed(tmp_path: Path) -> Listed:
    """A corpus of silent files: tasks list and score it, and nothing is decoded."""

    def make(clips: int = 24, speakers: int = 1) -> SpeechCorpus:
        import soundfile

        soundfile.write(tmp_path / "a.wav", np.zeros(160), 16_000)
        rows = [f"a.wav,red green blue black,{i},s{i % speakers}" for i in range(clips)]
        path = tmp_path / f"{clips}-{speakers}.csv"
        path.write_text("\n".join(["audio,text,id,speaker", *rows]) + "\n")
        return open_corpus("manifest", path=str(path), language="en")

    return make


def scored(task: Task, said: Said) -> Columns:
    columns = Columns()
    for place, sample in enumerate(task.samples()):
        score = task.score(sample, said(sample))
        columns.append(place, sample, score.status, score.counts)
    return columns


def results(task: Task, said: Said) -> dict[tuple[str, str], Result]:
    columns = scored(task, said)
    found = reduce_columns(Subject("r", "m"), task, columns, seed=0, resamples=200, expected=len(columns))
    return {(one.metric, one.slice): one for one in found}


def white(corpus: SpeechCorpus, **settings: int) -> Task:
    return noise_ladder(corpus, name="ladder", noise="white", **settings)


def test_oracle_is_perfect_and_silence_is_all_deletions_at_every_step(listed: Listed) -> None:
    tasks = [white(listed()), far_ladder(listed(), name="far"), codec_ladder(listed(), name="codec")]
    for task in tasks:
        perfect = results(task, lambda sample: target_as_output("transcribe", sample.target))
        nothing = results(task, lambda _: Output(status="empty", text=""))
        assert len({name for name in perfect if name[0] == "wer"}) > len(list(task.samples())) / 24
        assert {one.value for (metric, _), one in perfect.items() if metric in ("wer", task.metrics[0].name)} == {0.0}
        headline = task.metrics[0].name
        worst = [one.value for one in nothing.values() if one.metric in ("wer", headline)]
        assert worst == pytest.approx([1.0] * len(worst))
        table = scored(task, lambda _: Output(status="timeout", text="red")).table()
        assert table.counts["deletions"].sum() == table.counts["errors"].sum() == 4 * len(table)


def test_the_area_is_the_trapezoidal_one(listed: Listed) -> None:
    missed = {"clean": 0, "+20 dB": 0, "+15 dB": 1, "+10 dB": 1, "+05 dB": 2, "+00 dB": 3, "-05 dB": 4}

    def said(sample: Sample) -> Output:
        return Output(text=" ".join(str(sample.target).split()[missed[sample.slices["snr"]] :]))

    found = results(white(listed()), said)
    rates = [missed[f"{snr:+03.0f} dB"] / 4 for snr in SNRS]
    expected = -trapezoid(rates, SNRS) / (SNRS[0] - SNRS[-1])
    assert found["wer_area", "all"].value == pytest.approx(expected)
    assert found["wer", "all"].value == pytest.approx(np.mean([*rates, 0]))  # pooled, the clean step too
    for label, count in missed.items():
        assert found["wer_area", f"snr={label}"].value == pytest.approx(count / 4)
    assert found["wer_area", "noise=white"].value == pytest.approx(expected)


def test_steps_that_a_slice_lacks_are_left_out(listed: Listed) -> None:
    task = white(listed())
    table = scored(task, lambda sample: Output(text="" if sample.slices["snr"] == "+00 dB" else "red green")).table()
    weights = np.ones((3, table.clusters))
    whole = task.reduce(table, weights)["wer_area"]
    assert whole.shape == (3,)
    keep = [i for i, s in enumerate(task.samples()) if s.slices["snr"] in ("+00 dB", "+10 dB")]
    part = ScoreTable(
        {name: column[keep] for name, column in table.counts.items()},
        np.arange(len(keep)), np.zeros(len(keep), int), np.zeros(len(keep), int),
    )  # fmt: skip
    assert task.reduce(part, np.ones((1, len(keep))))["wer_area"][0] == pytest.approx((1 + 0.5) / 2)
    assert np.isnan(task.reduce(part, np.zeros((1, len(keep))))["wer_area"][0])
    empty = ScoreTable({name: column[:0] for name, column in table.counts.items()}, *[np.zeros(0, int)] * 3)
    assert np.isnan(task.reduce(empty, np.zeros((1, 0)))["wer_area"]).all()


@pytest.mark.parametrize("at", [[20, 15, 10, 5, 0, -5], [0, 30, 10], [1, 2]])
def test_shares_integrate(at: list[float]) -> None:
    heights = np.random.default_rng(0).random(len(at))
    order = np.argsort(at)
    area = trapezoid(heights[order], np.array(at)[order]) / np.ptp(at)
    assert ladder_shares(at) @ heights == pytest.approx(area)
    assert ladder_shares([None, None, None]) == pytest.approx([1 / 3] * 3)
    assert ladder_shares([5.0]).tolist() == [1.0]


def test_every_clip_is_heard_in_every_step_with_one_noise(listed: Listed) -> None:
    task = noise_ladder(listed(), name="ladder", noise="white", clips=5)
    samples = list(task.samples())
    assert len(samples) == 5 * (1 + len(SNRS))
    clips: dict[str, list[Sample]] = {}
    for sample in samples:
        clips.setdefault(sample.cluster, []).append(sample)
    for one in clips.values():
        assert len({step.seed for sample in one for step in sample.request.audios["input"].transforms}) == 1
        assert [sample.slices["snr"] for sample in one][:3] == ["clean", "+20 dB", "+15 dB"]
        assert not one[0].request.audios["input"].transforms
    assert [s.id for s in samples] == [s.id for s in task.samples()]
    more = list(noise_ladder(listed(), name="ladder", noise="white", clips=8).samples())
    assert more[: len(samples)] == samples  # fewer clips are the first of more
    assert len(list(noise_ladder(listed(), name="ladder", noise="white", clips=0).samples())) == 24 * 7


def test_speakers_are_resampled_where_there_are_enough(listed: Listed) -> None:
    assert {sample.cluster for sample in white(listed(speakers=6)).samples()} == {f"s{i}" for i in range(6)}
    assert len({sample.cluster for sample in white(listed(speakers=4)).samples()}) == 24
    assert any("these speakers only" in note for note in white(listed()).notes)


def test_codecs_and_rooms_are_slices(listed: Listed) -> None:
    coded = {sample.slices["codec"] for sample in codec_ladder(listed(), name="c", clips=2).samples()}
    assert coded == {"clean", *(label for label, _ in CODEC_STEPS)}
    far = {sample.slices["room"] for sample in far_ladder(listed(), name="f", clips=2).samples()}
    assert far == {"clean", "rt60 0.3 s at 1 m", "rt60 0.6 s at 2 m", "rt60 0.9 s at 3 m"}


def test_registered_tasks_and_their_errors(tmp_path: Path, listed: Listed) -> None:
    for kind in ("noisy", "far", "codec"):
        for corpus in ("asterisk-en", "asterisk-ru", "synthetic-en"):
            task = TASKS.create(Spec(f"wer-{kind}-{corpus}", (("clips", "3"),)))
            assert (task.name, task.settings["clips"]) == (f"wer-{kind}-{corpus}", "3")
    ladder = TASKS.create(Spec("wer-noisy-asterisk-en", (("noise", "hum"), ("snrs", "0/-7.5"))))
    assert (ladder.settings["snrs"], ladder.settings["noise"]) == ("0/-7.5", "hum")
    for wrong in ("0/loud", "", "5/5", "5/200"):
        with pytest.raises(SettingError, match="as in 20/10/0"):
            TASKS.check(Spec("wer-noisy-asterisk-en", (("snrs", wrong),)))
    with pytest.raises(SettingError, match="'clips': -1 is negative"):
        TASKS.create(Spec("wer-far-asterisk-en", (("clips", "-1"),)))
    settings = {"corpus": "manifest", "path": str(tmp_path / "24-1.csv"), "condition": "gain/db=-3", "language": "en"}
    listed()
    task = TASKS.create(Spec("wer-condition", tuple(settings.items())))
    first = next(iter(task.samples()))
    assert first.request.audios["input"].transforms[0].name == "gain"
    assert "condition: gain/db=-3" in task.notes
    assert task.name == "wer-condition"
    bad = Spec("wer-condition", tuple((settings | {"condition": "gian/db=-3"}).items()))
    with pytest.raises(UnknownNameError, match="unknown transform 'gian'"):
        TASKS.check(bad)


@pytest.mark.speech
def test_the_ladder_on_recorded_speech_is_what_it_says() -> None:
    task = TASKS.create(Spec("wer-noisy-asterisk-en", (("clips", "8"),)))
    samples = list(task.samples())
    kinds = {sample.slices["noise"] for sample in samples if "noise" in sample.slices}
    assert kinds == {"white", "pink", "babble", "hum"}
    clip = [sample for sample in samples if sample.cluster == samples[0].cluster]
    heard = {sample.slices["snr"]: read(sample.request.audios["input"]) for sample in clip}
    likeness = [np.corrcoef(heard["clean"].samples, heard[f"{snr:+03.0f} dB"].samples)[0, 1] for snr in SNRS]
    assert (np.diff(likeness) < 0).all()
    assert all(isinstance(one, Waveform) and np.abs(one.samples).max() <= 1 for one in heard.values())
    assert parse_condition("cafe", babble="asterisk-en").steps[0][1]["corpus"] == "asterisk-en"
