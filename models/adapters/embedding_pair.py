"""A judge of generated sound: another model embeds the generated clip, the reference clip and the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import AudiometryError, SettingError
from audiometry.benchmark.registry import MODELS, model, parse_spec
from audiometry.benchmark.types import Ability, Model, Output, Request
from audiometry.models.adapters.common import fingerprint

__all__ = ["EmbeddingPair", "embedding_pair"]

VERSION = "embedding-pair 1"
ROLES = ("candidate", "reference")


@dataclass
class EmbeddingPair:
    """A Model that asks `inner` for the parts of a pair."""

    name: str
    inner: Model
    fingerprint: str
    deterministic: bool
    text: bool
    abilities: frozenset[Ability] = frozenset({"rate"})

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """The cosine of prompt and candidate as the score, and both embeddings as labels ``candidate_0`` and so on."""
        return [self._judge(request) for request in requests]

    def close(self) -> None:
        """Give back what the inner model holds."""
        self.inner.close()

    def _judge(self, request: Request) -> Output:
        parts = [
            Request("embed", {"input": request.audios[role]}, waveforms={"input": request.waveforms[role]})
            for role in ROLES
        ]
        if self.text:
            parts.append(Request("embed", text=request.text))
        answers = self.inner.generate(parts)
        failed = [one for one in answers if one.status != "ok" or one.embedding is None]
        if failed:
            return Output(status="error", error=failed[0].error or "the model gave no embedding")
        vectors = [_row(one) for one in answers]
        labels = {
            f"{role}_{at}": float(value)
            for role, vector in zip(ROLES, vectors, strict=False)
            for at, value in enumerate(vector)
        }
        return Output(score=_cosine(vectors[2], vectors[0]) if self.text else None, labels=labels)


def check(*, model: str, text: bool = True) -> None:  # noqa: ARG001  (only a loaded model tells if it embeds text)
    """Check the inner model's name and settings, and that it embeds.

    Raises SettingError if it does not, and what the inner model's own check raises.
    """
    spec = parse_spec(model)
    entry = MODELS.check(spec)
    if "embed" not in MODELS.abilities(spec) or entry.waits or entry.given is not None:
        raise SettingError(f"model 'embedding-pair', setting 'model': {model!r} is no model that embeds here")


@model("embedding-pair", abilities={"rate"}, check=check)
def embedding_pair(*, model: str, text: bool = True) -> EmbeddingPair:
    """A judge of generated sound: model=NAME embeds the clip, its reference and the prompt (text=false: no prompt)."""
    inner = MODELS.create(parse_spec(model))
    return EmbeddingPair(
        name=f"embedding-pair:model={model}",
        inner=inner,
        fingerprint=fingerprint(VERSION, (), settings={"inner": inner.fingerprint, "text": text}),
        deterministic=inner.deterministic,
        text=text,
    )


def _row(output: Output) -> NDArray[np.float64]:
    return np.asarray(output.embedding, np.float64).ravel()


def _cosine(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Raises AudiometryError where one space does not hold both."""
    if first.shape != second.shape:
        raise AudiometryError(f"text has {len(first)} dimensions and sound {len(second)}: set text=false")
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norms if norms > 0 else 0.0
