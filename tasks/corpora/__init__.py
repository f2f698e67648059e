"""Readers of speech corpora. Importing this registers them."""

from audiometry.tasks.corpora import asterisk, manifest, non_speech, synthetic

__all__ = ["asterisk", "manifest", "non_speech", "synthetic"]
