"""`synthetic-en`: sentences spoken by a packaged neural voice, for machines without the recordings' package client.

Numbers on it say how a model does on that one synthetic voice; ``synthetic speech`` is noted wherever they are shown.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from audiometry.benchmark.audio import encode_wav
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.prepared import Built, Clip, PreparedCorpus, Report, sha256_of
from audiometry.tasks.corpora.sentences import SENTENCES

__all__ = ["synthetic_en"]

VOICE = "heart"
LICENCE = "Apache-2.0"


@corpus("synthetic-en", needs="synthetic", language="en", licence=LICENCE, package="hibari-tts", speech="synthetic")
def synthetic_en() -> PreparedCorpus:
    """Synthetic English: 120 sentences spoken by one neural voice, for machines without the recordings."""
    return PreparedCorpus(
        name="synthetic-en",
        language="en",
        licence=LICENCE,
        citation="spoken by the hibari-tts voice heart (distilled from Kokoro-82M)",
        build=_speak,
        synthetic=True,
        notes=("synthetic speech",),
        slices={"speech": "synthetic"},
    )


def _speak(folder: Path, source: str | None, report: Report) -> Built:
    """Speak every sentence. The noise in the voice is seeded by the sentence's place, so that it repeats."""
    if source is not None:
        raise DataError("corpus 'synthetic-en' is spoken on this machine; leave out --source")
    try:
        import hibari
    except ImportError as error:
        raise DataError(
            f"corpus 'synthetic-en' needs the package hibari-tts ({error}); "
            "install it with: pip install 'audiometry[synthetic]'"
        ) from error
    speak = hibari.Hibari(voice=VOICE)
    sentences = [
        (f"{kind}-{number:02d}", text) for kind, texts in SENTENCES.items() for number, text in enumerate(texts, 1)
    ]
    report(f"speaking {len(sentences)} sentences")
    (folder / "audio").mkdir()
    clips = []
    for seed, (name, text) in enumerate(sentences):
        spoken = Waveform(speak(text, seed=seed), hibari.SAMPLE_RATE)
        file = folder / "audio" / f"{name}.wav"
        file.write_bytes(encode_wav(spoken))
        clips.append(
            Clip(
                id=f"synthetic-en/{name}",
                file=file.relative_to(folder).as_posix(),
                sha256=sha256_of(file),
                bytes=file.stat().st_size,
                seconds=spoken.seconds,
                text=text,
                speaker=f"hibari-{VOICE}",
                language="en",
                gender="female",
                licence=LICENCE,
            )
        )
    return Built(clips, origin={"hibari-tts": version("hibari-tts"), "onnxruntime": version("onnxruntime")})
