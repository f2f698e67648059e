"""What is measured: metrics, corpora and one file per task family. Importing this registers tasks and corpora."""

from audiometry.tasks import corpora, hallucination, recognition

__all__ = ["corpora", "hallucination", "recognition"]
