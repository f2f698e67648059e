"""`long-form-en`: an hour of English prompts stitched together with pauses, one recording.

The prompts of `asterisk-en`, each at its own level, in a seeded order with pauses between them; when all have been
used, they come again in another order. The hour is made of twelve parts of exactly five minutes that begin and end in
a pause, so that a part is a span of the file, and its text a line of the transcript.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import read, resample
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.seeds import derive_seed
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.prepared import Built, Clip, PreparedCorpus, Report, sha256_of
from audiometry.tasks.corpora.utterance import Utterance, load_corpus

__all__ = ["PARTS", "PART_SECONDS", "long_form_en", "stitch"]

SOURCE = "asterisk-en"
LICENCE = "CC-BY-SA-3.0"
RATE = 16_000
PARTS = 12
PART_SECONDS = 300
PAUSES = (0.3, 3.0)
"""Seconds of silence between two prompts, from … to, drawn evenly."""


@corpus("long-form-en", language="en", licence=LICENCE, package="asterisk-core-sounds-en-g722")
def long_form_en() -> PreparedCorpus:
    """An hour of English prompts with pauses in one recording, stitched from asterisk-en."""
    return PreparedCorpus(
        name="long-form-en",
        language="en",
        licence=LICENCE,
        citation="Allison Smith's prompts for Asterisk, stitched",
        build=_build,
        notes=("stitched from short prompts",),
    )


def stitch(utterances: Sequence[Utterance], *, parts: int, seconds: int) -> Iterator[tuple[Waveform, str]]:
    """Parts of exactly `seconds` each: prompts with pauses, then silence up to the end; and the words of each part.

    Raises DataError if a prompt is too long for any part.
    """
    generator = np.random.default_rng(derive_seed(0, "long-form", *(one.id for one in utterances)))
    order = _endless(utterances, generator, seconds)
    following = next(order)
    for _ in range(parts):
        sound: list[NDArray[np.float32]] = []
        texts: list[str] = []
        left = seconds * RATE
        while True:
            pause = round(generator.uniform(*PAUSES) * RATE)
            clip = resample(read(following.audio), RATE).samples
            if pause + len(clip) > left:
                break
            sound += [np.zeros(pause, np.float32), clip]
            texts.append(" ".join(following.text.split()))
            left -= pause + len(clip)
            following = next(order)
        yield Waveform(np.concatenate([*sound, np.zeros(left, np.float32)]), RATE), " ".join(texts)


def _endless(utterances: Sequence[Utterance], generator: np.random.Generator, seconds: int) -> Iterator[Utterance]:
    longest = max((one.audio.seconds or 0.0 for one in utterances), default=0.0)
    if not utterances or longest + PAUSES[1] > seconds:
        raise DataError(f"long form: prompts of up to {longest:.1f} s do not fit into parts of {seconds} s")
    while True:
        for place in generator.permutation(len(utterances)):
            yield utterances[place]


def _build(folder: Path, source: str | None, report: Report) -> Built:
    import soundfile

    if source is not None:
        raise DataError(f"corpus 'long-form-en' is made from {SOURCE!r}; prepare that, and leave out --source")
    utterances = load_corpus(SOURCE)
    report(f"stitching {PARTS * PART_SECONDS // 60} minutes")
    (folder / "audio").mkdir()
    file = folder / "audio" / "hour.wav"
    texts = []
    with soundfile.SoundFile(file, "w", samplerate=RATE, channels=1, subtype="PCM_16") as stream:
        for part, text in stitch(utterances, parts=PARTS, seconds=PART_SECONDS):
            stream.write(part.samples)
            texts.append(text)
    first = utterances[0]
    clip = Clip(
        id="long-form-en/hour",
        file="audio/hour.wav",
        sha256=sha256_of(file),
        bytes=file.stat().st_size,
        seconds=float(PARTS * PART_SECONDS),
        text="\n".join(texts),
        speaker=first.speaker,
        language="en",
        gender=first.gender,
        licence=LICENCE,
    )
    return Built([clip], origin={"corpus": SOURCE, "soundfile": version("soundfile")})
