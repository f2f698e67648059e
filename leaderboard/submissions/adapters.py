"""Which adapters a submission may name, and which of their settings it may set.

It is a list of what is let in: each adapter on it reads files and nothing else. It runs no program, imports no code,
reaches no network and builds no other model by name. What is registered and not listed is refused, with a reason of
its own where one is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audiometry.benchmark.registry import MODELS
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.manifest import Manifest

__all__ = ["ADMITTED", "Admitted", "admitted"]


@dataclass(frozen=True)
class Admitted:
    """An adapter that is let in: the setting that names its files, and the formats that it reads.

    `weights` is None for a model whose weights come with its package. `file_bytes` bounds each file where the adapter
    reads it whole into memory when it checks its settings.
    """

    weights: str | None
    formats: tuple[str, ...] = ()
    file_bytes: int | None = None


_TRANSFORMERS = ("safetensors", "json", "text", "template", "sentencepiece")
_DETECTOR = Admitted("path", ("safetensors",), file_bytes=256 * 2**20)

ADMITTED: Mapping[str, Admitted] = {
    "whisper": Admitted("model", ("ctranslate2", "json", "text")),
    "transformers-asr": Admitted("path", _TRANSFORMERS),
    "transformers-audio-llm": Admitted("path", _TRANSFORMERS),
    **dict.fromkeys(
        ("aasist", "aasist-l", "envelope-trees", "lfcc-gmm", "lfcc-lcnn", "whisper-encoder-head"), _DETECTOR
    ),
    "pocketsphinx": Admitted(None),
}

REFUSED: Mapping[str, str] = {
    "process": "it runs a program, and a submission's code is never run",
    "python": "it imports Python code, and a submission's code is never run",
    "audiocraft": "it runs a program of its own, which loads pickled weights",
    "flite": "it runs a program that a setting names",
    "openai": "it reaches the network, and submissions run without one",
    "outputs": "it replays answers, and so nothing is verified; import them as self-reported",
    "score-file": "it replays scores, and so nothing is verified; import them as self-reported",
    "front-end": "it builds the model that a setting names",
    "via-transcript": "it builds the model that a setting names",
    "embedding-pair": "it builds the model that a setting names",
    "spoof-fusion": "its weights name other models, which would be built",
}  # fmt: skip

WORKERS_OWN = ("threads", "device", "label")
"""Settings that the worker chooses, or that would show another name than the submission's."""


def admitted(manifest: Manifest) -> Admitted:
    """What is known of the manifest's adapter.

    Raises UnknownNameError for one that nobody registered, SubmissionError for one that a submission may not use, or
    for a setting that is not the submitter's to choose or names a path where none is read.
    """
    name = manifest.adapter
    entry = MODELS.get(name)
    if name not in ADMITTED:
        known = REFUSED.get(name)
        reason = known or ("it is a control" if entry.control else "it takes no checkpoint that is checked here")
        raise SubmissionError(
            f"adapter {name!r} is not for submissions: {reason}; a submission may use {', '.join(sorted(ADMITTED))}"
        )
    found = ADMITTED[name]
    for setting, value in manifest.settings.items():
        if setting.replace("-", "_") in WORKERS_OWN:
            raise SubmissionError(f"setting {setting!r} is not the submitter's to choose; leave it out")
        inside = isinstance(value, str) and value.startswith("./")
        if setting != found.weights and inside:
            raise SubmissionError(f"setting {setting!r} of {name!r} is not a path; only {found.weights!r} is one")
        if setting == found.weights and not inside:
            raise SubmissionError(f"setting {setting!r} must be a path inside the folder that begins with './'")
    if found.weights is not None and found.weights not in manifest.settings:
        raise SubmissionError(
            f"adapter {name!r} needs the setting {found.weights!r}, the path of the checkpoint: "
            f"`{found.weights}: ./` is the folder itself"
        )
    return found
