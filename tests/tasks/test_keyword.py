from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Audio, Output
from audiometry.tasks import keyword, speech_translation
from audiometry.tasks.corpora import parallel_prompts
from audiometry.tasks.corpora.parallel_prompts import LEFT_OUT, why_left_out
from audiometry.tasks.corpora.utterance import Utterance, load_corpus
from audiometry.tasks.keyword import KEYWORDS, held_keywords, isolated_words, spotted, spotting_counts

PROMPTS = {
    "en": {
        "digits/1": "one", "digits/2": "two", "digits/day-1": "Monday", "digits/h-2": "second", "digits/mon-4": "May.",
        "digits/h-40": "fourtieth", "digits/100-and": "a hundred and", "digits/star": "star", "seconds": "second",
        "menu": "Press star for the menu.", "full": "That conference is full of messages.",
        "thanks": "Thank you very much.",
    },
    "fr": {
        "menu": "Appuyez sur étoile pour le menu.", "full": "Cette conférence est pleine.", "thanks": "Merci.",
        "only": "Seulement ici, en français.", "digits/1": "un",
    },
}  # fmt: skip


def corpus_of(language: str) -> SimpleNamespace:
    name = f"asterisk-{language}"
    said = [
        Utterance(
            f"{name}/{prompt}", Audio(f"{prompt}.g722", seconds=3.6), text, language, "ann", slices={"speaker": "ann"}
        )
        for prompt, text in PROMPTS[language].items()
    ]
    return SimpleNamespace(name=name, notes=(), utterances=lambda: said)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyword, "open_corpus", lambda name: corpus_of(name[-2:]))
    monkeypatch.setattr(parallel_prompts, "load_corpus", lambda name: corpus_of(name[-2:]).utterances())


def test_isolated_words_are_single_spoken_once_and_grouped() -> None:
    found = {word: group for _, word, group in isolated_words(corpus_of("en"))}
    assert found == {
        "one": "numbers", "two": "numbers", "monday": "days", "second": "ordinals", "may": "months",
        "fortieth": "ordinals",
    }  # fmt: skip


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("ability", ["classify", "respond"])
def test_controls_on_isolated_words(ability: str, measured: Callable[..., object]) -> None:
    task = TASKS.create(Spec("keywords-asterisk-en", (("ability", ability),)))
    assert measured(task, "oracle").values["accuracy"] == 1.0  # type: ignore[attr-defined]
    assert measured(task, "shuffled").values["accuracy"] == 0.0  # type: ignore[attr-defined]
    assert measured(task, "silent").statuses == {"empty": 6}  # type: ignore[attr-defined]
    said = measured(task, lambda _: Output(text="It says one"))
    assert (said.statuses, said.values["accuracy"]) == ({"unparsed": 6}, 0.0)  # type: ignore[attr-defined]
    constant = measured(task, lambda _: Output(text="one", labels={"one": 1.0}))
    assert constant.values["accuracy"] == pytest.approx(1 / 6)  # type: ignore[attr-defined]
    assert "chance level: 16.7 %, 6 classes" in task.notes


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("ability", ["classify", "respond"])
def test_controls_on_spotting(ability: str, measured: Callable[..., object]) -> None:
    task = TASKS.create(Spec("spotting-asterisk-en", (("ability", ability),)))
    oracle = measured(task, "oracle")
    assert oracle.values == {"f1": 1.0, "miss_rate": 0.0, "precision": 1.0, "false_alarms_per_hour": 0.0}  # type: ignore[attr-defined]
    silent = measured(task, "silent")
    assert (silent.values["f1"], silent.values["miss_rate"]) == (0.0, 1.0)  # type: ignore[attr-defined]
    # star and menu in one prompt, star alone, conference in another: 4 held in 12 prompts of 3.6 s
    all_of_them = measured(task, lambda _: Output(text=", ".join(KEYWORDS), labels=dict.fromkeys(KEYWORDS, 0.9)))
    assert all_of_them.values["precision"] == pytest.approx(4 / 144)  # type: ignore[attr-defined]
    assert all_of_them.values["false_alarms_per_hour"] == pytest.approx(140 / (12 * 3.6 / 3600))  # type: ignore[attr-defined]
    strange = measured(task, lambda _: Output(text="a menu", labels={"a menu": 1.0}))
    assert strange.statuses == {"unparsed": 12}  # type: ignore[attr-defined]


def test_whole_words_are_spotted() -> None:
    assert held_keywords("Press the STAR key; no passwords.") == ["star"]
    assert spotted(Output(labels={"menu": 0.4, "star": 0.6})) == ["star"]
    assert spotted(Output(labels={"menu": 0.4, "a star": 0.6})) is None
    assert spotted(Output(labels={"menu, star": 1.0})) == ["menu", "star"]
    assert spotted(Output()) is None
    assert spotting_counts([], [], 0.0) == {"hits": 0.0, "missed": 0.0, "false_alarms": 0.0, "hours": 0.0}


def test_why_a_prompt_is_no_pair() -> None:
    long = ("one two three four", "un deux trois quatre")
    assert why_left_out("any", "en", "fr", long) is None
    assert why_left_out("any", "en", "fr", (long[0], "un deux trois")) == "fewer than 4 words"
    assert why_left_out("vm-login", "en", "fr", long) == LEFT_OUT["*"]["vm-login"]
    assert why_left_out("demo-moreinfo", "fr", "it", long) == LEFT_OUT["fr"]["demo-moreinfo"]
    assert why_left_out("demo-moreinfo", "en", "it", long) is None
    assert why_left_out("confbridge-begin-glorious-b", "en", "it", long) == "recorded again"


@pytest.mark.usefixtures("small")
def test_controls_on_translation(measured: Callable[..., object]) -> None:
    task = TASKS.create(Spec("translation-asterisk-fr-en"))
    samples = list(task.samples())
    assert [(one.id, one.target) for one in samples] == [
        ("asterisk-fr/menu", "Press star for the menu."), ("asterisk-fr/full", "That conference is full of messages."),
    ]  # fmt: skip
    assert "from French into English" in (samples[0].request.instruction or "")
    assert samples[0].request.language == "fr"
    oracle = measured(task, "oracle")
    assert oracle.values == {"chrf": pytest.approx(100.0), "bleu": pytest.approx(100.0)}  # type: ignore[attr-defined]
    for control in ("silent", "failing"):
        assert measured(task, control).values == {"chrf": 0.0, "bleu": 0.0}  # type: ignore[attr-defined]
    assert measured(task, "shuffled").values["bleu"] < 10  # type: ignore[attr-defined]


@pytest.mark.usefixtures("small")
def test_translation_is_sacrebleus(measured: Callable[..., object]) -> None:
    import sacrebleu

    said = {"asterisk-fr/menu": "Press the star for menu.", "asterisk-fr/full": "The conference is full."}
    task = TASKS.create(Spec("translation-asterisk-fr-en"))
    found = measured(task, lambda one: Output(text=said[one.id]))
    wanted = [[one.target for one in task.samples()]]
    texts = list(said.values())
    assert found.values["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, wanted).score)  # type: ignore[attr-defined]
    assert found.values["bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, wanted).score)  # type: ignore[attr-defined]


def test_any_two_languages_and_what_qualifies_them() -> None:
    from audiometry.benchmark.errors import SettingError

    task = TASKS.create(Spec("translation-asterisk", (("source", "it"), ("target", "es"))))
    assert task.name == "translation-asterisk-it-es"
    assert speech_translation.UNACCENTED in task.notes
    with pytest.raises(SettingError, match="give two languages"):
        TASKS.create(Spec("translation-asterisk", (("source", "en"), ("target", "en"))))


@pytest.mark.speech
def test_the_prompts_hold_what_is_asked_for() -> None:
    prompts = load_corpus("asterisk-en")
    counts = [sum(word in held_keywords(one.text) for one in prompts) for word in KEYWORDS]
    assert min(counts) >= 7
    assert len(isolated_words(SimpleNamespace(utterances=lambda: prompts))) == 74  # type: ignore[arg-type]
