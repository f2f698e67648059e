"""A model that answers from a file what some other system already made. It is ranked like any other model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from audiometry.benchmark.audio import read_file
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Ability, Output, Request, Target
from audiometry.models.adapters.answers import Answer, AnswerFile, Format, read_answers
from audiometry.models.adapters.common import answer_one, fingerprint, text_output

__all__ = ["Outputs", "outputs"]

VERSION = "outputs 1"

COLUMNS: Mapping[Ability, tuple[str, ...]] = {
    "transcribe": ("text",),
    "respond": ("text", "audio"),
    "detect": ("score",),
    "classify": ("label",),
    "rate": ("rating",),
    "synthesize": ("audio",),
    "convert": ("audio",),
}
"""The columns that answer each ability; any one is enough."""


def check(*, path: str, format: Format = "auto", label: str = "") -> None:  # noqa: ARG001  (any label will do)
    """Read the whole file. Raises what `read_answers` raises."""
    read_answers(path, format)


@model("outputs", abilities=COLUMNS, given="sample id", check=check)
def outputs(*, path: str, format: Format = "auto", label: str = "") -> Outputs:
    """Answers that another system already made, from a file."""
    file = read_answers(path, format)
    made = [answer.audio for answer in file.answers if answer.audio is not None and answer.status == "ok"]
    return Outputs(
        name=label or f"outputs:path={path}",
        file=file,
        fingerprint=fingerprint(VERSION, [file.path, *made], settings={"format": format}),
    )


@dataclass
class Outputs:
    """The answers of a file, found by sample id."""

    name: str
    file: AnswerFile
    fingerprint: str
    deterministic: bool = True
    abilities: frozenset[Ability] = field(init=False)
    _by_id: dict[str, Answer] = field(init=False)
    _by_last: dict[str, list[Answer]] = field(init=False)
    _taken: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.abilities = frozenset(
            ability for ability, columns in COLUMNS.items() if self.file.columns.intersection(columns)
        )
        self._by_id = {answer.id: answer for answer in self.file.answers}
        self._by_last = defaultdict(list)
        for answer in self.file.answers:
            self._by_last[PurePosixPath(answer.id).name].append(answer)

    def generate(self, requests: Sequence[Request], given: Sequence[Target]) -> list[Output]:
        """The file's answer to each sample, by the ids in `given`."""
        return [
            answer_one(lambda request=request, name=name: self._output(request.ability, str(name)))  # type: ignore[misc]
            for request, name in zip(requests, given, strict=True)
        ]

    def close(self) -> None:
        """Forget the answers."""
        self._by_id = {}
        self._by_last = {}

    def _output(self, ability: Ability, sample_id: str) -> Output:
        found = self._find(sample_id)
        if isinstance(found, str):
            return Output(status="error", error=found)
        if found.status != "ok":
            return Output(status=found.status, text=found.text, error=found.error)
        if ability not in self.abilities:
            wanted = " or ".join(COLUMNS.get(ability, ("answer to it",)))
            return Output(status="error", error=f"{self.file.path} has no column {wanted}, which {ability} needs")
        return _by_ability(ability, found)

    def _find(self, sample_id: str) -> Answer | str:
        """The answer to a sample, or why there is none.

        An id may leave out leading parts of the sample's id. A sound file's name needs only its last part to agree;
        where several do, the one whose folders agree furthest is meant.
        """
        if sample_id in self._by_id:
            return self._by_id[sample_id]
        sample = PurePosixPath(sample_id).parts
        agreeing: dict[int, list[Answer]] = defaultdict(list)
        for answer in self._by_last.get(sample[-1] if sample else "", ()):
            parts = PurePosixPath(answer.id).parts
            same = _common_tail(sample, parts)
            if self.file.by_file or same == len(parts):
                agreeing[same].append(answer)
        if not agreeing:
            return f"no answer for {sample_id!r} in {self.file.path}"
        best = agreeing[max(agreeing)]
        if len(best) > 1:
            return (
                f"{self.file.path} {best[0].where} and {best[1].where} may both answer {sample_id!r}; "
                "add a column id with the whole sample id"
            )
        other = self._taken.setdefault(best[0].id, sample_id)
        if other != sample_id:
            return (
                f"{self.file.path} {best[0].where} may answer {other!r} or {sample_id!r}; "
                "add a column id with the whole sample id"
            )
        return best[0]


def _common_tail(first: Sequence[str], second: Sequence[str]) -> int:
    """How many parts from the end are the same."""
    same = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        same += 1
    return same


def _by_ability(ability: Ability, answer: Answer) -> Output:
    if ability == "detect":
        return Output(score=answer.score)
    if ability == "rate":
        return Output(score=answer.rating)
    if ability == "classify":
        label = (answer.label or "").strip()
        return Output(labels={label: 1.0}) if label else Output(status="empty")
    said = text_output(answer.text or "") if answer.text is not None or ability == "transcribe" else Output()
    if ability == "transcribe":
        return said
    audio = read_file(answer.audio) if answer.audio is not None else None
    if ability in ("synthesize", "convert"):
        return Output(audio=audio)
    return Output(status="ok" if audio is not None else said.status, text=said.text, audio=audio)
