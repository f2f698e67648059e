"""Speech translation on Asterisk's prompts, which are there by the same name in five languages.

`translation-asterisk-SOURCE-TARGET`: the recording is human, the reference is the other language's own prompt. A
failed sample is an empty translation: it matches nothing, and its reference still counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import task
from audiometry.benchmark.types import FloatArray, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.parallel_prompts import parallel_prompts
from audiometry.tasks.labelling import read_status
from audiometry.tasks.metrics.translation import (
    BLEU_METRICS,
    CHRF_METRICS,
    bleu_counts,
    bleu_reduce,
    bleu_signature,
    chrf_counts,
    chrf_reduce,
    chrf_signature,
)

__all__ = ["NAMES", "translation_task"]

NAMES = {"en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ru": "Russian"}
Language = Literal["en", "es", "fr", "it", "ru"]

PARALLEL = "references are the other language's prompts, translated freely and not for this purpose"
UNACCENTED = "Spanish references mostly lack accents and ñ, so a right answer loses points"


def translation_task(source: Language, target: Language) -> Task:
    """Translate what is said in `source` into text in `target`: corpus chrF and BLEU, with sacrebleu's signatures.

    Upper case and punctuation count, as sacrebleu has them. Raises SettingError for one language twice.
    """
    if source == target:
        raise SettingError(f"task 'translation': source and target are both {source!r}; give two languages")
    notes = (PARALLEL, *((UNACCENTED,) if target == "es" else ()))
    reduce_bleu, reduce_chrf = bleu_reduce(), chrf_reduce()
    instruction = (
        f"Translate what is said in this recording from {NAMES[source]} into {NAMES[target]}. "
        "Answer with the translation and nothing else."
    )

    def samples() -> Iterator[Sample]:
        for spoken, reference in parallel_prompts(source, target):
            request = Request("respond", {"input": spoken.audio}, instruction=instruction, language=source)
            yield Sample(spoken.id, request, reference, spoken.slices, spoken.speaker)

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        return {**reduce_chrf(_part(table, "chrf_"), weights), **reduce_bleu(_part(table, "bleu_"), weights)}

    return Task(
        name=f"translation-asterisk-{source}-{target}",
        version="1",
        ability="respond",
        samples=samples,
        score=_score,
        reduce=reduce,
        metrics=(*CHRF_METRICS, *BLEU_METRICS),
        notes=notes,
        settings={"corpus": f"asterisk-{source}", "bleu": bleu_signature(), "chrf": chrf_signature()},
    )


def _score(sample: Sample, output: Output) -> Score:
    said = (output.text or "").strip() if output.status == "ok" else ""
    reference = str(sample.target)
    counts = {f"bleu_{name}": value for name, value in bleu_counts(said, [reference]).items()}
    counts |= {f"chrf_{name}": value for name, value in chrf_counts(said, [reference]).items()}
    return Score(sample.id, counts, read_status(output, bool(said)), {"reference": reference, "hypothesis": said})


def _part(table: ScoreTable, prefix: str) -> ScoreTable:
    """The table with the counts of one metric under that metric's own names."""
    counts = {name.removeprefix(prefix): table.counts[name] for name in table.counts if name.startswith(prefix)}
    return ScoreTable(counts, table.cluster, table.stratum, table.cluster_strata, table.clusters_span_strata)


@task("translation-asterisk", needs="text")
def translation_asterisk(*, source: Language = "es", target: Language = "en") -> Task:
    """Speech translation of human prompts between any two of five languages: source=…, target=…."""
    return translation_task(source, target)


def _register(source: Language, target: Language) -> None:
    def factory() -> Task:
        return translation_task(source, target)

    factory.__doc__ = f"Speech translation of human prompts from {NAMES[source]} into {NAMES[target]}: chrF and BLEU."
    task(f"translation-asterisk-{source}-{target}", needs="text")(factory)


_OTHERS: tuple[Language, ...] = ("es", "fr", "it", "ru")
for _other in _OTHERS:
    _register(_other, "en")
    _register("en", _other)
