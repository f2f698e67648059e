"""Whisper's English normalisation of both sides, then counting: ours beside whisper-normalizer and jiwer, one thread.

Data: made-up sentences of 8 to 25 words with capitals, punctuation, contractions, numbers, titles and about 11 %
errors, see `_sentences.py`. Ours starts each round with nothing remembered. Every normalised string and the total
counts are compared. Times are of one round, or the best of three with `--full`.
"""

from __future__ import annotations

import argparse
import time

import jiwer
from _sentences import make_pairs
from whisper_normalizer.english import EnglishTextNormalizer

from audiometry.tasks.metrics.normalise_english import english_normaliser
from audiometry.tasks.metrics.transcription import count_words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="100,000 pairs three times, in place of 50,000 once")
    full = parser.parse_args().full
    pairs = 100_000 if full else 50_000
    references, hypotheses = make_pairs(pairs, written=True)
    public = EnglishTextNormalizer()
    ours, theirs = [], []
    for _ in range(3 if full else 1):
        start = time.perf_counter()
        normalise = english_normaliser()
        our_references, our_hypotheses = list(map(normalise, references)), list(map(normalise, hypotheses))
        normalised = time.perf_counter() - start
        counts = count_words(our_references, our_hypotheses).pooled()
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        their_references, their_hypotheses = list(map(public, references)), list(map(public, hypotheses))
        their_normalised = time.perf_counter() - start
        output = jiwer.process_words(their_references, their_hypotheses)
        theirs.append(time.perf_counter() - start)
        assert our_references == their_references
        assert our_hypotheses == their_hypotheses
        assert (counts.hits, counts.substitutions, counts.deletions, counts.insertions) == (
            output.hits, output.substitutions, output.deletions, output.insertions,
        )  # fmt: skip
        del output
    lines = 2 * pairs
    print(
        f"{lines:,} equal strings; normalising alone: audiometry {1e6 * normalised / lines:.1f} µs a line, "
        f"whisper-normalizer {1e6 * their_normalised / lines:.1f} µs a line"
    )
    print(
        f"normalising and counting {pairs:,} pairs: audiometry {min(ours):.3f} s, "
        f"whisper-normalizer and jiwer {min(theirs):.3f} s, ratio {min(theirs) / min(ours):.2f}"
    )


if __name__ == "__main__":
    main()
