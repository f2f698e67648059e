"""Models that people bring. Importing this registers them."""

from audiometry.models.adapters import (
    audiocraft,
    controls,
    openai,
    outputs,
    pocketsphinx,
    process,
    python_class,
    talking,
    transformers_asr,
    transformers_audio_llm,
    whisper,
)

__all__ = [
    "audiocraft",
    "controls",
    "openai",
    "outputs",
    "pocketsphinx",
    "process",
    "python_class",
    "talking",
    "transformers_asr",
    "transformers_audio_llm",
    "whisper",
]
