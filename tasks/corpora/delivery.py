"""Speaking rate and pitch of a corpus' utterances, measured on the sound, in thirds; kept under the home folder."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.paths import home
from audiometry.benchmark.types import Audio, FloatArray
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.metrics.intonation import delivered

__all__ = ["articulation_rates", "delivery_groups", "median_pitches"]

VERSION = "1"
"""Of the measurement: another one is measured anew."""

NAMES = {"rate": ("slow", "medium", "fast"), "pitch": ("low", "middle", "high")}


def delivery_groups(
    utterances: Sequence[Utterance], facts: Sequence[str], speakers: Sequence[str]
) -> list[dict[str, str]]:
    """The group of each utterance by `rate`, `pitch` or both: {fact: group}; what cannot be measured has none.

    Groups are thirds of the utterances given, by the median of all that have the same label in `speakers` (one for
    each utterance): a fast speaker is fast throughout, and no speaker is in two groups. `rate` is in phonemes a
    second, in thirds of each language, as languages differ in how many they speak; `pitch` is the median fundamental
    frequency, in thirds of all.

    Raises UserError if `rate` is asked for and espeakng-loader, which knows the phonemes, is not installed.
    """
    values: dict[str, FloatArray] = {}
    if "rate" in facts:
        rates = articulation_rates(utterances)
        values["rate"] = _ranks(_medians(rates, speakers), [one.language for one in utterances])
    if "pitch" in facts:
        values["pitch"] = _ranks(_medians(median_pitches(utterances), speakers), [""] * len(utterances))
    return [
        {fact: NAMES[fact][int(ranks[place] * 3)] for fact, ranks in values.items() if ranks[place] >= 0}
        for place in range(len(utterances))
    ]


def articulation_rates(utterances: Sequence[Utterance]) -> FloatArray:
    """Phonemes of the transcript a second of speech, silence before and after left out; shape (utterances,).

    NaN where the sound cannot be read or is silent, the text has no phoneme, or espeak-ng does not know the language.

    Raises UserError if espeakng-loader is not installed.
    """
    from audiometry.benchmark.errors import UnknownNameError
    from audiometry.tasks.metrics.phonemes import phonemes

    counts = np.full(len(utterances), np.nan)
    for language in sorted({one.language for one in utterances if one.language}):
        places = [place for place, one in enumerate(utterances) if one.language == language]
        with suppress(UnknownNameError):
            said = phonemes([utterances[place].text for place in places], language)
            counts[places] = [len(one) or math.nan for one in said]
    seconds = np.array([facts[1] for facts in _measured(utterances)])
    return np.asarray(np.divide(counts, seconds, out=np.full(len(utterances), np.nan), where=seconds > 0))


def median_pitches(utterances: Sequence[Utterance]) -> FloatArray:
    """Median fundamental frequency of each utterance in Hz, shape (utterances,); NaN without a voice."""
    return np.array([facts[0] for facts in _measured(utterances)])


def _medians(values: FloatArray, labels: Sequence[str]) -> FloatArray:
    """Each value replaced by the median of those with its label; NaN where none of them is a number."""
    found = np.full(len(values), np.nan)
    codes = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        known = values[places][np.isfinite(values[places])]
        if len(known):
            found[places] = np.median(known)
    return found


def _ranks(values: FloatArray, apart: Sequence[str]) -> FloatArray:
    """Share of values that are smaller, 0 to below 1, among those with the same label; -1 for NaN."""
    ranks = np.full(len(values), -1.0)
    labels = np.asarray(apart, dtype=np.str_)
    for label in np.unique(labels):
        places = np.flatnonzero((labels == label) & np.isfinite(values))
        ordered = np.sort(values[places])
        ranks[places] = np.searchsorted(ordered, values[places], side="left") / max(len(places), 1)
    return ranks


def _measured(utterances: Sequence[Utterance]) -> list[tuple[float, float]]:
    """(median pitch, seconds of speech) of each, from what was kept or from the sound; NaN and 0 for no sound."""
    place = home() / "measured" / f"delivery-{VERSION}.json"
    kept = _load(place)
    found: list[tuple[float, float]] = []
    fresh = False
    for one in utterances:
        key = _key(one.audio)
        if key not in kept:
            kept[key], fresh = _measure(one.audio), True
        pitch, seconds = kept[key]
        found.append((math.nan if pitch is None else pitch, seconds or 0.0))
    if fresh:
        _keep(place, kept)
    return found


def _measure(audio: Audio) -> list[float | None]:
    try:
        said = delivered(read(audio))
    except AudioError:  # the sample's own error, on the worker; here it has no group
        return [None, 0.0]
    return [None if math.isnan(said.pitch) else round(said.pitch, 3), round(said.seconds, 4)]


def _key(audio: Audio) -> str:
    """What decides the sound: the file's content (or its path, size and time), span and transforms."""
    content = audio.digest
    if content is None:
        with suppress(OSError):
            known = Path(audio.path).stat()
            content = f"{audio.path} {known.st_size} {known.st_mtime_ns}"
    return f"{content or audio.path} {audio.start:g} {audio.end} {audio.transforms or ''}"


def _load(place: Path) -> dict[str, list[float | None]]:
    """What was kept; nothing where there is no file, or one that is damaged: it is measured again."""
    try:
        kept: Mapping[str, list[float | None]] = json.loads(place.read_text(encoding="utf-8"))
        return {key: [pitch, seconds] for key, (pitch, seconds) in kept.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _keep(place: Path, kept: Mapping[str, Sequence[float | None]]) -> None:
    """Write by one rename. A home that cannot be written to costs time, not the result."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=place.parent, prefix=".delivery-", suffix=".json", delete=False, encoding="utf-8"
        ) as file:
            json.dump(kept, file)
        os.replace(file.name, place)  # noqa: PTH105  (atomic, over what is there)
