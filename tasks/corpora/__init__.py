"""Readers of speech corpora. Importing this registers them."""

from audiometry.tasks.corpora import asterisk

__all__ = ["asterisk"]
