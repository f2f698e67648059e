"""`spoof-fusion`: several detectors heard together, their scores summed with weights.

Logistic regression on development trials gives the weights (Brümmer et al. 2007, "Fusion of heterogeneous speaker
recognition systems in the STBU submission", the FoCal toolkit), and the sum is calibrated like any other score. The
file holds no network: it names the detectors and their fingerprints, and is of no use with others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import MODELS, Spec, model, parse_spec, takes
from audiometry.benchmark.types import Ability, FloatArray, Model, Output, Request, Waveform
from audiometry.models.adapters.common import shown_name
from audiometry.models.baselines.saved import SavedDetector, calibration_of, load_for
from audiometry.models.baselines.trial_data import TrialData
from audiometry.models.baselines.waveform_scores import (
    arrays_of,
    balanced_weights,
    calibrated_by,
    check_trainable,
    identifier,
)
from audiometry.tasks.corpora.spoof.equalisation import RATE, Level
from audiometry.tasks.metrics.calibration import AffineCalibration

__all__ = ["Fusion", "fit", "spoof_fusion"]

KIND = "spoof-fusion"
VERSION = "spoof-fusion 1"
SEPARATOR = "+"
STRENGTH = 1e4
"""Inverse of the regularisation (scikit-learn's C): weights stay finite where the classes are apart."""

BATCH = 32


@dataclass
class Fusion:
    """A Model that asks each member, and sums their scores with a weight each."""

    name: str
    fingerprint: str
    members: Sequence[Model]
    weights: FloatArray
    calibration: AffineCalibration
    abilities: frozenset[Ability] = frozenset({"detect"})

    @property
    def deterministic(self) -> bool:
        """Whether every member is."""
        return all(member.deterministic for member in self.members)

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Score each request; where a member has no score there is none, and the output says whose is missing."""
        answers = [member.generate(requests) for member in self.members]
        return [self._sum([answer[number] for answer in answers]) for number in range(len(requests))]

    def close(self) -> None:
        """Close every member."""
        for member in self.members:
            member.close()

    def _sum(self, outputs: Sequence[Output]) -> Output:
        total = {"total": sum(output.timings.get("total", 0.0) for output in outputs)}
        for member, output in zip(self.members, outputs, strict=True):
            if output.status != "ok" or output.score is None:
                status = "error" if output.status == "ok" else output.status
                return Output(status=status, error=f"{member.name}: {output.error or 'no score'}", timings=total)
        scores = np.array([output.score for output in outputs], dtype=np.float64)
        return Output(score=float(self.calibration(self.weights @ scores)), timings=total)


def fit(
    train: TrialData,  # noqa: ARG001  (every detector's training is called alike)
    development: TrialData,
    *,
    seed: int,
    report: Callable[[str], None],
    level: Level = "E4",
    members: str = "lfcc-gmm+lfcc-lcnn",
) -> SavedDetector:
    """Fit the weights of `members` on `development`; their own training is over, so that `train` is not looked at.

    `members` are detectors as on the command line, with ``+`` between them (``lfcc-gmm+lfcc-lcnn:path=FILE``); those
    that take a level and are not given one are of `level`. The table that is reported is of the trials that the
    weights were fitted on.

    Raises SettingError for fewer than two members or one that is no detector of its own, DataError for a part without
    trials of both classes or a trial that a member gives no score, and what the members' checks raise.
    """
    check_trainable(KIND, development=development)
    specs = [_member(text, level) for text in members.split(SEPARATOR)]
    if len(set(specs)) < 2 or len(set(specs)) < len(specs):
        raise SettingError(f"training {KIND!r}, setting 'members': {members!r} is not two or more different detectors")
    for spec in specs:
        MODELS.check(spec)
    columns, facts = [], []
    for spec in specs:
        report(f"{KIND}: {spec} scores {len(development)} development trials")
        member = MODELS.create(spec)
        try:
            columns.append(_scores(member, development))
        finally:
            member.close()
        facts.append({"model": str(spec), "fingerprint": member.fingerprint})
    scores = np.stack(columns, axis=1)
    weights = _weights(scores, development, seed)
    for spec, weight in zip(specs, weights, strict=True):
        report(f"{KIND}: {weight:.3g} times the log-likelihood ratio of {spec}")
    found = SavedDetector(KIND, {"weights": weights}, {"level": level, "seed": str(seed), "members": json.dumps(facts)})
    return calibrated_by(found, scores @ weights, development, report)


def check(*, level: Level = "E4", path: str = "") -> None:
    """Raise DataError unless the weights are there and the members are those that they were fitted for."""
    found = load_for(KIND, level, path)
    calibration_of(found)
    for spec, fingerprint in _members(found):
        MODELS.check(spec)
        _check_same(spec, fingerprint, MODELS.fingerprint(spec) or fingerprint)


@model(KIND, abilities={"detect"}, check=check, fingerprint=identifier(KIND, VERSION), deterministic=True)
def spoof_fusion(*, level: Level = "E4", path: str = "") -> Fusion:
    """Detector of spoofed speech that hears several others and sums their scores with weights."""
    found = load_for(KIND, level, path)
    made: list[Model] = []
    for spec, fingerprint in _members(found):
        made.append(MODELS.create(spec))
        _check_same(spec, fingerprint, made[-1].fingerprint)
    return Fusion(
        name=shown_name(KIND, spoof_fusion, {"level": level, "path": path}),
        fingerprint=identifier(KIND, VERSION)(level=level, path=path),
        members=made,
        weights=arrays_of(found, {"weights": 1})["weights"],
        calibration=calibration_of(found),
    )


def _member(text: str, level: Level) -> Spec:
    """The spec of a member, with its level and with its file's whole path."""
    spec = parse_spec(text)
    entry = MODELS.get(spec.name)
    if "detect" not in entry.abilities or entry.given or entry.waits or spec.name == KIND:
        raise SettingError(
            f"training {KIND!r}, setting 'members': {spec.name!r} is not a detector that works here by itself; name "
            "models of the ability detect"
        )
    settings = dict(spec.settings)
    if takes(entry, "level"):
        settings.setdefault("level", level)
    if settings.get("path"):
        settings["path"] = str(Path(settings["path"]).expanduser().absolute())
    return replace(spec, settings=tuple(sorted(settings.items())))


def _members(found: SavedDetector) -> list[tuple[Spec, str]]:
    """The members of a fusion with the fingerprints that they had; as many as there are weights."""
    weights = arrays_of(found, {"weights": 1})["weights"]
    try:
        told: Any = json.loads(found.facts["members"])
        members = [(parse_spec(one["model"]), str(one["fingerprint"])) for one in told]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"the trained {KIND!r} does not say whom it holds; train it again") from error
    if len(members) != len(weights) or any(spec.name == KIND for spec, _ in members):
        raise DataError(f"the trained {KIND!r} has {len(weights)} weights for {len(members)} others; train it again")
    return members


def _check_same(spec: Spec, then: str, now: str) -> None:
    if then != now:
        raise DataError(
            f"the {KIND!r} was fitted for another {spec} than is here (its weights or its version differ); fit it "
            f"again with `audiometry train {KIND}`"
        )


def _scores(member: Model, data: TrialData) -> FloatArray:
    scores: list[float] = []
    for first in range(0, len(data), BATCH):
        part = data.waveforms[first : first + BATCH]
        asked = [Request("detect", waveforms={"input": Waveform(samples, RATE)}) for samples in part]
        for number, output in enumerate(member.generate(asked), first):
            if output.status != "ok" or output.score is None:
                raise DataError(
                    f"training {KIND!r}: {member.name} gives development trial {number} (made of "
                    f"{data.sources[number]!r}) no score: {output.error or output.status}"
                )
            scores.append(output.score)
    return np.array(scores)


def _weights(scores: FloatArray, data: TrialData, seed: int) -> NDArray[np.float64]:
    """A weight for each column of `scores` (trials, members); each attack weighs the same."""
    from sklearn.linear_model import LogisticRegression

    spread = scores.std(axis=0)
    spread[spread == 0] = 1.0
    regression = LogisticRegression(C=STRENGTH, max_iter=1000, random_state=seed)
    regression.fit(scores / spread, data.bona_fide, sample_weight=balanced_weights(data))
    return np.asarray(regression.coef_[0] / spread)
