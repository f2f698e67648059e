"""Models that people bring. Importing this registers them."""

from audiometry.models.adapters import controls, outputs, pocketsphinx, transformers_asr, whisper

__all__ = ["controls", "outputs", "pocketsphinx", "transformers_asr", "whisper"]
