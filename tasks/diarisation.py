"""Who spoke when (`diarisation`) and who said what (`speaker-attributed`), in conversations with overlaps.

A failed sample (time-out, error, refusal), an empty answer, and one that cannot be read (status ``unparsed``) have all
speech missed, and every word deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import (
    FloatArray,
    Metric,
    Output,
    Reduce,
    Request,
    Sample,
    Score,
    ScoreStatus,
    ScoreTable,
    Segment,
    Task,
)
from audiometry.tasks.corpora.stitched import Turn, conversations, read_turns
from audiometry.tasks.metrics.diarisation import (
    ATTRIBUTION_METRICS,
    DIARISATION_METRICS,
    attribution_counts,
    attribution_reduce,
    diarisation_counts,
    diarisation_reduce,
)
from audiometry.tasks.metrics.normalise import normaliser
from audiometry.tasks.metrics.transcription import count_words

__all__ = ["as_rttm", "read_rttm", "read_speaker_lines"]

VERSION = "1"
ATTRIBUTED_VERSION = "2"
NORMALISER = "basic-no-diacritics-1"
WHO_WHEN = (
    "Who speaks when? Answer with one line for each turn, in RTTM: "
    "SPEAKER audio 1 START SECONDS <NA> <NA> NAME <NA> <NA>"
)
WHO_WHAT = "Write down who says what. Answer with one line for each turn: NAME: words"

_RTTM = re.compile(r"SPEAKER\s+\S+\s+\S+\s+(\d+(?:\.\d+)?)\s+(\d+(?:\.\d+)?)\s+\S+\s+\S+\s+(\S+)(?:\s+\S+){0,2}")
_SPEAKER_LINE = re.compile(r"(?=.{1,40}?:)((?:[^\s:.,;?!]+\s){0,2}[^\s:.,;?!]+):(?:\s+(.*))?")


def as_rttm(turns: Sequence[Turn] | Sequence[Segment]) -> str:
    """Turns as RTTM, the Rich Transcription Time Marked format of NIST: a line for each, times in seconds.

    >>> as_rttm([Segment(0.5, 2.0, "ann")])
    'SPEAKER audio 1 0.500 1.500 <NA> <NA> ann <NA> <NA>'
    """
    rows = [(one.start, one.end, one.label if isinstance(one, Segment) else one.speaker) for one in turns]
    return "\n".join(
        f"SPEAKER audio 1 {start:.3f} {end - start:.3f} <NA> <NA> {name} <NA> <NA>" for start, end, name in rows
    )


def read_rttm(text: str) -> tuple[Segment, ...] | None:
    """Segments of an answer in RTTM, or None unless every line that is not blank is a ``SPEAKER`` line.

    >>> read_rttm("SPEAKER x 1 0.5 1.5 <NA> <NA> ann <NA> <NA>")
    (Segment(start=0.5, end=2.0, label='ann', score=None),)
    >>> read_rttm("Ann speaks first.") is None
    True
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [_RTTM.fullmatch(line) for line in lines]
    if not all(found):
        return None
    rows = [match.groups() for match in found if match]
    return tuple(Segment(float(start), float(start) + float(long), name) for start, long, name in rows)


def read_speaker_lines(text: str) -> dict[str, str]:
    """What each speaker says, in order, of an answer with lines ``NAME: words``.

    Names are read if the first line has one and a further line too; a line without a name then goes on with the
    speaker before. Any other answer tells no speakers: it is all one speaker's, without a name. A name has one to three
    words without punctuation, at most 40 characters.

    >>> read_speaker_lines("ann: Hello.\\nSpeaker 2: Hi, ann.\\nHow are you?\\nann: Bye.")
    {'ann': 'Hello. Bye.', 'Speaker 2': 'Hi, ann. How are you?'}
    >>> read_speaker_lines("Note: the shop is open")
    {'': 'Note: the shop is open'}
    """
    said: dict[str, list[str]] = {}
    for speaker, words in _named_lines(text):
        if words:
            said.setdefault(speaker, []).append(words)
    return {name: " ".join(lines) for name, lines in said.items()}


def _named_lines(text: str) -> list[tuple[str, str]]:
    """The name and the words of each line that is not blank, as `read_speaker_lines` tells; "" where no names are."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [_SPEAKER_LINE.fullmatch(line) for line in lines]
    if sum(map(bool, found)) < 2 or not found[0]:
        return [("", line) for line in lines]
    named: list[tuple[str, str]] = []
    for line, match in zip(lines, found, strict=True):
        named.append((match[1], match[2] or "") if match else (named[-1][0], line))
    return named


@task("diarisation")
def diarisation(*, collar: float = 0.0, skip_overlap: bool = False) -> Task:
    """Diarisation error rate on stitched conversations; collar= seconds on each side of a boundary, skip_overlap=."""

    def score(sample: Sample, output: Output) -> Score:
        told = read_rttm(str(sample.target)) or ()
        said, status = _segments(output)
        details = {"reference": str(sample.target), "hypothesis": as_rttm(said)}
        try:
            counts = diarisation_counts(told, said, collar=collar, skip_overlap=skip_overlap)
        except DataError as error:
            counts, status = diarisation_counts(told, (), collar=collar, skip_overlap=skip_overlap), "unparsed"
            details |= {"why": str(error)}
        return Score(sample.id, counts, status=status, details=details)

    return _task(
        "diarisation", VERSION, as_rttm, WHO_WHEN, score, diarisation_reduce, DIARISATION_METRICS,
        {"collar": f"{collar:g}", "skip_overlap": str(skip_overlap)},
    )  # fmt: skip


@task("speaker-attributed")
def speaker_attributed() -> Task:
    """Word errors of who said what (cpWER) on stitched conversations."""
    return _task(
        "speaker-attributed", ATTRIBUTED_VERSION, _speaker_lines, WHO_WHAT, _score_attributed, _reduce_attributed,
        (*ATTRIBUTION_METRICS, Metric("wer", scale="log", events="word_errors")), {"normaliser": NORMALISER},
    )  # fmt: skip


def _task(
    name: str,
    version: str,
    target: Callable[[Sequence[Turn]], str],
    instruction: str,
    score: Callable[[Sample, Output], Score],
    reduce: Reduce,
    metrics: tuple[Metric, ...],
    settings: Mapping[str, str],
) -> Task:
    corpus = conversations()

    def samples() -> Iterator[Sample]:
        turns = read_turns(corpus)
        for one in corpus.utterances():
            told = turns[one.id]
            speakers = len({turn.speaker for turn in told})
            cast, overlap = one.id.split("/")[1], one.id.rsplit("-", 2)[-2]
            yield Sample(
                id=one.id,
                request=Request("transcribe", {"input": one.audio}, instruction=instruction),
                target=target(told),
                slices={"cast": cast, "overlap": f"{overlap} %", "speakers": str(speakers)},
                cluster=one.id,
            )

    return Task(
        name=name, version=version, ability="transcribe", samples=samples, score=score, reduce=reduce,
        metrics=metrics, notes=corpus.notes, settings={"corpus": corpus.name, **settings},
    )  # fmt: skip


def _segments(output: Output) -> tuple[tuple[Segment, ...], ScoreStatus]:
    """The answer's segments, else its text read as RTTM."""
    if output.status != "ok":
        return (), output.status
    if output.segments:
        return output.segments, "ok"
    read = read_rttm(output.text or "")
    return (read, "ok") if read else ((), "unparsed" if (output.text or "").strip() else "empty")


def _speaker_lines(turns: Sequence[Turn]) -> str:
    return "\n".join(f"{turn.speaker}: {turn.text}" for turn in turns)


def _score_attributed(sample: Sample, output: Output) -> Score:
    change = normaliser(NORMALISER)
    reference, hypothesis = str(sample.target), (output.text or "") if output.status == "ok" else ""
    told, said = read_speaker_lines(reference), read_speaker_lines(hypothesis)
    counts = attribution_counts(*({name: change(text) for name, text in side.items()} for side in (told, said)))
    in_order = [change(" ".join(words for _, words in _named_lines(text))) for text in (reference, hypothesis)]
    words = count_words(in_order[:1], in_order[1:])
    counts |= {"word_errors": float(words.errors[0]), "words": float(words.reference_length[0])}
    return Score(sample.id, counts, status=output.status, details={"reference": reference, "hypothesis": hypothesis})


def _reduce_attributed(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """cpWER, and the word error rate of the turns in order of their start, whoever is said to speak."""
    return {**attribution_reduce(table, weights), "wer": ratio_of_sums(table, weights, "word_errors", "words")}
