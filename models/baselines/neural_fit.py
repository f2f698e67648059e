"""What the trained networks share: settings from names and values, weights in and out, the calibrated answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.specs import convert_settings
from audiometry.benchmark.types import FloatArray
from audiometry.models.baselines.saved import SavedDetector

if TYPE_CHECKING:
    from torch import nn

    from audiometry.models.baselines.training import Trained
    from audiometry.models.baselines.trial_data import TrialData

__all__ = ["LARGEST", "by_length", "check_size", "finished", "network_settings", "put_weights", "split_settings"]

LARGEST = 1_000_000
"""Parameters that a detector trained here may have."""

Settings = TypeVar("Settings")


def split_settings(owner: str, given: Mapping[str, Any], defaults: Sequence[Any]) -> list[Any]:
    """The dataclasses `defaults`, each with those of the `given` settings that it has; texts are converted.

    Raises SettingError for a setting that none of them has, or that cannot be converted.
    """
    names = [{one.name for one in fields(default)} for default in defaults]
    unknown = [name for name in given if not any(name in known for known in names)]
    if unknown:
        takes = ", ".join(sorted(set().union(*names)))
        raise SettingError(f"training of {owner!r} takes no setting {unknown[0]!r}; it takes: {takes}")
    made = []
    for default, known in zip(defaults, names, strict=True):
        mine = {name: value for name, value in given.items() if name in known}
        texts = [(name, value) for name, value in mine.items() if isinstance(value, str)]
        converted = convert_settings(type(default), texts, f"training of {owner!r}")
        made.append(type(default)(**{**_values(default), **mine, **converted}))
    return made


def _values(settings: Any) -> dict[str, Any]:
    return {one.name: getattr(settings, one.name) for one in fields(settings)}


def check_size(owner: str, network: nn.Module) -> int:
    """The number of trained parameters of `network`.

    Raises SettingError for more than a million.
    """
    size = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    if size > LARGEST:
        raise SettingError(f"{owner}: {size} parameters are more than {LARGEST}; give settings of a smaller network")
    return size


def by_length(arrays: Sequence[NDArray[np.float32]], most: int) -> list[NDArray[np.int64]]:
    """Numbers of arrays that can be stacked: neighbours of one shape, at most `most` together, in order.

    >>> [group.tolist() for group in by_length([np.zeros(2), np.zeros(2), np.zeros(3)], 8)]
    [[0, 1], [2]]
    """
    groups: list[list[int]] = []
    for number, array in enumerate(arrays):
        if groups and len(groups[-1]) < most and arrays[groups[-1][0]].shape == array.shape:
            groups[-1].append(number)
        else:
            groups.append([number])
    return [np.array(group) for group in groups]


def finished(
    kind: str,
    trained: Trained,
    network: Any,
    scores: FloatArray,
    development: TrialData,
    facts: Mapping[str, str],
    report: Callable[[str], None],
) -> SavedDetector:
    """The trained detector with its network's settings, calibrated by its raw `scores` of the development trials."""
    from audiometry.models.baselines.waveform_scores import calibrated_by

    told = {**trained.facts, "network": json.dumps(asdict(network), sort_keys=True), **facts}
    return calibrated_by(SavedDetector(kind, trained.weights, told), scores, development, report)


def network_settings(detector: SavedDetector, kind: type[Settings]) -> Settings:
    """The settings of the network that `detector` was trained with.

    Raises DataError if they are not there or are not those of this version.
    """
    try:
        return kind(**json.loads(detector.facts["network"]))
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"the trained {detector.kind!r} has no settings of its network that this version knows ({error}); "
            f"train it again with `audiometry train {detector.kind}`"
        ) from error


def put_weights(detector: SavedDetector, network: nn.Module) -> None:
    """Give `network` the weights of `detector`.

    Raises DataError if a weight is missing, one is too many, or a shape differs.
    """
    import torch

    state = {name: torch.from_numpy(np.array(value)) for name, value in detector.arrays.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"the trained {detector.kind!r} does not fit its network: {reason}; train it again with "
            f"`audiometry train {detector.kind}`"
        ) from error
    network.eval()
