"""Emotion and style: heard (`emotion-synthetic`, `emotion` on RAVDESS or CREMA-D), and spoken (`emotion-synthesis`).

Heard: the one emotion of a recording, by label or in words. An answer that is not one emotion is `unparsed`, and
wrong, as a failed sample is.

Spoken: a synthesiser is asked for a sentence in an emotion, normally and strongly, and a model that classifies
emotions judges. A sample that failed has no emotion: it is wrong, and its pair has no order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import task
from audiometry.benchmark.types import Audio, FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.rows import EmotionalUtterance
from audiometry.tasks.corpora.styles import SENTENCES, STYLES, styled_utterances
from audiometry.tasks.labelling import Closed, LabelledClip, answered, chance_note, label_task
from audiometry.tasks.metrics.classification import class_counts, classification_reduce
from audiometry.tasks.metrics.weighting import ratio
from audiometry.tasks.parsing import label_of, offer, parse_label
from audiometry.tasks.row_corpora import must_name, named_after, open_rows_of

__all__ = ["SYNTHESIS_METRICS", "emotion_task", "synthesis_reduce", "synthesis_samples"]

QUESTION = "Listen to how this is said, and not to what is said. Which emotion does the speaker express?"
SYNTHESIS_METRICS = (
    Metric("match_uar", direction="higher", high=1.0, scale="logit"),
    Metric("intensity_order", direction="higher", high=1.0, scale="logit"),
)


def emotion_task(
    *,
    name: str,
    rows: Callable[[], Iterable[EmotionalUtterance]],
    classes: Sequence[str],
    ability: Closed = "classify",
    notes: tuple[str, ...] = (),
    corpus: str = "",
) -> Task:
    """UAR, accuracy and the recall of each emotion; clusters are actors, slices intensity, actor's gender, emotion."""

    def clips() -> Iterator[LabelledClip]:
        for row in rows():
            known = {"intensity": row.intensity, "gender": row.gender}
            slices = {**row.slices, **{key: value for key, value in known.items() if value}}
            yield LabelledClip(row.id, row.audio, row.emotion, row.actor, slices)

    return label_task(
        name=name, version="1", clips=clips, classes=classes, question=QUESTION, ability=ability, notes=notes,
        settings={"corpus": corpus},
    )  # fmt: skip


@task("emotion-synthetic")
def emotion_synthetic(*, ability: Closed = "classify") -> Task:
    """Five styles of prosody by rule, spoken by espeak-ng: UAR of the style; no real emotion."""
    return emotion_task(
        name="emotion-synthetic", rows=styled_utterances, classes=tuple(STYLES), ability=ability,
        notes=("synthetic speech, prosody by rule",), corpus="synthetic-styles",
    )  # fmt: skip


_check_corpus = must_name("emotion", "a corpus of emotional speech", "corpus=ravdess,path=FOLDER")


@task("emotion", check=_check_corpus)
def emotion(
    *,
    corpus: str = "",
    path: str | None = None,
    split: str | None = None,
    partial: str | None = None,
    ability: Closed = "classify",
) -> Task:
    """Emotions that actors speak (or sing: split=song), corpus=ravdess or corpus=crema-d: UAR."""
    _check_corpus(corpus=corpus)
    what = "emotional speech; name ravdess or crema-d"
    opened = open_rows_of(EmotionalUtterance, what, corpus, path=path, split=split, partial=partial)
    classes = sorted({row.emotion for row in opened.rows()})
    return emotion_task(
        name=named_after("emotion", corpus, opened), rows=opened.rows, classes=classes, ability=ability,
        notes=tuple(opened.notes), corpus=opened.name,
    )  # fmt: skip


def _check_judge(*, judge: str = "", **_: object) -> None:
    if not judge:
        raise SettingError(
            "task 'emotion-synthesis' needs a model that classifies emotions, as in emotion-synthesis:judge=MODEL"
        )


@task("emotion-synthesis", check=_check_judge)
def emotion_synthesis(*, judge: str = "") -> Task:
    """Emotion and intensity of synthesised speech, as the classifier judge=MODEL hears them."""
    _check_judge(judge=judge)
    classes = tuple(STYLES)
    instruction = f"{QUESTION}\n{offer(classes)}"

    def ask(_: Sample, __: Output, sound: Audio | None) -> Mapping[str, Request]:
        return {} if sound is None else {judge: Request("classify", {"input": sound}, instruction=instruction)}

    def score(sample: Sample, output: Output) -> Score:
        status = "unparsed" if output.status == "ok" else output.status  # an answer without sound
        return Score(sample.id, _synthesis_counts(sample, None, 0.0), status)

    def score_judged(sample: Sample, _: Output, judged: Mapping[str, Output]) -> Score:
        heard = judged[judge]
        label = label_of(heard, classes) if heard.status == "ok" else None
        asked = str(sample.target)
        share = next((value for name, value in heard.labels.items() if parse_label(name, classes) == asked), 0.0)
        counts = _synthesis_counts(sample, label, share)
        return Score(sample.id, counts, "ok" if label else "unparsed", {"asked": asked, "heard": answered(heard)})

    return Task(
        name="emotion-synthesis", version="2", ability="synthesize", samples=synthesis_samples, score=score,
        reduce=synthesis_reduce, metrics=SYNTHESIS_METRICS, judges=(judge,), judge=ask, score_judged=score_judged,
        notes=(chance_note(len(classes)),), settings={"judge": judge},
    )  # fmt: skip


def synthesis_samples() -> Iterator[Sample]:
    """Every sentence in every emotion, normally and strongly; the two are one cluster."""
    for number, text in enumerate(SENTENCES, 1):
        for style in STYLES:
            for intensity in ("normal",) if style == "neutral" else ("normal", "strong"):
                degree = "very " if intensity == "strong" else ""
                request = Request(
                    "synthesize", text=text, instruction=f"Say it in a {degree}{style} voice.", language="en"
                )
                slices = {"emotion": style, "intensity": intensity}
                yield Sample(f"{number}-{style}-{intensity}", request, style, slices, f"{number}-{style}", style)


def _synthesis_counts(sample: Sample, label: str | None, share: float) -> dict[str, float]:
    """The place of the label, and the judge's score of the asked emotion with the intensity's sign."""
    strong = sample.slices["intensity"] == "strong"
    paired = sample.target != "neutral"
    return {
        **class_counts(str(sample.target), label, tuple(STYLES)),
        "signed": (share if strong else -share) if paired else 0.0,
        "graded": float(paired and label is not None),
        "paired": float(paired),
    }


def synthesis_reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """`match_uar`, and `intensity_order`: the share of pairs in which the judge scores the asked emotion higher in the
    strong rendering than in the normal one; a tie, or a rendering without a judgement, is not higher.

    A slice that holds only one of the two has no pair, and no order (NaN).
    """
    uar = classification_reduce(tuple(STYLES))(table, weights)["uar"]
    pairs = table.cluster_sums("paired") == 2
    higher = pairs & (table.cluster_sums("graded") == 2) & (table.cluster_sums("signed") > 0)
    return {"match_uar": uar, "intensity_order": ratio(weights @ higher.astype(float), weights @ pairs.astype(float))}
