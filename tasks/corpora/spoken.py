"""Corpora of texts written here and spoken on the user's machine by one packaged neural voice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from audiometry.tasks.corpora.making import HIBARI, hibari_speaker, no_source, package_versions, write_clip
from audiometry.tasks.corpora.prepared import Built, PreparedCorpus, Report

__all__ = ["LICENCE", "spoken_corpus"]

LICENCE = "Apache-2.0"


def spoken_corpus(name: str, texts: Callable[[], Iterable[tuple[str, str]]]) -> PreparedCorpus:
    """A corpus of `texts` (the clip's name, what is said), in the voice ``heart`` of hibari-tts; marked synthetic.

    The noise in the voice is seeded by the text's place, so that it repeats.
    """

    def build(folder: Path, source: str | None, report: Report) -> Built:
        no_source(name, source)
        speak = hibari_speaker(name)
        said = list(texts())
        report(f"speaking {len(said)} texts")
        facts = {"speaker": HIBARI, "language": "en", "gender": "female", "licence": LICENCE}
        clips = [
            write_clip(folder, name, clip, speak(text, seed), text=text, **facts)
            for seed, (clip, text) in enumerate(said)
        ]
        return Built(clips, origin=package_versions("hibari-tts", "onnxruntime"))

    return PreparedCorpus(
        name=name,
        language="en",
        licence=LICENCE,
        citation="spoken by the hibari-tts voice heart (distilled from Kokoro-82M)",
        build=build,
        synthetic=True,
        notes=("synthetic speech",),
        slices={"speech": "synthetic"},
    )
