"""Readers of speech corpora. Importing this registers them."""

from audiometry.tasks.corpora import asterisk, manifest, synthetic

__all__ = ["asterisk", "manifest", "synthetic"]
