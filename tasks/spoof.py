"""Spoof detection: is this speech of a person, or was it made?

The headline is the macro mean over attacks of each attack's equal error rate: pooled, one attack in ten at chance is
not seen. A model of ability `detect` answers each trial with a score, a natural log-likelihood ratio, higher for more
bona fide. A trial that failed is wrong at every threshold (`spoof_reduce`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.stats.weights import MIN_CLUSTERS
from audiometry.benchmark.types import FloatArray, Output, Reduce, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.asvspoof import asvspoof5, asvspoof2019_la, asvspoof2021_df, asvspoof2021_la
from audiometry.tasks.corpora.in_the_wild import in_the_wild
from audiometry.tasks.corpora.layout import CorpusFolder
from audiometry.tasks.corpora.rows import BONA_FIDE, SPOOF, SpoofingTrial
from audiometry.tasks.corpora.spoof.equalisation import REVISION, Level
from audiometry.tasks.metrics.detection import check_orientation
from audiometry.tasks.spoof_asv import Edition, asv_file_errors, tandem_weights
from audiometry.tasks.spoof_reduce import SpoofPlan, spoof_metrics, spoof_reduce, table_scores, trial_counts

__all__ = [
    "BONA_FIDE_TARGET",
    "GROUPS",
    "MANY_SPEAKERS",
    "UNNAMED",
    "Phase",
    "Protocol",
    "attack_of",
    "embedded_trials",
    "spoof_plan",
    "spoof_samples",
    "spoof_task",
]

log = logging.getLogger("audiometry.spoof")

VERSION = "1"

Protocol = Literal["unseen-attack", "seen-attack"]
Phase = Literal["eval", "progress", "hidden"]

MANY_SPEAKERS = 20
"""From so many speakers on, speakers are what is resampled."""

UNNAMED = "unnamed"
"""The attack of spoofed trials whose corpus does not tell how they were made."""

GROUPS = ("gender", "language")
"""Facts by which false rejections of bona fide speakers are told."""

MOST_GROUPS = 20
"""A fact of more values makes no metrics."""

NOT_SLICES = ("attack", "phase", "vocoder")
"""Facts of the corpora that only spoofs have, or that have one value."""

HEADLINE = ("unseen-attack", "E4")
"""The protocol and level that `spoof-embedded` alone stands for."""

BONA_FIDE_TARGET = "bonafide"
"""What the control `oracle` is handed for bona fide speech; for a spoof it is the attack."""


def attack_of(trial: SpoofingTrial) -> str:
    """The attack of a trial, empty for bona fide speech."""
    return "" if trial.label == BONA_FIDE else trial.attack or UNNAMED


def spoof_plan(name: str, trials: Sequence[SpoofingTrial]) -> SpoofPlan:
    """The attacks and groups of a list of trials.

    Raises DataError for an empty list and for one of a single class, neither of which has an error rate.
    """
    if not trials:
        raise DataError(f"task {name!r}: the trial list is empty; check the corpus and its split")
    attacks = tuple(sorted({attack_of(trial) for trial in trials} - {""}))
    bona_fide = [trial for trial in trials if trial.label == BONA_FIDE]
    if not attacks or not bona_fide:
        there, missing = (BONA_FIDE, SPOOF) if bona_fide else (SPOOF, BONA_FIDE)
        raise DataError(
            f"task {name!r}: all {len(trials):,} trials are {there}; an equal error rate needs {missing} ones too: "
            "check the labels, or take another split"
        )
    groups = []
    for fact in GROUPS:
        values = sorted({_facts(trial).get(fact, "") for trial in bona_fide} - {""})
        groups += [f"{fact}-{value}" for value in values] if 1 < len(values) <= MOST_GROUPS else []
    return SpoofPlan(attacks, tuple(groups))


def spoof_samples(
    trials: Sequence[SpoofingTrial], *, by_source: bool = False, slices: Mapping[str, str] | None = None
) -> Iterator[Sample]:
    """The trials as samples: strata are the class and attack, clusters the speaker where there are many.

    Else, with `by_source`, clusters are what the trial's slice ``source`` names: the prompt or recording that it was
    made of, which several trials share. Else they are speakers again, or recordings under `MIN_CLUSTERS` speakers.
    """
    cluster_of = _clusters(trials, by_source=by_source)
    for trial in trials:
        attack = attack_of(trial)
        known = {key: value for key, value in _facts(trial).items() if key not in NOT_SLICES}
        if by_source:
            known.pop("source", None)
        yield Sample(
            id=trial.id,
            request=Request("detect", {"input": trial.audio}),
            target=attack or BONA_FIDE_TARGET,
            slices={**known, **(slices or {})},
            cluster=cluster_of(trial),
            stratum=f"{SPOOF}: {attack}" if attack else BONA_FIDE,
        )


def _facts(trial: SpoofingTrial) -> dict[str, str]:
    """What is known of a trial, without what is not."""
    own = {"gender": trial.gender, "codec": trial.codec}
    facts = {**trial.slices, **{key: value for key, value in own.items() if value}}
    return {key: value for key, value in facts.items() if value}


def _clusters(trials: Sequence[SpoofingTrial], *, by_source: bool) -> Callable[[SpoofingTrial], str]:
    speakers = {trial.speaker for trial in trials}
    if len(speakers) < MANY_SPEAKERS or "" in speakers:
        if by_source and all(trial.slices.get("source") for trial in trials):
            return lambda trial: trial.slices["source"]
        if len(speakers) < MIN_CLUSTERS or "" in speakers:
            return lambda trial: trial.id
    return lambda trial: trial.speaker


def spoof_task(
    *,
    name: str,
    trials: Callable[[], Sequence[SpoofingTrial]],
    plan: SpoofPlan | None = None,
    samples: Callable[[], Iterator[Sample]] | None = None,
    by_source: bool = False,
    notes: tuple[str, ...] = (),
    settings: Mapping[str, str] | None = None,
) -> Task:
    """A task of spoof detection over a list of trials.

    `plan` is that of the trials unless it is given; `samples` are the trials' unless something else is asked of them.

    Raises DataError as `spoof_plan` does.
    """
    known = plan or spoof_plan(name, trials())

    def score(sample: Sample, output: Output) -> Score:
        attack = "" if sample.target == BONA_FIDE_TARGET else str(sample.target)
        groups = [f"{fact}-{sample.slices[fact]}" for fact in GROUPS if fact in sample.slices]
        value, wrong = _read_score(output)
        counts = trial_counts(known, attack, groups, value)
        details = {"attack": attack, **({"wrong": wrong} if wrong else {})}
        return Score(sample.id, counts, "unparsed" if wrong else output.status, details)

    return Task(
        name=name,
        version=VERSION,
        ability="detect",
        samples=samples or (lambda: spoof_samples(trials(), by_source=by_source)),
        score=score,
        reduce=_watching(name, spoof_reduce(known)),
        metrics=spoof_metrics(known),
        notes=notes,
        settings={"attacks": str(len(known.attacks)), **(settings or {})},
    )


def _read_score(output: Output) -> tuple[float | None, str]:
    """The score of an answer, None for a failure, and what is wrong with an answer that is ``ok`` but has none."""
    if output.status != "ok":
        return None, ""
    if output.score is None:
        return None, "the answer has no score; a detector gives Output.score, higher for more bona fide"
    if not math.isfinite(output.score):
        return None, f"the score is {output.score}; a detector gives a finite number"
    return float(output.score), ""


def _watching(name: str, reduce: Reduce) -> Reduce:
    """`reduce`, and a warning where the scores of the whole list look inverted."""
    largest = 0
    told: set[str] = set()

    def watched(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        nonlocal largest
        if len(weights) == 1 and len(table) >= largest:  # the point estimate of the whole, and not of a slice
            largest = len(table)
            message = _inverted(table)
            if message and message not in told:  # a slice may hold all trials
                told.add(message)
                log.warning("task %s: %s", name, message)
        return reduce(table, weights)

    return watched


def _inverted(table: ScoreTable) -> str:
    """What to say of scores that look inverted; nothing where they do not."""
    scores, bona_fide = table_scores(table)
    answered = table.counts["failed"] == 0
    kept, spoofs = scores[answered & bona_fide], scores[answered & ~bona_fide]
    if len(kept) == 0 or len(spoofs) == 0:
        return ""
    found = check_orientation(kept, spoofs)
    return found.message if found.verdict == "inverted" else ""


def embedded_trials(protocol: Protocol, level: Level) -> tuple[Sequence[SpoofingTrial], tuple[str, ...]]:
    """The trials of the embedded corpus, and what qualifies every number measured on them.

    Raises DataError if the corpus is not prepared.
    """
    from audiometry.tasks.corpora.spoof.embedded import open_embedded

    opened = open_embedded()
    return opened.trials(protocol, level), tuple(opened.notes)


@task("spoof-embedded")
def spoof_embedded(*, protocol: Protocol = "unseen-attack", level: Level = "E4") -> Task:
    """Spoof detection on recordings at hand: unseen speakers, unseen (or seen) attacks, level E0 to E4."""
    trials, notes = embedded_trials(protocol, level)
    return spoof_task(
        name="spoof-embedded" if (protocol, level) == HEADLINE else f"spoof-embedded-{protocol}-{level}",
        trials=lambda: trials,
        by_source=True,
        notes=notes,
        settings={"corpus": "spoof-embedded", "protocol": protocol, "level": level, "equalisation": REVISION},
    )


def _published(
    corpus: CorpusFolder[SpoofingTrial],
    *,
    trials: Sequence[SpoofingTrial] | None = None,
    asv: str = "",
    edition: Edition = "2021",
    phase: str = "eval",
) -> Task:
    """The task on one split of a published corpus (or on `trials` instead of its rows), by its own protocol."""
    name = "-".join(("spoof", corpus.layout.name, *([corpus.split] if corpus.split not in ("eval", "all") else [])))
    rows = corpus.rows() if trials is None else trials
    plan = spoof_plan(name, rows)
    if asv:
        plan = replace(plan, tandem=tandem_weights(asv_file_errors(asv, edition, phase), edition))
    settings = {"corpus": corpus.name, **({"t-DCF": edition} if asv else {})}
    return spoof_task(name=name, trials=lambda: rows, plan=plan, notes=tuple(corpus.notes), settings=settings)


@task("spoof-asvspoof2019-la")
def spoof_asvspoof2019_la(
    *, path: str | None = None, split: Literal["eval", "dev"] = "eval", asv: str = "", partial: bool = False
) -> Task:
    """ASVspoof 2019 logical access; asv=FILE of verification scores adds the min t-DCF of 2019."""
    return _published(asvspoof2019_la(path=path, split=split, partial=partial), asv=asv, edition="2019")


@task("spoof-asvspoof2021-la")
def spoof_asvspoof2021_la(
    *, path: str | None = None, phase: Phase = "eval", asv: str = "", partial: bool = False
) -> Task:
    """ASVspoof 2021 logical access, the trials of one phase; asv=FILE of verification scores adds the min t-DCF."""
    return _published(asvspoof2021_la(path=path, split=phase, partial=partial), asv=asv, phase=phase)


@task("spoof-asvspoof2021-df")
def spoof_asvspoof2021_df(*, path: str | None = None, phase: Phase = "eval", partial: bool = False) -> Task:
    """ASVspoof 2021 deepfake, the trials of one phase; its attacks are the kinds of vocoder, as published."""
    corpus = asvspoof2021_df(path=path, split=phase, partial=partial)
    by_vocoder = [
        trial if trial.label == BONA_FIDE else replace(trial, attack=trial.slices.get("vocoder", UNNAMED))
        for trial in corpus.rows()
    ]
    return _published(corpus, trials=by_vocoder)


@task("spoof-asvspoof5")
def spoof_asvspoof5(*, path: str | None = None, split: Literal["eval", "dev"] = "eval", partial: bool = False) -> Task:
    """ASVspoof 5 track 1: min DCF, actual DCF and Cllr by its costs, and equal error rates."""
    return _published(asvspoof5(path=path, split=split, partial=partial))


@task("spoof-in-the-wild")
def spoof_in_the_wild(*, path: str | None = None, partial: bool = False) -> Task:
    """In-the-Wild: public figures, real and faked; how they were faked is not told, so there is one attack."""
    return _published(in_the_wild(path=path, partial=partial))
