"""The alignment of reference and hypothesis: the edits are those of the word error rate, and every word is escaped."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

import jiwer
from hypothesis import given
from hypothesis import strategies as st

from audiometry.leaderboard.alignment import ALIGNMENT_STYLE, align_words, alignment_html, legend_html
from audiometry.tasks.metrics.transcription import count_words

WORDS = st.lists(st.sampled_from(["one", "two", "three", "four"]), max_size=12).map(" ".join)


class Reader(HTMLParser):
    """Collects tags and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1

    def handle_data(self, text: str) -> None:
        self.texts.append(text)


@given(WORDS.filter(bool), WORDS)
def test_the_edits_are_those_of_jiwer_and_of_the_word_error_rate(reference: str, hypothesis: str) -> None:
    measured = jiwer.process_words(reference, hypothesis)
    found = Counter(pair.edit for pair in align_words(reference, hypothesis))
    edits = (found["substitution"], found["deletion"], found["insertion"])
    assert edits == (measured.substitutions, measured.deletions, measured.insertions)
    counted = count_words([reference], [hypothesis])
    assert edits == (counted.substitutions[0], counted.deletions[0], counted.insertions[0])
    assert found["equal"] + found["substitution"] + found["deletion"] == len(reference.split())
    assert found["equal"] + found["substitution"] + found["insertion"] == len(hypothesis.split())


@given(WORDS, WORDS)
def test_nothing_is_lost(reference: str, hypothesis: str) -> None:
    pairs = align_words(reference, hypothesis)
    assert [pair.reference for pair in pairs if pair.reference is not None] == reference.split()
    assert [pair.hypothesis for pair in pairs if pair.hypothesis is not None] == hypothesis.split()


def test_marks_tell_the_edits_apart_without_colour() -> None:
    html = alignment_html("one two three four five six seven", "won two three five six then seven")
    reader = Reader(html)
    assert [text for text in reader.texts if text in ("S", "D", "I")] == ["S", "D", "I"]
    assert reader.tags["del"] == 2  # the word substituted and the word deleted
    assert reader.tags["ins"] == 2
    for edit in ("substitution", "deletion", "insertion"):
        assert f"am-{edit}" in html
        assert f".am-{edit} " in ALIGNMENT_STYLE
        assert f"am-{edit}" in legend_html()


def test_every_word_is_escaped() -> None:
    nasty = '<script>alert(1)</script> "><img/src=x/onerror=alert(1)> &amp;'
    for reference, hypothesis in ((nasty, nasty), (nasty, ""), ("", nasty), (nasty, "other words here")):
        reader = Reader(alignment_html(reference, hypothesis))
        assert set(reader.tags) <= {"div", "span", "bdi", "del", "ins", "small"}
        assert "<script>alert(1)</script>" in reader.texts
        assert "&amp;" in reader.texts  # as it was written, not read as an entity


def test_silence_says_so() -> None:
    assert "Nothing was said and nothing was written" in alignment_html("", " ")
