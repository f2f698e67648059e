"""Trained detectors as files: one safetensors file, whose metadata say what was trained, on what, and how it is read.

Nothing is unpickled: an array is numbers and a fact is a string. One detector has one sequence of bytes, so that a
training can be checked by comparing files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError
from audiometry.models.adapters.common import needs_packages
from audiometry.tasks.corpora.spoof.equalisation import REVISED, REVISION, Level
from audiometry.tasks.metrics.calibration import AffineCalibration

__all__ = ["SavedDetector", "calibration_of", "find_weights", "load", "load_for", "save", "weights_file"]

KIND = "kind"
"""The metadata key of `SavedDetector.kind`; no fact may be called so."""

SHIPPED: Level = "E4"
"""Weights of this level carry the detector's name alone."""


@dataclass(frozen=True)
class SavedDetector:
    """A trained detector: its arrays by name, and facts about it.

    `kind` is the name under which such detectors are registered. `facts` hold at least `level`, `seed`, `corpus`,
    `slope` and `offset`: the affine calibration of the raw score, fitted on development trials. Those of a detector
    trained on `spoof-embedded` hold its `protocol` and the revision of its `equalisation` too.
    """

    kind: str
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, str]


def save(path: Path, detector: SavedDetector) -> None:
    """Write `detector` to `path`; the folder is made. The same detector gives the same bytes.

    Raises DataError for an array that holds NaN or infinity, or a fact called ``kind``.
    """
    from safetensors.numpy import save as serialise

    _check_finite(path, detector.arrays)
    if KIND in detector.facts:
        raise DataError(f"{path}: a fact may not be called {KIND!r}; rename it")
    content = serialise({name: np.ascontiguousarray(array) for name, array in detector.arrays.items()})
    length = int.from_bytes(content[:8], "little")
    # the library writes metadata in an order that changes from process to process; here it is sorted
    metadata = dict(sorted({KIND: detector.kind, **detector.facts}.items()))
    header = json.dumps({"__metadata__": metadata, **json.loads(content[8 : 8 + length])}, separators=(",", ":"))
    encoded = header.encode()
    encoded += b" " * (-len(encoded) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + content[8 + length :])


def load(path: Path, *, kind: str) -> SavedDetector:
    """Read the detector of that kind from `path`.

    Raises DataError if there is no such file, if it is no safetensors file or one of another kind, or if an array
    holds NaN or infinity.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise DataError(f"{path} does not exist; give a file that `audiometry train {kind}` wrote")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            found = metadata.pop(KIND, None)
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())} if found == kind else {}
    except (SafetensorError, OSError, TypeError) as error:
        raise DataError(
            f"{path} is not a whole safetensors file of numbers: {error}; train or copy it again"
        ) from error
    if found != kind:
        held = f"a detector {found!r}" if found else "no detector of this project"
        raise DataError(f"{path} holds {held}, not {kind!r}; give a file that `audiometry train {kind}` wrote")
    _check_finite(path, arrays)
    return SavedDetector(kind, arrays, metadata)


def weights_file(name: str, level: Level = SHIPPED) -> Path:
    """Where the package keeps the weights of the detector `name` trained at `level`, whether they are there or not.

    >>> weights_file("lfcc-gmm").name, weights_file("lfcc-gmm", "E0").name
    ('lfcc-gmm.safetensors', 'lfcc-gmm-E0.safetensors')
    """
    stem = name if level == SHIPPED else f"{name}-{level}"
    return Path(__file__).parent / "weights" / f"{stem}.safetensors"


def find_weights(name: str, level: Level, path: str = "") -> Path:
    """The file at `path`, or where that is empty the package's weights for `level`.

    Raises DataError, which names the command that makes the file, if it is not there.
    """
    file = Path(path).expanduser() if path else weights_file(name, level)
    if not file.is_file():
        made = f"`audiometry train {name} --level {level} --output FILE`"
        if path:
            raise DataError(f"model {name!r}, setting 'path': {path} does not exist; make it with {made}")
        raise DataError(
            f"model {name!r} comes without weights for level {level}; make them with {made}, and give path=FILE"
        )
    return file


def load_for(name: str, level: Level, path: str = "") -> SavedDetector:
    """The trained detector `name` from `path`, or where that is empty from the package's weights for `level`.

    Raises DataError as `find_weights` and `load` do, and for a detector that was trained at another level (the level
    stands in the model's name, and has to be true) or on another `spoof-embedded`. UserError if safetensors is not
    installed.
    """
    needs_packages(name, "spoof", ("safetensors",))
    file = find_weights(name, level, path)
    detector = load(file, kind=name)
    trained = detector.facts.get("level")
    if trained != level:
        raise DataError(f"{file} was trained at level {trained}, not {level}; give level={trained}, or train another")
    _check_embedded(file, detector)
    return detector


def _check_embedded(file: Path, detector: SavedDetector) -> None:
    """Raise DataError for one trained on `spoof-embedded` in another protocol, or equalised otherwise than now.

    Files that do not name their protocol are of the first one. Which equalisation they heard cannot be known, and is
    looked at for the levels that differ between revisions alone.
    """
    from audiometry.tasks.corpora.spoof.attacks import PROTOCOL
    from audiometry.tasks.corpora.spoof.plan import NAME

    if detector.facts.get("corpus") != NAME:
        return
    level = detector.facts.get("level", "")
    again = f"train it again with `audiometry train {detector.kind} --level {level} --output FILE`"
    protocol = detector.facts.get("protocol", "1")
    if protocol != PROTOCOL:
        raise DataError(f"{file} was trained on protocol {protocol} of {NAME}, and here is {PROTOCOL}; {again}")
    equalisation = detector.facts.get("equalisation")
    if level in REVISED and equalisation != REVISION:
        trained = f"was trained on equalisation {equalisation}" if equalisation else "does not tell its equalisation"
        raise DataError(f"{file} {trained}, and {level} of {NAME} is equalisation {REVISION} here; {again}")


def calibration_of(detector: SavedDetector) -> AffineCalibration:
    """The map from the detector's raw scores to log-likelihood ratios.

    Raises DataError if `slope` or `offset` is not there or not a finite number.
    """
    values = []
    for name in ("slope", "offset"):
        try:
            value = float(detector.facts[name])
        except (KeyError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise DataError(
                f"the trained {detector.kind!r} has no number {name!r} for its calibration; train it again with "
                f"`audiometry train {detector.kind}`"
            )
        values.append(value)
    return AffineCalibration(*values)


def _check_finite(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
            raise DataError(f"{path}: the array {name!r} holds NaN or infinity; train the detector again")
