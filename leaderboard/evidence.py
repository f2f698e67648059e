"""What a run kept of every sample: its answer, how it was scored, and where its sound is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Audio

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EDITS", "LABELS", "SORTS", "counts_of", "read_parquet", "read_samples", "slices_of", "sort_samples", "sorts_of",
    "sound_of",
]  # fmt: skip

EDITS = ("substitutions", "deletions", "insertions")

LABELS = {
    f"{prefix}{name}": label
    for prefix, unit in (("", "words"), ("character_", "characters"))
    for name, label in {
        "errors": f"wrong {unit}",
        "substitutions": f"{unit} substituted",
        "deletions": f"{unit} deleted",
        "insertions": f"{unit} inserted",
        "hits": f"{unit} right",
        "reference": f"{unit} said",
    }.items()
}
"""What counts of words and characters are called on the page, in its order."""

SORTS = {
    "most errors": "errors",
    "highest error rate": "error_rate",
    "highest score": "score",
    "longest sound": "audio_seconds",
    "name": "sample_id",
}
"""Orders of the sample list, each with its column."""


def read_samples(folder: str, model: str, task: str) -> pd.DataFrame:
    """Every sample of one model on one task, from the run folder at `folder` (any fsspec path), by its name.

    Columns: sample_id, status, text, score, error, total_seconds, audio, audio_start, audio_end, audio_seconds,
    ``count.*``, ``slice.*``, ``detail.*``, cluster, stratum, and `errors` and `error_rate` where words were counted.

    Raises DataError if the folder is gone or holds no such evidence.
    """
    outputs = read_parquet(f"{folder}/outputs.parquet", model, task)
    scores = read_parquet(f"{folder}/scores.parquet", model, task)
    outputs = outputs.drop(columns=["model", "task", "status"])
    samples = scores.drop(columns=["model", "task"]).merge(outputs, on="sample_id", validate="one_to_one")
    if all(f"count.{edit}" in samples for edit in EDITS):
        samples["errors"] = samples[[f"count.{edit}" for edit in EDITS]].sum(axis="columns")
        said = samples["count.hits"] + samples["count.substitutions"] + samples["count.deletions"]
        samples["error_rate"] = samples["errors"] / said.clip(lower=1)
    return samples.sort_values("sample_id", kind="stable").reset_index(drop=True)


def slices_of(samples: pd.DataFrame) -> dict[str, list[str]]:
    """Values of every slice, by its name: ``{"gender": ["female", "male"]}``."""
    names = [name for name in samples.columns if name.startswith("slice.")]
    return {name.removeprefix("slice."): sorted(samples[name].dropna().unique()) for name in names}


def counts_of(sample: pd.Series) -> dict[str, float]:
    """Counts of one sample: those of words, then of characters, by `LABELS`, then any others by their names."""
    names = [str(name).removeprefix("count.") for name in sample.index if str(name).startswith("count.")]
    order = [*(name for name in LABELS if name in names), *(name for name in names if name not in LABELS)]
    counts = {LABELS.get(name, name): float(sample[f"count.{name}"]) for name in order}
    return {label: count for label, count in counts.items() if not math.isnan(count)}


def sorts_of(samples: pd.DataFrame) -> list[str]:
    """The orders that these samples can be put in, the most telling first."""
    return [order for order, key in SORTS.items() if key in samples and samples[key].notna().any()]


def sort_samples(samples: pd.DataFrame, order: str) -> pd.DataFrame:
    """`samples` in one of the orders of `sorts_of`, ties by name."""
    key = SORTS[order]
    return samples.sort_values(key, ascending=key == "sample_id", kind="stable")


def sound_of(sample: pd.Series) -> bytes | None:
    """The sample's sound as a WAV file's bytes: the span of the file that the run names. None if it had none.

    Transforms that the task applied are not in it. Raises AudioError if the file cannot be read.
    """
    from audiometry.benchmark.audio import encode_wav, read

    path = sample.get("audio")
    if not isinstance(path, str):
        return None
    start, end = sample.get("audio_start"), sample.get("audio_end")
    return encode_wav(read(Audio(path, _known(start) or 0.0, _known(end))))


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None


def read_parquet(path: str, model: str, task: str) -> pd.DataFrame:
    """The rows of one model on one task in a Parquet file of a run folder, at any fsspec path.

    Raises DataError, naming the mend, if there is no such file or it cannot be read.
    """
    import fsspec
    import pyarrow.parquet as pq

    try:
        with fsspec.open(path, "rb") as file:
            frame: pd.DataFrame = pq.read_table(file, filters=[("model", "=", model), ("task", "=", task)]).to_pandas()
    except (OSError, ValueError, ImportError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"cannot read {path}: {reason}; put the run's folder back, or run it again") from error
    return frame
