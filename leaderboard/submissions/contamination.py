"""Whether what a model was trained on, as its submitter declares it, is what the suite measures it on.

A declaration is taken at its word, and a match is a warning that stays with the row, not a refusal: names are spelt in
many ways, and a corpus may have parts that were kept apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.registry import CORPORA, SUITES, TASKS, parse_spec

__all__ = ["NONE_DECLARED", "contamination", "corpora_of"]

NONE_DECLARED = "no training data declared: that the suite's recordings were trained on cannot be excluded"

GENERAL = frozenset(
    (
        "audio", "clips", "corpus", "corpora", "data", "dataset", "datasets", "en", "english", "human", "internal",
        "non", "own", "private", "public", "recordings", "set", "sounds", "speech", "spoken", "synthetic", "the",
        "training", "voice", "voices", "web",
    )
)  # fmt: skip
"""Words that name no corpus by themselves."""


def corpora_of(suite: str) -> tuple[str, ...]:
    """The names of the corpora that a suite's tasks measure on, sorted.

    Of a task that cannot be made here, because its corpus is not prepared, those that its name holds.

    Raises UnknownNameError for a suite that nobody registered.
    """
    found: set[str] = set()
    for task in SUITES.create(parse_spec(suite)).weights:
        try:
            settings = TASKS.create(parse_spec(task)).settings
            found |= {name for key in ("corpus", "corpora") for name in settings.get(key, "").split("+") if name}
        except UserError:
            found |= {name for name in CORPORA.names() if name in task.partition(":")[0]}
    return tuple(sorted(found))


def contamination(training_data: Iterable[str], suite: str) -> tuple[str, ...]:
    """A warning for each declared corpus that is, by its name, package or citation, one of the suite's.

    Raises UnknownNameError for a suite that nobody registered.
    """
    declared = list(training_data)
    if not declared:
        return (NONE_DECLARED,)
    measured = {corpus: _facts(corpus) for corpus in corpora_of(suite)}
    registered = {corpus: _facts(corpus) for corpus in CORPORA.names()} | measured
    warnings = []
    for name in declared:
        meant = [corpus for corpus, facts in registered.items() if _names(_words(name), _words(corpus), facts)]
        # what is stitched from another corpus, or recorded from the same source, holds the same voices and words
        found = [corpus for corpus in measured if any(_akin(registered[one], measured[corpus]) for one in meant)]
        found = sorted({*found, *(corpus for corpus in meant if corpus in measured)})
        if found:
            warnings.append(
                f"declared training data {name!r} may share recordings or voices with suite {suite!r}: "
                f"{', '.join(found)}"
            )
    return tuple(warnings)


Facts = list[list[str]]


def _names(declared: list[str], corpus: list[str], facts: Facts) -> bool:
    """Whether the words of one name stand in a row in the other, or in what the corpus says of itself."""
    if set(declared) <= GENERAL:
        return False
    if "".join(declared) == "".join(corpus) or _within(declared, corpus):
        return True
    own = not set(corpus) <= GENERAL and _within(corpus, declared)
    return own or (len(declared) > 1 and any(_within(declared, words) for words in facts))


def _akin(one: Facts, other: Facts) -> bool:
    return any(_within(words, whole) for words in one for whole in other)


def _facts(corpus: str) -> Facts:
    """The words of the package and of the citation of a registered corpus."""
    if corpus not in CORPORA.names():
        return []
    entry = CORPORA.get(corpus)
    try:
        described = {**entry.factory().describe(), **entry.facts}
    except (TypeError, UserError):  # a corpus that needs settings describes itself only once it has them
        described = dict(entry.facts)
    return [_words(str(described[key])) for key in ("package", "citation") if key in described]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _within(part: list[str], whole: list[str]) -> bool:
    """Whether the words of `part`, of which there must be some, stand in a row in `whole`."""
    ends = range(len(part), len(whole) + 1) if part else ()
    return any(whole[end - len(part) : end] == part for end in ends)
