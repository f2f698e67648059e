"""Controls for tasks on embeddings and generated sound: one that knows the answer, and one that knows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiometry.benchmark.audio import read_file
from audiometry.benchmark.registry import model
from audiometry.benchmark.seeds import derive_seed
from audiometry.benchmark.types import Ability, Output, Request, Target
from audiometry.models.adapters.common import answer_one, fingerprint
from audiometry.models.adapters.one_by_one import OneByOne

__all__ = ["blind_embeddings", "oracle_embeddings", "reference_sound"]

VERSION = "embedding controls 1"
DIMENSIONS = 64


@dataclass(frozen=True)
class GivenControl:
    """A control that answers from the sample's own target."""

    name: str
    abilities: frozenset[Ability]
    fingerprint: str
    deterministic: bool = True

    def generate(self, requests: Sequence[Request], given: Sequence[Target]) -> list[Output]:
        """Embed the target's name, or read the sound that it names."""
        pairs = zip(requests, given, strict=True)
        return [answer_one(lambda target=target: self._answer(str(target))) for _, target in pairs]  # type: ignore[misc]

    def close(self) -> None:
        """Nothing to give back."""

    def _answer(self, target: str) -> Output:
        if "embed" in self.abilities:
            return _direction(target)
        return Output(audio=read_file(target))


def _direction(name: str) -> Output:
    """A direction that depends on `name` alone."""
    vector = np.random.default_rng(derive_seed(0, "embedding", name)).normal(size=DIMENSIONS)
    return Output(embedding=(vector / np.linalg.norm(vector)).astype(np.float32))


@model("oracle-embeddings", abilities={"embed"}, control=True, given="own target")
def oracle_embeddings() -> GivenControl:
    """Control that embeds what belongs together alike: the best retrieval there is."""
    return GivenControl("oracle-embeddings", frozenset({"embed"}), fingerprint(f"oracle, {VERSION}", (), settings={}))


@model("reference-sound", abilities={"synthesize"}, control=True, given="own target")
def reference_sound() -> GivenControl:
    """Control that answers with the reference recording that the target names: a Fréchet distance of 0."""
    return GivenControl("reference-sound", frozenset({"synthesize"}), fingerprint(f"sound, {VERSION}", (), settings={}))


@model("blind-embeddings", abilities={"embed"}, control=True)
def blind_embeddings() -> OneByOne:
    """Control that embeds everything alike: every rank is a tie, which counts against it."""
    return OneByOne(
        name="blind-embeddings",
        fingerprint=fingerprint(f"blind, {VERSION}", (), settings={}),
        abilities=frozenset({"embed"}),
        answer=lambda _: _direction("the same for all"),
    )
