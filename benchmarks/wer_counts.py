"""Substitutions, deletions and insertions of 100,000 pairs: ours beside jiwer's `process_words`, one thread each.

Data: made-up sentences of 8 to 25 words with about 11 % errors, see `_sentences.py`. The counts of every pair are
compared. Times are the best of three rounds, the two taking turns.
"""

from __future__ import annotations

import argparse
import time

import jiwer
import numpy as np
from _sentences import make_pairs

from audiometry.tasks.metrics.transcription import EditCounts, count_words, word_error_rate

TAGS = ("equal", "substitute", "delete", "insert")


def counts_of(output: jiwer.WordOutput) -> EditCounts:
    counts = np.zeros((len(output.alignments), len(TAGS)), dtype=np.int64)
    for row, chunks in zip(counts, output.alignments, strict=True):
        for chunk in chunks:
            row[TAGS.index(chunk.type)] += max(
                chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx
            )
    return EditCounts(*counts.T)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="500,000 pairs in place of 100,000")
    pairs = 500_000 if parser.parse_args().full else 100_000
    references, hypotheses = make_pairs(pairs, written=False)
    ours, theirs = [], []
    for attempt in range(3):
        start = time.perf_counter()
        counts = count_words(references, hypotheses)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        output = jiwer.process_words(references, hypotheses)
        theirs.append(time.perf_counter() - start)
        if attempt == 0:
            expected = counts_of(output)
            for name in ("hits", "substitutions", "deletions", "insertions"):
                assert np.array_equal(getattr(counts, name), getattr(expected, name)), name
            print(f"equal counts for every pair; word error rate {word_error_rate(counts.pooled()):.4f}")
        del output
    print(
        f"word error counts of {pairs:,} pairs: audiometry {min(ours):.3f} s, jiwer process_words {min(theirs):.3f} s, "
        f"ratio {min(theirs) / min(ours):.2f}"
    )


if __name__ == "__main__":
    main()
