"""Public corpora in the layout in which their makers publish them: found in a folder, checked, counted.

A reader describes its corpus by a `Layout` and lists one split by a function ``(root, split) -> Scan``.
`CorpusFolder` does the rest: where the folder is, whether it holds this corpus, whether the split is whole, and how to
get it. Nothing is copied or converted, and nothing is decoded.

The folder is the setting ``path``, else the environment variable ``AUDIOMETRY_CORPUS_NAME``, else
``AUDIOMETRY_HOME/corpora/NAME``.
"""

from __future__ import annotations

import difflib
import math
import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

from audiometry.benchmark.audio import probe_seconds
from audiometry.benchmark.errors import AudioError, DataError, SettingError
from audiometry.benchmark.paths import corpora_folder
from audiometry.tasks.corpora.fetch import Source, fetch
from audiometry.tasks.corpora.utterance import Utterance, speech_slices

__all__ = ["LAYOUTS", "CorpusFolder", "Layout", "Scan", "SpeechFolder", "with_lengths"]

THREADS = 8
STRETCH = 1024
"""Recordings whose lengths are looked up ahead of whoever uses them."""

Row = TypeVar("Row")
Report = Callable[[str], None]


@dataclass(frozen=True)
class Layout:
    """What is known of a corpus without looking at a folder.

    `signs` are glob patterns under the corpus' root, any of which shows that a folder holds this corpus; ``{split}``
    and ``{language}`` in them stand for the split and the language that are asked for. Where `also` names patterns, one
    of them must be there as well. `nested` are the folders (glob patterns) in which the published archives unpack, so
    that their parent may be named too. `splits` are the official splits, the first one the default. `counts` tells how
    many entries a split officially has (keys ``split`` or ``language/split``), where that is published and known here.
    `how` tells what to download where.
    """

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    signs: tuple[str, ...]
    splits: tuple[str, ...]
    how: str
    counts: Mapping[str, int] = field(default_factory=dict)
    nested: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    unit: str = "utterances"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Keep it, so that a folder of another corpus can be told by name."""
        LAYOUTS.setdefault(self.name, self)

    def root(self, folder: Path) -> Path | None:
        """The corpus' root: `folder` or one of its `nested` folders; None where it holds another thing."""
        signs = [pattern.format(split="*", language="*") for pattern in self.signs]
        places = [folder, *(place for name in self.nested for place in sorted(folder.glob(name)))]
        return next((place for place in places if _holds(place, signs) and _holds(place, self.also or signs)), None)

    def has(self, root: Path, split: str, language: str) -> bool:
        """Whether the split of that language is in `root`, whole or not."""
        return _holds(root, [pattern.format(split=split, language=language or "*") for pattern in self.signs])


LAYOUTS: dict[str, Layout] = {}
"""Every layout, by the name of its corpus."""


@dataclass(frozen=True)
class Scan(Generic[Row]):
    """What one split of a corpus holds.

    `listed` counts what the official count counts: what its lists name and what lies beside them unlisted. Of these,
    `missing` are those whose recording is not there or empty, and `unlabelled` the recordings without a transcript or
    label. `excluded` are those left out by the corpus' own protocol, by reason; `rows` are all others.
    """

    rows: Sequence[Row]
    listed: int
    missing: Sequence[str] = ()
    unlabelled: Sequence[str] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CorpusFolder(Generic[Row]):
    """One split of a public corpus in a folder.

    With `partial` a copy that holds only a part of the split is read as far as it goes, and a note says how much is
    there.

    Raises SettingError for a split that is not an official one.
    """

    layout: Layout
    scan: Callable[[Path, str], Scan[Row]]
    """(root, split) → what is there. May raise DataError for a list that cannot be read."""
    split: str = ""
    path: str | None = None
    partial: bool = False
    language: str = ""
    folder_language: str = ""
    """How the corpus' folders spell the language, where it has several."""
    sources: tuple[Source, ...] = ()
    """Where `prepare` fetches the split from; empty where it must be fetched by hand."""
    synthetic: bool = False
    _found: dict[Path, Scan[Row]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take the default split; refuse one that is not official."""
        object.__setattr__(self, "split", self.split or self.layout.splits[0])
        if self.split not in self.layout.splits:
            near = difflib.get_close_matches(self.split, self.layout.splits, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SettingError(
                f"corpus {self.layout.name!r} has no split {self.split!r}; {hint}"
                f"it has: {', '.join(self.layout.splits)}"
            )

    @property
    def name(self) -> str:
        """The registered name, the language where there are several, and the split."""
        return "/".join(part for part in (self.layout.name, self.folder_language, self.split) if part)

    @property
    def licence(self) -> str:
        """SPDX identifier, or how to find out."""
        return self.layout.licence

    @property
    def citation(self) -> str:
        """Whom to credit."""
        return self.layout.citation

    @property
    def folder(self) -> Path:
        """Where the corpus is looked for."""
        given = self.path or os.environ.get(self.variable)
        return Path(given).expanduser().absolute() if given else corpora_folder() / self.layout.name

    @property
    def variable(self) -> str:
        """The environment variable that names the folder."""
        return f"AUDIOMETRY_CORPUS_{self.layout.name.upper().replace('-', '_')}"

    @property
    def expected(self) -> int | None:
        """How many entries the split officially has; None where that is not known here."""
        keys = (f"{self.folder_language}/{self.split}", self.split)
        return next((self.layout.counts[key] for key in keys if key in self.layout.counts), None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What qualifies every number measured on it: that of a partial copy, how much of the split is there."""
        if not self.partial:
            return self.layout.notes
        try:
            scan = self.scanned()
        except DataError:
            return self.layout.notes
        problems = _problems(scan, self.expected, self.layout.unit)
        return self.layout.notes if not problems else (*self.layout.notes, f"part of {self.name}: {problems}")

    def rows(self) -> Sequence[Row]:
        """Every usable row of the split, in a fixed order.

        Raises DataError, with counts, where the folder holds another corpus, not this split, or not all of it.
        """
        return self.scanned().rows

    def scanned(self) -> Scan[Row]:
        """What the split holds. A folder that was found whole is not looked at again.

        Raises what `rows` raises.
        """
        root = self._root()
        if root not in self._found:
            scan = self.scan(root, self.split)
            problems = _problems(scan, self.expected, self.layout.unit)
            if not scan.rows or (problems and not self.partial):
                raise DataError(
                    f"corpus {self.name!r} in {root} is not whole: "
                    f"{problems or f'none of {scan.listed:,} {self.layout.unit} can be used'}; "
                    f"{'' if not scan.rows else 'set partial=true to use what is there, or '}{self._how()}"
                )
            self._found[root] = scan
        return self._found[root]

    def ready(self) -> bool:
        """Whether the split is on this machine and whole (with `partial`, whether any of it is)."""
        try:
            self.scanned()
        except DataError:
            return False
        return True

    def prepare(self, source: str | None, report: Report) -> None:
        """Fetch the split, or take the folder `source` as it is: it is linked to, not copied.

        Raises DataError where it cannot be had, and where `source` or what was fetched is not this split, whole.
        """
        if source is not None:
            self._link(Path(source).expanduser().absolute())
        elif not self.ready():
            if not self.sources or self.path or os.environ.get(self.variable):
                self.scanned()
            fetch(self.sources, self.folder, report, self._by_hand())
        scan = self.scanned()
        report(f"{self.name}: {len(scan.rows):,} {self.layout.unit}{_left_out(scan)}, in {self.folder}")

    def describe(self) -> Mapping[str, str]:
        """Language, licence, credits, splits, folder, how to get it, and the counts where it is there."""
        facts = {
            "language": self.language,
            "licence": self.licence,
            "citation": self.citation,
            "homepage": self.layout.homepage,
            "synthetic": "yes" if self.synthetic else "no",
            "split": self.split,
            "splits": ", ".join(self.layout.splits),
            "folder": str(self.folder),
            "get": self._how(),
        }
        try:
            scan = self.scanned()
        except DataError as error:
            return {**facts, "notes": "; ".join(self.layout.notes), "prepared": f"no: {error}"}
        return {
            **facts,
            "notes": "; ".join(self.notes),
            "prepared": "yes",
            self.layout.unit: str(len(scan.rows)),
            "excluded": ", ".join(f"{number} {reason}" for reason, number in sorted(scan.excluded.items())),
        }

    def _root(self) -> Path:
        """The corpus' root.

        Raises DataError where the folder is not there, holds another corpus, or not this split.
        """
        folder = self.folder
        if not folder.is_dir():
            raise DataError(f"corpus {self.name!r} is not there: no folder {folder}; {self._how()}")
        root = self.layout.root(folder)
        if root is None:
            raise DataError(f"{folder} does not hold {self.layout.title}: {_contents(folder)}; {self._how()}")
        if not self.layout.has(root, self.split, self.folder_language):
            there = [split for split in self.layout.splits if self.layout.has(root, split, self.folder_language)]
            what = f"split {self.split!r}" + (f" of {self.folder_language!r}" if self.folder_language else "")
            raise DataError(
                f"{root} holds {self.layout.title} but not its {what}; there is: {', '.join(there) or 'none'}; "
                f"{self._how()}"
            )
        return root

    def _how(self) -> str:
        """How to get it, as the end of a message."""
        settings = [f"split={self.split}"] if len(self.layout.splits) > 1 else []
        settings += [f"language={self.folder_language}"] if self.folder_language else []
        spec = f"{self.layout.name}{':' if settings else ''}{','.join(settings)}"
        return f"run: audiometry data prepare {spec}, or {self._by_hand()}" if self.sources else self._by_hand()

    def _by_hand(self) -> str:
        return f"{self.layout.how}, and name its folder with path=DIR or {self.variable}"

    def _link(self, source: Path) -> None:
        replace(self, path=str(source), _found={}).scanned()
        place = corpora_folder() / self.layout.name
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            raise DataError(f"{place} is there already; remove it, or name the folder with path={source}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(source, target_is_directory=True)
        except OSError as error:
            raise DataError(f"{place} cannot be linked to {source}: {error.strerror}; use path={source}") from error


@dataclass(frozen=True)
class SpeechFolder(CorpusFolder[Utterance]):
    """One split of a public corpus of speech with transcripts."""

    _lengths: array[float] = field(default_factory=lambda: array("d"), repr=False, compare=False)
    """Seconds of each row, NaN where unknown, as far as they have been used."""

    def utterances(self) -> Iterator[Utterance]:
        """Every usable utterance, in a fixed order, with its length (None where a recording cannot be read).

        Raises what `rows` raises, at once.
        """
        return with_lengths(self.rows(), self._lengths)


def with_lengths(utterances: Sequence[Utterance], known: array[float] | None = None) -> Iterator[Utterance]:
    """The utterances with their length and its slice; headers are read ahead, a stretch at a time.

    A length that the utterance has already is kept. A recording that cannot be read has None: what is wrong with it
    becomes that sample's error when it is used. `known` holds the lengths of the first utterances, NaN for None; those
    that are looked up are put to it.
    """
    lengths = array("d") if known is None else known
    left = iter(utterances)
    place = 0
    with ThreadPoolExecutor(THREADS) as pool:
        while stretch := list(islice(left, STRETCH)):
            lengths.extend(pool.map(_length, stretch[max(len(lengths) - place, 0) :]))
            for utterance in stretch:
                seconds = None if math.isnan(lengths[place]) else lengths[place]
                slices = speech_slices(language="", gender="", speaker="", seconds=seconds) | dict(utterance.slices)
                yield replace(utterance, audio=replace(utterance.audio, seconds=seconds), slices=slices)
                place += 1


def _length(utterance: Utterance) -> float:
    """Seconds, NaN where they cannot be told."""
    audio = utterance.audio
    if audio.seconds is not None:
        return audio.seconds
    try:
        total = probe_seconds(audio.path)
    except AudioError:
        return math.nan
    seconds = (total if audio.end is None else min(audio.end, total)) - audio.start
    return seconds if seconds > 0 else math.nan


def _holds(place: Path, patterns: Sequence[str]) -> bool:
    return any(True for pattern in patterns for _ in place.glob(pattern))


def _problems(scan: Scan[Row], expected: int | None, unit: str) -> str:
    """What is not as it should be, with counts; the empty string where all is."""
    problems = []
    if expected is not None and scan.listed != expected:
        problems.append(f"{scan.listed:,} {unit} found, {expected:,} expected")
    if scan.missing:
        problems.append(
            f"{len(scan.missing):,} of {scan.listed:,} recordings missing or empty, first {scan.missing[0]}"
        )
    if scan.unlabelled:
        problems.append(
            f"{len(scan.unlabelled):,} of {scan.listed:,} recordings without transcript or label, "
            f"first {scan.unlabelled[0]}"
        )
    return "; ".join(problems)


def _left_out(scan: Scan[Row]) -> str:
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(scan.excluded.items()))
    return f" (left out: {reasons})" if reasons else ""


def _contents(folder: Path) -> str:
    """What a folder that is not the expected corpus holds, in a few words."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    other = [layout.title for layout in LAYOUTS.values() if layout.root(folder) is not None]
    looks = f", which looks like {' or '.join(sorted(other))}" if other else ""
    if not names:
        return "it is empty"
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"it holds {len(names):,} entries ({shown}){looks}"
