"""Texts that make synthesisers stumble, written for this: numbers, words said many times over, and tongue twisters.

Each is a pair: what is asked, and what a careful reader says. Of numbers only such are here as Whisper's normaliser
brings to one form from digits and from words: a recogniser may write either.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["HARD_TEXTS"]

_NUMBERS = (
    (
        "The invoice comes to $1,284.50.",
        "The invoice comes to one thousand two hundred eighty four dollars and fifty cents.",
    ),
    (
        "It was built in 1987.",
        "It was built in nineteen eighty seven.",
    ),
    (
        "Exactly 3,456,789 people voted.",
        "Exactly three million four hundred fifty six thousand seven hundred eighty nine people voted.",
    ),
    (
        "The answer is 0.0625.",
        "The answer is zero point zero six two five.",
    ),
    (
        "Only 12.5% of the seeds came up.",
        "Only twelve point five percent of the seeds came up.",
    ),
    (
        "She came 21st out of 340 runners.",
        "She came twenty first out of three hundred forty runners.",
    ),
    (
        "He ran 26.2 miles in 4 hours.",
        "He ran twenty six point two miles in four hours.",
    ),
    (
        "Add 555 to 199 and you get 754.",
        "Add five hundred fifty five to one hundred ninety nine and you get seven hundred fifty four.",
    ),
    (
        "It weighs 4 kilograms and costs £99.",
        "It weighs four kilograms and costs ninety nine pounds.",
    ),
    (
        "The 3rd and the 22nd were holidays.",
        "The third and the twenty second were holidays.",
    ),
    (
        "It rained on 5 of 31 days in 2016.",
        "It rained on five of thirty one days in twenty sixteen.",
    ),
    (
        "Her 1,000th visitor won 250 points.",
        "Her one thousandth visitor won two hundred fifty points.",
    ),
)
_REPEATS = (
    "No, no, no, no, no, no.",
    "The gate was very, very, very, very, very old.",
    "Knock, knock, knock, knock on the door, then knock, knock, knock again.",
    "I said that that that that that writer used was wrong.",
    "Left, right, left, right, left, right, left, right, halt.",
    "Tick tock, tick tock, tick tock, tick tock, went the clock.",
    "One more time, one more time, one more time, and then one more time.",
    "Buffalo buffalo buffalo buffalo.",
    "He had had what she had had, and had had enough.",
    "Again and again and again and again and again she tried.",
    "Far, far, far away there was a far, far, far smaller house.",
    "Ten, ten, ten, ten, nine, nine, nine, nine.",
)
_TWISTERS = (
    "Six slick sleighs slid swiftly past sixty thick thistles.",
    "Fresh fried fish from five fussy fishermen.",
    "The brisk brave brigadiers brandished broad bright blades.",
    "Which witch wished which wicked wish?",
    "Seven selfish shellfish sheltered in a shallow shell shop.",
    "Three free thugs set three thick thieves free.",
    "A proper copper coffee pot and a paper cup of cocoa.",
    "Red lorry, yellow lorry, really rare yellow lorry.",
    "Black background, brown background, blank brown bag.",
    "The sixth sick sheikh's sixth sheep's sick.",
    "Truly rural rulers rarely roar.",
    "Thin sticks, thick bricks, brick sticks, stick quick.",
)

HARD_TEXTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "numbers": _NUMBERS,
    "repeats": tuple((text, text) for text in _REPEATS),
    "tongue twisters": tuple((text, text) for text in _TWISTERS),
}
"""(as written, as said) by kind. Their order and wording name the samples."""
