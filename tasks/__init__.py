"""What is measured: metrics, corpora and one file per task family. Importing this registers tasks and corpora."""

from audiometry.tasks import (
    bias,
    code_switching,
    corpora,
    diarisation,
    disfluency,
    entities,
    formatting,
    hallucination,
    intent,
    multilingual,
    question_answering,
    recognition,
)

__all__ = [
    "bias",
    "code_switching",
    "corpora",
    "diarisation",
    "disfluency",
    "entities",
    "formatting",
    "hallucination",
    "intent",
    "multilingual",
    "question_answering",
    "recognition",
]
