"""The speaker verifier that stands behind a spoof detector in the t-DCF: the challenges' score files of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.tandem import (
    ASVSPOOF2019_COSTS,
    ASVSPOOF_COSTS,
    AsvErrorRates,
    TandemScores,
    asv_error_rates,
)

__all__ = ["Edition", "TandemWeights", "asv_file_errors", "tandem_weights"]

Edition = Literal["2019", "2021"]

CLASSES = ("target", "nontarget", "spoof")
METADATA = "trial_metadata.txt"
PLACES = ("", "..")
"""Where the metadata lie, from the folder of the 2021 score file: beside it, or as published one folder up."""


@dataclass(frozen=True, slots=True)
class TandemWeights:
    """The t-DCF of a detector as a plane: ``passed + miss · P_miss + accept · P_fa``, normalised."""

    passed: float
    miss: float
    accept: float


def tandem_weights(asv: AsvErrorRates, edition: Edition) -> TandemWeights:
    """The weights with which both editions' min t-DCF is lowest over thresholds.

    The formulas are those of `metrics.tandem.min_tdcf` (2021) and `min_tdcf_legacy` (2019), where the sources stand;
    under weights of resamples they are needed before the minimum is taken.

    >>> found = tandem_weights(AsvErrorRates(0.02, 0.02, 0.5), "2021")
    >>> round(found.passed, 6), round(found.passed + min(found.miss, found.accept), 6)
    (0.076503, 1.0)

    Raises DataError where the verifier alone costs more than rejecting everyone, or accepts no spoof.
    """
    if edition == "2019":
        legacy = ASVSPOOF2019_COSTS
        passed = 0.0
        miss = legacy.target_prior * (legacy.cm_miss_cost - legacy.asv_miss_cost * asv.miss_rate)
        miss -= legacy.nontarget_prior * legacy.asv_false_alarm_cost * asv.false_alarm_rate
        accept = legacy.cm_false_alarm_cost * legacy.spoof_prior * asv.spoof_false_alarm_rate
    else:
        costs = ASVSPOOF_COSTS
        passed = costs.target_prior * costs.miss_cost * asv.miss_rate
        passed += costs.nontarget_prior * costs.false_alarm_cost * asv.false_alarm_rate
        miss = costs.target_prior * costs.miss_cost - passed
        accept = costs.spoof_prior * costs.spoof_false_alarm_cost * asv.spoof_false_alarm_rate
    default = passed + min(miss, accept)
    if miss < 0 or default <= 0:
        raise DataError(
            "asv: the verifier's errors leave no t-DCF to tell (it rejects its own speakers, or accepts no spoof); "
            "check that higher scores speak for the target speaker"
        )
    return TandemWeights(passed / default, miss / default, accept / default)


def asv_file_errors(path: str, edition: Edition, phase: str = "eval") -> AsvErrorRates:
    """Errors of the verifier whose scores are in the file, at the threshold of its equal error rate.

    2019: lines ``ATTACK CLASS SCORE`` (``bonafide target 3.2``), as in ``ASVspoof2019.LA.asv.eval.gi.trl.scores.txt``.
    2021: lines ``SPEAKER RECORDING SCORE``, one for each line of ``trial_metadata.txt``, which lies beside the file or
    one folder up, and of which the lines of `phase` count. CLASS is target, nontarget or spoof.

    Raises DataError for a file that is not there or is not of this form.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"asv: the file {path!r} does not exist; give the challenge's file of verification scores")
    scores: dict[str, list[float]] = {name: [] for name in CLASSES}
    for kind, score in _read_2019(file) if edition == "2019" else _read_2021(file, phase):
        scores[kind].append(score)
    empty = [name for name, found in scores.items() if not found]
    if empty:
        raise DataError(f"asv: {path} has no {empty[0]} trials; the t-DCF needs target, nontarget and spoof")
    return asv_error_rates(TandemScores(scores["target"], scores["nontarget"], scores["spoof"]))


def _read_2019(file: Path) -> Iterator[tuple[str, float]]:
    for number, fields in _lines(file):
        if len(fields) != 3 or fields[1] not in CLASSES:
            raise DataError(f"asv: {file} line {number} is not 'ATTACK target|nontarget|spoof SCORE'; mend it")
        yield fields[1], _number(file, number, fields[2])


def _read_2021(file: Path, phase: str) -> Iterator[tuple[str, float]]:
    metadata = next((place for up in PLACES if (place := file.parent / up / METADATA).is_file()), None)
    if metadata is None:
        raise DataError(f"asv: no {METADATA} beside {file} or one folder up; unpack the keys as they were published")
    scores, keys = list(_lines(file)), list(_lines(metadata))
    if len(scores) != len(keys):
        raise DataError(f"asv: {file} has {len(scores)} lines and {metadata} {len(keys)}; they must belong together")
    for (number, fields), (line, key) in zip(scores, keys, strict=True):
        if len(key) != 8 or key[5] not in CLASSES:
            raise DataError(f"asv: {metadata} line {line} is not of 8 fields with a class as the sixth; mend it")
        if len(fields) != 3 or fields[1] != key[1]:
            raise DataError(f"asv: {file} line {number} is not 'SPEAKER {key[1]} SCORE', as {metadata} has it")
        if key[7] == phase:
            yield key[5], _number(file, number, fields[2])


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with file.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, line.split()
    except UnicodeDecodeError as error:
        raise DataError(
            f"asv: {file} is not text: {error}; give the challenge's file of verification scores"
        ) from error


def _number(file: Path, number: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"asv: {file} line {number}: {text!r} is not a finite score; mend it")
    return value
