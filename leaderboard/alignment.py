"""Reference against hypothesis, word by word, as HTML that can be read without colour.

The edits are those of a smallest Levenshtein distance between words, as in the word error rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

__all__ = ["ALIGNMENT_STYLE", "Pair", "align_words", "alignment_html", "legend_html"]

Edit = Literal["equal", "substitution", "deletion", "insertion"]

MARKS: dict[Edit, tuple[str, str]] = {
    "equal": ("", "as said"),
    "substitution": ("S", "substituted: another word was written"),
    "deletion": ("D", "deleted: said and not written"),
    "insertion": ("I", "inserted: written and not said"),
}

ALIGNMENT_STYLE = """
.am-align { display: flex; flex-wrap: wrap; gap: .45rem .2rem; padding: .2rem 0;
  font-size: 1.08rem; line-height: 1.35; }
.am-rows { display: flex; flex-direction: column; opacity: .75; font-size: .8rem; margin-right: .4rem; }
.am-rows > *, .am-pair > * { min-height: 1.5rem; }
.am-pair { display: inline-flex; flex-direction: column; align-items: center; text-align: center; border-radius: .3rem;
  padding: 0 .3rem; border: 1px solid transparent; overflow-wrap: anywhere; max-width: 100%; }
.am-pair del, .am-pair ins { text-decoration-thickness: 2px; text-underline-offset: 3px; }
.am-pair small { font-weight: 700; font-size: .68rem; min-height: .95rem; line-height: .95rem; }
.am-substitution { background: rgba(230, 159, 0, .22); border: 1px solid #c98b00; }
.am-substitution ins { text-decoration: underline wavy #c98b00; }
.am-substitution del { text-decoration: none; }
.am-deletion { background: rgba(213, 94, 0, .20); border: 1px dashed #d55e00; }
.am-deletion del { text-decoration: line-through #d55e00; }
.am-insertion { background: rgba(0, 114, 178, .20); border: 1px dotted #2b8cc4; }
.am-insertion ins { text-decoration: underline double #2b8cc4; }
.am-gap { opacity: .55; }
.am-legend { font-size: .82rem; gap: .3rem 1.2rem; align-items: center; }
.am-legend .am-pair { flex-direction: row; gap: .35rem; padding: 0 .4rem; }
.am-legend .am-pair > * { min-height: 0; line-height: 1.4; }
"""
"""CSS of what this module writes. Text keeps the page's own colour, so that it reads on light and dark."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A word of the reference over a word of the hypothesis; None where one side has none."""

    edit: Edit
    reference: str | None
    hypothesis: str | None


def align_words(reference: str, hypothesis: str) -> list[Pair]:
    """Align two texts by their words (split at white space), with the fewest edits.

    >>> [(pair.edit, pair.reference, pair.hypothesis) for pair in align_words("press one now", "press won")]
    [('equal', 'press', 'press'), ('substitution', 'one', 'won'), ('deletion', 'now', None)]
    """
    from rapidfuzz.distance import Levenshtein

    said, written = reference.split(), hypothesis.split()
    pairs: list[Pair] = []
    for step in Levenshtein.opcodes(said, written):
        left, right = said[step.src_start : step.src_end], written[step.dest_start : step.dest_end]
        if step.tag == "equal":
            pairs += [Pair("equal", word, word) for word in left]
        elif step.tag == "replace":
            pairs += [Pair("substitution", a, b) for a, b in zip(left, right, strict=True)]
        elif step.tag == "delete":
            pairs += [Pair("deletion", word, None) for word in left]
        else:
            pairs += [Pair("insertion", None, word) for word in right]
    return pairs


def alignment_html(reference: str, hypothesis: str) -> str:
    """The alignment as HTML: reference above, hypothesis below, a letter under each edit (S, D, I). Words are escaped.

    Style it with `ALIGNMENT_STYLE`.
    """
    pairs = align_words(reference, hypothesis)
    if not pairs:
        return '<p class="am-muted">Nothing was said and nothing was written.</p>'
    names = '<span class="am-rows" aria-hidden="true"><span>said</span><span>written</span></span>'
    label = "Alignment of the reference, above, with the hypothesis, below"
    return f'<div class="am-align" role="group" aria-label="{label}">{names}{"".join(map(_pair_html, pairs))}</div>'


def legend_html() -> str:
    """What the marks mean."""
    items = [
        f'<span class="am-pair am-{edit}"><small>{mark}</small> <span>{meaning}</span></span>'
        for edit, (mark, meaning) in MARKS.items()
        if mark
    ]
    return f'<div class="am-align am-legend">{"".join(items)}</div>'


def _pair_html(pair: Pair) -> str:
    mark, meaning = MARKS[pair.edit]
    if pair.edit == "equal":
        word = escape(pair.reference or "")
        return f'<span class="am-pair"><bdi>{word}</bdi><bdi>{word}</bdi><small></small></span>'
    gap = '<span class="am-gap" aria-label="nothing">–</span>'
    above = gap if pair.reference is None else f"<del><bdi>{escape(pair.reference)}</bdi></del>"
    below = gap if pair.hypothesis is None else f"<ins><bdi>{escape(pair.hypothesis)}</bdi></ins>"
    return f'<span class="am-pair am-{pair.edit}" title="{meaning}">{above}{below}<small>{mark}</small></span>'
