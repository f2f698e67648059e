"""Keywords in human speech: isolated words (`keywords-asterisk-en`, …), words within prompts (`spotting-asterisk-en`).

Isolated words are a closed question. Spotting is open: which of twelve words does a prompt hold? A model names them
by labels (a score of 0.5 or more is a hit) or in words. A failed or unparsed sample has missed all its words and
raised no false alarm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from audiometry.benchmark.registry import task
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.utterance import SpeechCorpus, Utterance, open_corpus
from audiometry.tasks.labelling import Closed, LabelledClip, answered, label_task, read_status
from audiometry.tasks.metrics.weighting import ratio
from audiometry.tasks.parsing import offer, parse_label, parse_labels

__all__ = ["KEYWORDS", "SPOTTING_METRICS", "held_keywords", "isolated_words", "spotted", "spotting_counts"]

KEYWORDS = (
    "conference", "please", "message", "number", "pound", "call", "volume", "extension", "password", "menu", "star",
    "directory",
)  # fmt: skip
"""The words to spot: each is in at least seven of the English prompts. An inflected form (messages) does not count."""

SPELLINGS = {
    "fourtieth": "fortieth", "seixième": "seizième", "октрября": "октября",
    "dieciseis": "dieciséis", "veintidos": "veintidós", "veintitres": "veintitrés", "veintiseis": "veintiséis",
    "miercoles": "miércoles", "sabado": "sábado", "decimo": "décimo", "undecimo": "undécimo",
    "duodecimo": "duodécimo", "vigesimo": "vigésimo", "trigesimo": "trigésimo", "septimo": "séptimo",
}  # fmt: skip
"""Slips and lost accents in the transcripts of isolated words: a right answer must not be wrong by them."""

THRESHOLD = 0.5
QUESTION = "Which word or number is said in this recording?"
SPOTTING_QUESTION = "Which of these words are said in this recording? A longer form of a word does not count."
GROUPS = re.compile(r"digits/(?:(?P<days>day-\d)|(?P<months>mon-\d+)|(?P<ordinals>h-[\d]+)|(?P<numbers>\d+))")
SPOTTING_METRICS = (
    Metric("f1", direction="higher", high=1.0, scale="logit"),
    Metric("miss_rate", direction="lower", high=1.0, scale="logit", events="missed"),
    Metric("precision", direction="higher", high=1.0, scale="logit"),
    Metric("false_alarms_per_hour", unit="per hour", direction="lower", events="false_alarms"),
)


def isolated_words(corpus: SpeechCorpus) -> list[tuple[Utterance, str, str]]:
    """The recordings of single numbers, ordinals, days and months: utterance, word in lower case, group.

    A word that two recordings say (second, as an ordinal) would be one class of two; here each is said once.
    """
    found = []
    for one in corpus.utterances():
        group = GROUPS.fullmatch(one.id.partition("/")[2])
        text = one.text.strip(" .").casefold()
        word = SPELLINGS.get(text, text)
        if group is not None and re.fullmatch(r"[^\W\d_]+(?:-[^\W\d_]+)*", word):
            found.append((one, word, str(group.lastgroup)))
    counts = [word for _, word, _ in found]
    return [entry for entry in found if counts.count(entry[1]) == 1]


def held_keywords(text: str) -> list[str]:
    """The keywords that a transcript holds as whole words, in the order of `KEYWORDS`.

    >>> held_keywords("Please enter your conference number, followed by messages.")
    ['conference', 'number', 'please']
    """
    words = set(re.findall(r"[\w']+", text.casefold()))
    return [keyword for keyword in KEYWORDS if keyword in words]


def spotted(output: Output) -> list[str] | None:
    """The keywords that an answer names, or None if it cannot be read.

    Labels are names with scores, or one label that is the whole reply, as chat models give it.

    >>> spotted(Output(labels={"menu": 0.9, "call": 0.1})), spotted(Output(text="menu")), spotted(Output(text="a menu"))
    (['menu'], ['menu'], None)
    """
    if len(output.labels) < 2:
        return parse_labels(next(iter(output.labels), output.text or ""), KEYWORDS)
    read = {parse_label(label, KEYWORDS): value for label, value in output.labels.items()}
    if None in read:
        return None
    return [keyword for keyword in KEYWORDS if read.get(keyword, 0.0) >= THRESHOLD]


def spotting_counts(said: list[str], held: list[str], seconds: float) -> dict[str, float]:
    """`hits`, `missed`, `false_alarms` (of recordings and keywords, in pairs) and `hours` of sound.

    >>> spotting_counts(["menu", "call"], ["menu", "star"], 36.0)
    {'hits': 1.0, 'missed': 1.0, 'false_alarms': 1.0, 'hours': 0.01}
    """
    hits = len(set(said) & set(held))
    return {
        "hits": float(hits),
        "missed": float(len(held) - hits),
        "false_alarms": float(len(set(said)) - hits),
        "hours": seconds / 3600.0,
    }


def spotting_reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """F1, miss rate, precision and false alarms per hour: ratios of sums, shape (resamples,).

    Precision is NaN where nothing is named.
    """
    hits, missed, alarms, hours = (
        weights @ table.cluster_sums(name) for name in ("hits", "missed", "false_alarms", "hours")
    )
    return {
        "f1": ratio(2 * hits, 2 * hits + missed + alarms),
        "miss_rate": ratio(missed, hits + missed),
        "precision": ratio(hits, hits + alarms),
        "false_alarms_per_hour": ratio(alarms, hours),
    }


@task("spotting-asterisk-en")
def spotting_asterisk_en(*, ability: Closed = "classify") -> Task:
    """Twelve keywords to spot in human English prompts: F1, miss rate and false alarms per hour."""
    corpus = open_corpus("asterisk-en")
    instruction = f"{SPOTTING_QUESTION}\n{offer(KEYWORDS, several=True)}"

    def samples() -> Iterator[Sample]:
        for one in corpus.utterances():
            request = Request(ability, {"input": one.audio}, instruction=instruction, language=one.language)
            held = held_keywords(one.text)
            yield Sample(
                one.id, request, ", ".join(held) or "none", one.slices, one.speaker, "held" if held else "none"
            )

    def score(sample: Sample, output: Output) -> Score:
        said = spotted(output) if output.status == "ok" else None
        held = parse_labels(str(sample.target), KEYWORDS) or []
        counts = spotting_counts(said or [], held, sample.request.audios["input"].seconds or 0.0)
        details = {"reference": str(sample.target), "answer": answered(output), "spotted": ", ".join(said or [])}
        return Score(sample.id, counts, read_status(output, said is not None), details)

    return Task(
        name="spotting-asterisk-en",
        version="1",
        ability=ability,
        samples=samples,
        score=score,
        reduce=spotting_reduce,
        metrics=SPOTTING_METRICS,
        notes=corpus.notes,
        settings={"corpus": corpus.name, "ability": ability, "keywords": str(len(KEYWORDS))},
    )


def _register(language: str) -> None:
    name = f"keywords-asterisk-{language}"

    def factory(*, ability: Closed = "classify") -> Task:
        corpus = open_corpus(f"asterisk-{language}")
        words = isolated_words(corpus)

        def clips() -> Iterator[LabelledClip]:
            for one, word, group in words:
                yield LabelledClip(one.id, one.audio, word, one.speaker, {**one.slices, "group": group})

        return label_task(
            name=name, version="1", clips=clips, classes=[word for _, word, _ in words], question=QUESTION,
            ability=ability, language=language, one_each=True, notes=corpus.notes, settings={"corpus": corpus.name},
        )  # fmt: skip

    factory.__doc__ = f"Isolated numbers, ordinals, days and months said by a person in {language!r}: accuracy."
    task(name)(factory)


for _language in ("en", "es", "fr", "it", "ru"):
    _register(_language)
