"""Sentences and their recognition errors, made up at natural rates, for the benchmarks of transcription.

Words come from a Zipf-like distribution over 60,000 forms: the most frequent are those of Python's own documentation
(plain English prose that every installation has), the rare ones are built of syllables. Sentences are 8 to 25 words.
Written out they have capitals, punctuation, contractions, numbers, titles and fillers. Hypotheses differ by about 7 %
substitutions, 2 % deletions and 2.5 % insertions.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pydoc_data.topics import topics

import numpy as np

FORMS = 60_000
ODDITIES = {
    "it's": 6, "don't": 6, "I'm": 5, "that's": 4, "we'll": 2, "can't": 2, "they've": 2, "he'd": 1, "won't": 1,
    "gonna": 1, "one": 6, "two": 4, "three": 2, "ten": 1, "twenty-one": 1, "hundred": 1, "thousand": 1, "first": 3,
    "second": 2, "third": 1, "dollars": 1, "percent": 1, "2": 1, "15": 1, "1984": 1, "$20": 1, "3.5": 1, "5%": 1,
    "10th": 1, "1,000": 1, "Mr.": 2, "Mrs.": 1, "Dr.": 1, "St.": 1, "um": 3, "uh": 3, "hmm": 1, "colour": 1,
    "organise": 1, "centre": 1, "café": 1, "naïve": 1, "[noise]": 1, "(laughs)": 1, "well-known": 1,
}  # fmt: skip
ODDITY_RATE = 0.06


def vocabulary(written: bool) -> tuple[list[str], np.ndarray]:
    """Word forms and how likely each is."""
    counts = Counter(re.findall(r"[a-z]+", " ".join(topics.values()).lower()))
    forms = list(dict.fromkeys(word for word, _ in counts.most_common()))
    syllables = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("", "n", "r", "s", "l")]
    known = set(forms)
    made = ("".join(parts) for parts in itertools.product(syllables, repeat=3))
    forms += itertools.islice((form for form in made if form not in known), FORMS - len(forms))
    likely = 1.0 / (np.arange(len(forms)) + 2.7)
    likely /= likely.sum()
    if written:
        rates = np.array(list(ODDITIES.values()), dtype=float)
        forms += list(ODDITIES)
        likely = np.concatenate([likely * (1 - ODDITY_RATE), rates / rates.sum() * ODDITY_RATE])
    return forms, likely


def make_pairs(pairs: int, *, written: bool, seed: int = 0) -> tuple[list[str], list[str]]:
    """References and hypotheses, (pairs,) each; the same for the same arguments."""
    generator = np.random.default_rng(seed)
    forms, likely = vocabulary(written)
    lengths = generator.integers(8, 26, pairs)
    total = int(lengths.sum())
    said = generator.choice(len(forms), total, p=likely)
    wrong = generator.choice(len(forms), total, p=likely)
    fate = generator.random(total)
    comma = generator.random(total) < (0.06 if written else 0.0)
    references, hypotheses = [], []
    start = 0
    for length in lengths.tolist():
        reference, hypothesis = [], []
        for place in range(start, start + length):
            word = forms[said[place]] + ("," if comma[place] else "")
            reference.append(word)
            if fate[place] < 0.07:
                hypothesis.append(forms[wrong[place]])
            elif fate[place] < 0.095:
                hypothesis += [word, forms[wrong[place]]]
            elif fate[place] < 0.98:
                hypothesis.append(word)
        start += length
        references.append(_sentence(reference, written))
        hypotheses.append(_sentence(hypothesis, written))
    return references, hypotheses


def _sentence(words: list[str], written: bool) -> str:
    text = " ".join(words)
    return f"{text[:1].upper()}{text[1:]}." if written else text
