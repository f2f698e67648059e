"""What a run kept of every sample: its answer, how it was scored, and where its sound is."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Audio, Waveform

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EDITS", "LABELS", "SORTS", "answer_of", "counts_of", "read_parquet", "read_samples", "slices_of", "sort_samples",
    "sorts_of", "sound_of", "trial_facts", "waveform_of",
]  # fmt: skip

ARTEFACT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.wav")
"""How the engine names the sound that a model made; any other name is not opened."""

EDITS = ("substitutions", "deletions", "insertions")

TRIAL = ("score", "bona_fide", "failed")
"""Counts by which a trial of a detection task is known."""

TRIAL_COUNTS = {"error": "wrong at the Bayes threshold", "loss": "loss in bits (Cllr is its mean)"}

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
    "most wrong": "against",
    "highest error rate": "error_rate",
    "highest score": "score",
    "longest sound": "audio_seconds",
    "name": "sample_id",
}
"""Orders of the sample list, each with its column."""


def read_samples(folder: str, model: str, task: str) -> pd.DataFrame:
    """Every sample of one model on one task, from the run folder at `folder` (any fsspec path), by its name.

    Columns: sample_id, status, text, score, error, total_seconds, audio, audio_start, audio_end, audio_seconds,
    ``count.*``, ``slice.*``, ``detail.*``, cluster, stratum; `errors` and `error_rate` where words were counted; and
    `against` where trials were scored: the score, or for bona fide speech its negative, so that more is more wrong.

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
    if all(f"count.{name}" in samples for name in TRIAL):
        sign = 1.0 - 2.0 * samples["count.bona_fide"]
        failed = samples["count.failed"] > 0  # wrong at every threshold
        samples["against"] = (sign * samples["count.score"]).mask(failed, math.inf)
    return samples.sort_values("sample_id", kind="stable").reset_index(drop=True)


def slices_of(samples: pd.DataFrame) -> dict[str, list[str]]:
    """Values of every slice, by its name: ``{"gender": ["female", "male"]}``."""
    names = [name for name in samples.columns if name.startswith("slice.")]
    return {name.removeprefix("slice."): sorted(samples[name].dropna().unique()) for name in names}


def counts_of(sample: pd.Series) -> dict[str, float]:
    """Counts of one sample: those of words, then of characters, by `LABELS`, then any others by their names. Of a trial
    only what `trial_facts` does not tell.
    """
    names = [str(name).removeprefix("count.") for name in sample.index if str(name).startswith("count.")]
    if set(TRIAL) <= set(names):
        return {label: float(sample[f"count.{name}"]) for name, label in TRIAL_COUNTS.items() if name in names}
    order = [*(name for name in LABELS if name in names), *(name for name in names if name not in LABELS)]
    counts = {LABELS.get(name, name): float(sample[f"count.{name}"]) for name in order}
    return {label: count for label, count in counts.items() if not math.isnan(count)}


def trial_facts(sample: pd.Series, samples: pd.DataFrame) -> dict[str, str]:
    """What a detector made of one trial: what it was, its score, and how many trials of the other class lie on its
    wrong side. Nothing for a sample that is no trial.

    `samples` are all of the model's on the task (`read_samples`).
    """
    if any(f"count.{name}" not in sample for name in TRIAL):
        return {}
    bona_fide = sample["count.bona_fide"] > 0
    attack = sample.get("detail.attack") or "unnamed attack"
    facts = {"what it was": "bona fide" if bona_fide else f"spoof: {attack}"}
    if sample["count.failed"] > 0:
        return facts | {"score": "none: failed, so wrong at every threshold"}
    others = samples[(samples["count.bona_fide"] > 0) != bona_fide]
    wrong = (
        others["count.score"] >= sample["count.score"] if bona_fide else others["count.score"] <= sample["count.score"]
    )
    share = f"{100 * float(wrong.mean()):.0f} %" if len(others) else "–"
    facts["score (higher: more bona fide)"] = f"{sample['count.score']:.4g}"
    facts["of all spoofs, scored as high" if bona_fide else "of all bona fide, scored as low"] = share
    return facts


def sorts_of(samples: pd.DataFrame) -> list[str]:
    """The orders that these samples can be put in, the most telling first."""
    return [order for order, key in SORTS.items() if key in samples and samples[key].notna().any()]


def sort_samples(samples: pd.DataFrame, order: str) -> pd.DataFrame:
    """`samples` in one of the orders of `sorts_of`, ties by name."""
    key = SORTS[order]
    return samples.sort_values(key, ascending=key == "sample_id", kind="stable")


def sound_of(sample: pd.Series) -> bytes | None:
    """`waveform_of`, as a WAV file's bytes."""
    from audiometry.benchmark.audio import encode_wav

    waveform = waveform_of(sample)
    return None if waveform is None else encode_wav(waveform)


def waveform_of(sample: pd.Series) -> Waveform | None:
    """The sample's sound: the span of the file that the run names. None if it had none.

    Transforms that the task applied are not in it. Raises AudioError if the file cannot be read.
    """
    from audiometry.benchmark.audio import read

    path = sample.get("audio")
    if not isinstance(path, str):
        return None
    start, end = sample.get("audio_start"), sample.get("audio_end")
    return read(Audio(path, _known(start) or 0.0, _known(end)))


def answer_of(sample: pd.Series) -> Waveform | None:
    """The sound that the model made, from the artefacts of this machine (by the SHA-256 that the run names). None if it
    made none, or it was not kept.

    Raises AudioError if it is there and cannot be read.
    """
    from audiometry.benchmark import paths
    from audiometry.benchmark.audio import read_file

    name = sample.get("audio_out")
    if not isinstance(name, str) or ARTEFACT.fullmatch(name) is None:
        return None
    path = paths.home() / "artefacts" / name
    return read_file(path) if path.is_file() else None


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
