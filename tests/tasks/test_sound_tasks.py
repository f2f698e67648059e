"""Events, captions and retrieval, on the embedded sounds and on small corpora."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import CORPORA, TASKS, Spec
from audiometry.benchmark.types import Audio, Output, Sample, ScoreTable
from audiometry.models.adapters.embedding_controls import blind_embeddings, oracle_embeddings, reference_sound
from audiometry.tasks import audio_retrieval, captioning
from audiometry.tasks.audio_retrieval import retrieval_table, retrieval_task
from audiometry.tasks.captioning import captioning_task, open_captions
from audiometry.tasks.corpora.rows import CaptionedClip, SoundClip
from audiometry.tasks.corpora.sounds import CLASSES, captioned_sounds, labelled_sounds, make_sound
from audiometry.tasks.events import event_scores, event_task

CLIPS = [
    SoundClip("a", Audio("a.wav"), ("dog",)), SoundClip("b", Audio("b.wav"), ("rain", "dog")),
    SoundClip("c", Audio("c.wav"), ("wind",)), SoundClip("d", Audio("d.wav"), ("rain",)),
]  # fmt: skip
NAMES = ["dog", "rain", "wind"]
CAPTIONED = [
    CaptionedClip("a", Audio("a.wav"), ("a dog barks twice at night", "a dog is barking")),
    CaptionedClip("b", Audio("b.wav"), ("rain falls on the old roof", "it rains")),
    CaptionedClip("c", Audio("c.wav"), ("wind howls in the tall trees", "wind blows")),
]


@pytest.fixture(scope="module")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOMETRY_HOME", str(home))
        CORPORA.create(Spec("synthetic-sounds")).prepare(None, lambda _: None)
    return home


@pytest.fixture
def sounds(made_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMETRY_HOME", str(made_home))


@pytest.mark.parametrize("ability", ["classify", "respond"])
def test_controls_on_events(ability: str, measured: Callable[..., object]) -> None:
    task = event_task(name="few", clips=lambda: CLIPS, classes=NAMES, ability=ability)  # type: ignore[arg-type]
    oracle = measured(task, "oracle")
    assert (oracle.values["map"], oracle.values["roc_auc"]) == (1.0, 1.0)  # type: ignore[attr-defined]
    assert oracle.values["accuracy"] == 0.75  # type: ignore[attr-defined]  # two classes tie where both are heard
    for control in ("silent", "failing"):
        found = measured(task, control)
        # all tied: each class' share
        assert found.values["map"] == pytest.approx((2 / 4 + 2 / 4 + 1 / 4) / 3)  # type: ignore[attr-defined]
        assert found.values["accuracy"] == 0.0  # type: ignore[attr-defined]
    strange = measured(task, lambda _: Output(text="a cat", labels={"a cat": 0.5}))
    assert strange.statuses == {"unparsed": 4}  # type: ignore[attr-defined]


def test_scores_of_events() -> None:
    assert event_scores(Output(labels={"dog, rain": 0.8}), NAMES) == {"dog": 0.8, "rain": 0.8, "wind": 0.0}
    assert event_scores(Output(labels={"dog": 0.1, "cat": 0.9}), NAMES) is None
    assert event_scores(Output(text="none"), NAMES) == dict.fromkeys(NAMES, 0.0)
    assert event_scores(Output(), NAMES) is None


def test_map_by_hand(measured: Callable[..., object]) -> None:
    """Dog is ranked a 0.9, c 0.8, b 0.7: precisions 1 and 2/3."""
    said = {"a": 0.9, "b": 0.7, "c": 0.8, "d": 0.1}
    task = event_task(name="few", clips=lambda: CLIPS, classes=NAMES)
    found = measured(task, lambda one: Output(labels={"dog": said[one.id], "rain": 0.05}))
    assert found.values["average_precision_dog"] == pytest.approx((1 + 2 / 3) / 2)  # type: ignore[attr-defined]
    assert found.values["accuracy"] == 0.5  # type: ignore[attr-defined]


def test_controls_on_captions(measured: Callable[..., object]) -> None:
    task = captioning_task(name="few", clips=lambda: CAPTIONED)
    assert measured(task, "oracle").values["cider_d"] > 4.5  # type: ignore[attr-defined]
    assert measured(task, "shuffled").values["cider_d"] < 0.5  # type: ignore[attr-defined]
    for control in ("silent", "failing"):
        assert measured(task, control).values["cider_d"] == 0.0  # type: ignore[attr-defined]


def oracle_embedding(one: Sample) -> Output:
    return oracle_embeddings().generate([one.request], [one.target])[0]


def blind_embedding(one: Sample) -> Output:
    return blind_embeddings().generate([one.request])[0]


def test_controls_on_retrieval(measured: Callable[..., object]) -> None:
    task = retrieval_task(name="few", clips=lambda: CAPTIONED)
    assert len(list(task.samples())) == 9
    oracle = measured(task, oracle_embedding).values  # type: ignore[attr-defined]
    assert (oracle["recall@1"], oracle["map@10"], oracle["median_rank"]) == (1.0, 1.0, 1.0)
    blind = measured(task, blind_embedding).values  # type: ignore[attr-defined]
    assert (blind["recall@1"], blind["median_rank"]) == (0.0, 3.0)
    failing = measured(task, "failing").values  # type: ignore[attr-defined]
    assert (failing["recall@1"], failing["median_rank"]) == (0.0, 3.0)


def test_what_failed_is_found_last(measured: Callable[..., object]) -> None:
    task = retrieval_task(name="few", clips=lambda: CAPTIONED)

    def answer(one: Sample, broken: str) -> Output:
        return Output(status="error", error="x") if one.id == broken else oracle_embedding(one)

    caption = measured(task, lambda one: answer(one, "a#1")).values  # type: ignore[attr-defined]
    assert caption["recall@1"] == pytest.approx(5 / 6)
    clip = measured(task, lambda one: answer(one, "a#sound")).values  # type: ignore[attr-defined]
    assert clip["recall@1"] == pytest.approx(4 / 6)
    neither = measured(task, lambda one: Output(text="no embedding"))
    assert neither.statuses == {"empty": 9}  # type: ignore[attr-defined]


def test_equal_captions_belong_together(measured: Callable[..., object]) -> None:
    twins = [*CAPTIONED, CaptionedClip("d", Audio("d.wav"), CAPTIONED[0].references)]
    task = retrieval_task(name="few", clips=lambda: twins)
    assert measured(task, oracle_embedding).values["hit@1"] == 1.0  # type: ignore[attr-defined]


def test_captions_without_their_clip_are_no_queries() -> None:
    counts = {"sound": np.array([1.0, 0.0, 0.0]), "group": np.array([0.0, 0.0, 1.0]), "embedded": np.ones(3),
              "embedding_0": np.ones(3)}  # fmt: skip
    table = ScoreTable(counts, np.arange(3), np.zeros(3, int), np.zeros(3, int))
    assert len(retrieval_table(table)) == 1
    alone = {name: column[2:] for name, column in counts.items()}
    with pytest.raises(DataError, match="raise --limit"):
        retrieval_table(ScoreTable(alone, np.arange(1), np.zeros(1, int), np.zeros(1, int)))


def test_sounds_are_the_same_each_time_and_differ() -> None:
    first, again, other = make_sound("bird", 1), make_sound("bird", 1), make_sound("bird", 2)
    np.testing.assert_array_equal(first.waveform.samples, again.waveform.samples)
    assert first.captions == again.captions != other.captions
    for event in CLASSES:
        made = make_sound(event, 3)
        assert 2.0 <= made.waveform.seconds <= 4.0
        assert np.isfinite(made.waveform.samples).all()
        assert 0.2 < np.abs(made.waveform.samples).max() <= 0.71
        assert len(set(made.captions)) == 5
    with pytest.raises(KeyError):
        make_sound("cat", 1)


@pytest.mark.usefixtures("sounds")
def test_the_embedded_sounds(measured: Callable[..., object]) -> None:
    labels = Counter(clip.events[0] for clip in labelled_sounds())
    assert labels == dict.fromkeys(CLASSES, 10)
    assert {len(clip.references) for clip in captioned_sounds()} == {5}
    events = TASKS.create(Spec("events-synthetic"))
    assert measured(events, "oracle").values["map"] == 1.0  # type: ignore[attr-defined]
    captions = measured(TASKS.create(Spec("captioning-synthetic")), "oracle")
    assert captions.values["cider_d"] > 5.0  # type: ignore[attr-defined]
    retrieval = measured(TASKS.create(Spec("retrieval-synthetic")), oracle_embedding)
    assert retrieval.values["hit@1"] == 1.0  # type: ignore[attr-defined]
    clip = next(iter(labelled_sounds()))
    played = reference_sound().generate([Sample("x", None, None)], [clip.audio.path])[0]  # type: ignore[arg-type]
    assert played.audio is not None
    assert played.audio.seconds == pytest.approx(clip.audio.seconds)


def test_spider_is_the_mean_of_both(measured: Callable[..., object]) -> None:
    task = captioning_task(name="few", clips=lambda: CAPTIONED, judge="spice:java=java11;memory=2")
    assert task.judges == ("spice:java=java11,memory=2",)
    assert [metric.name for metric in task.metrics] == ["spider", "cider_d", "spice"]
    assert task.judge is not None
    assert task.score_judged is not None
    sample = next(iter(task.samples()))
    said = Output(text="a dog is barking")
    ((name, asked),) = task.judge(sample, said, None).items()
    assert name == task.judges[0]
    assert (asked.ability, asked.text) == ("rate", "a dog is barking")
    assert asked.instruction == "a dog barks twice at night\na dog is barking"
    assert task.judge(sample, Output(text=" "), None) == {}
    alone = captioning_task(name="few", clips=lambda: CAPTIONED).score(sample, said).counts["cider_d"]
    counts = task.score_judged(sample, said, {name: Output(score=0.4)}).counts
    assert counts == pytest.approx({"cider_d": alone, "spice": 0.4, "spider": (alone + 0.4) / 2, "clips": 1.0})
    assert task.score_judged(sample, said, {}).counts["spider"] == pytest.approx(alone / 2)
    worst = measured(task, "failing").values  # type: ignore[attr-defined]
    assert worst == {"spider": 0.0, "cider_d": 0.0, "spice": 0.0}


KINDS = {"events": "esc50", "captioning": "clotho", "retrieval": "clotho", "emotion": "ravdess"}


@pytest.mark.parametrize(("name", "match"), KINDS.items())
def test_a_corpus_must_be_named(name: str, match: str) -> None:
    with pytest.raises(SettingError, match=match):
        TASKS.check(Spec(name))
    with pytest.raises(SettingError, match=match):
        TASKS.create(Spec(name))


def test_a_public_corpus(monkeypatch: pytest.MonkeyPatch, measured: Callable[..., object]) -> None:
    opened = SimpleNamespace(name="clotho/evaluation", notes=("note",), rows=lambda: CAPTIONED)
    for module in (captioning, audio_retrieval):
        monkeypatch.setattr(module, "open_captions", lambda *_, **__: opened)
    for name, perfect in (("captioning", "oracle"), ("retrieval", oracle_embedding)):
        task = TASKS.create(Spec(name, (("corpus", "clotho"),)))
        assert (task.name, task.notes) == (f"{name}-clotho", ("note",))
        assert max(measured(task, perfect).values.values()) >= 1.0  # type: ignore[attr-defined]


@pytest.mark.usefixtures("sounds")
def test_a_corpus_of_another_kind() -> None:
    with pytest.raises(DataError, match="no sound events"):
        TASKS.create(Spec("events", (("corpus", "synthetic-sounds"),)))
    with pytest.raises(DataError, match="no captions"):
        open_captions("synthetic-sounds")
    with pytest.raises(DataError, match="no emotional speech"):
        TASKS.create(Spec("emotion", (("corpus", "synthetic-sounds"),)))
