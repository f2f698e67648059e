"""Models that people bring. Importing this registers them."""

from audiometry.models.adapters import controls, openai, outputs, pocketsphinx, transformers_asr, whisper

__all__ = ["controls", "openai", "outputs", "pocketsphinx", "transformers_asr", "whisper"]
