"""Whisper's English normalisation of both sides, then counting: ours beside whisper-normalizer and jiwer, one thread.

Data: made-up sentences of 8 to 25 words with capitals, punctuation, contractions, numbers, titles and about 11 %
errors, see `_sentences.py`. The two take turns every 5,000 pairs, so that what else the machine does meets both. Ours
starts with nothing remembered. Every normalised string and the counts of each turn are compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import jiwer
from _sentences import make_pairs
from whisper_normalizer.english import EnglishTextNormalizer

from audiometry.tasks.metrics.normalise_english import english_normaliser
from audiometry.tasks.metrics.transcription import count_words

TURN = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="100,000 pairs in place of 50,000")
    pairs = 100_000 if parser.parse_args().full else 50_000
    references, hypotheses = make_pairs(pairs, written=True)
    public, normalise = EnglishTextNormalizer(), english_normaliser()
    ours = theirs = ours_normalising = theirs_normalising = 0.0
    for begin in range(0, pairs, TURN):
        turn = slice(begin, begin + TURN)
        start = time.perf_counter()
        our_references, our_hypotheses = map_both(normalise, references[turn], hypotheses[turn])
        normalised = time.perf_counter()
        counts = count_words(our_references, our_hypotheses).pooled()
        ours += time.perf_counter() - start
        ours_normalising += normalised - start
        start = time.perf_counter()
        their_references, their_hypotheses = map_both(public, references[turn], hypotheses[turn])
        normalised = time.perf_counter()
        output = jiwer.process_words(their_references, their_hypotheses)
        theirs += time.perf_counter() - start
        theirs_normalising += normalised - start
        assert our_references == their_references
        assert our_hypotheses == their_hypotheses
        assert (counts.hits, counts.substitutions, counts.deletions, counts.insertions) == (
            output.hits, output.substitutions, output.deletions, output.insertions,
        )  # fmt: skip
    lines = 2 * pairs
    print(
        f"{lines:,} equal strings; normalising alone: audiometry {1e6 * ours_normalising / lines:.1f} µs a line, "
        f"whisper-normalizer {1e6 * theirs_normalising / lines:.1f} µs a line"
    )
    print(
        f"normalising and counting {pairs:,} pairs: audiometry {ours:.3f} s, "
        f"whisper-normalizer and jiwer {theirs:.3f} s, ratio {theirs / ours:.2f}"
    )


def map_both(change: Callable[[str], str], references: list[str], hypotheses: list[str]) -> tuple[list[str], list[str]]:
    return list(map(change, references)), list(map(change, hypotheses))


if __name__ == "__main__":
    main()
