"""Fifty style instructions, each with a clear and a hedged wording, written for the ambiguity task."""

from __future__ import annotations

from dataclasses import dataclass

from audiometry.tasks.corpora.sentences import SENTENCES

__all__ = ["STYLES", "Style"]


@dataclass(frozen=True, slots=True)
class Style:
    """A style: what it is about (`kind`), how it is asked for clearly and hedged, by what `hedge`, and on what."""

    name: str
    kind: str
    clear: str
    hedged: str
    hedge: str
    sentence: str


_ROWS = (
    # degree: how much is left open
    ("happy", "emotion", "happy", "happy but not too exaggerated", "degree"),
    ("sad", "emotion", "sad", "sad but without overdoing it", "degree"),
    ("angry", "emotion", "angry", "somewhat angry but still restrained", "degree"),
    ("afraid", "emotion", "afraid", "a little afraid but not panicked", "degree"),
    ("surprised", "emotion", "surprised", "mildly surprised", "degree"),
    ("disgusted", "emotion", "disgusted", "slightly disgusted, nothing theatrical", "degree"),
    ("excited", "emotion", "excited", "excited, within reason", "degree"),
    ("proud", "emotion", "proud", "fairly proud but not boastful", "degree"),
    ("fast", "tempo", "very fast", "a bit faster than usual", "degree"),
    ("slow", "tempo", "very slowly", "somewhat more slowly", "degree"),
    ("hurried", "tempo", "in a hurry", "a little hurried, if that fits", "degree"),
    ("loud", "level", "very loudly", "loud enough but not too loud", "degree"),
    ("quiet", "level", "very quietly", "rather quietly but not too much so", "degree"),
    ("whispered", "level", "in a whisper", "almost whispering, more or less", "degree"),
    ("high", "pitch", "in a very high voice", "in a slightly higher voice", "degree"),
    ("deep", "pitch", "in a very deep voice", "a touch deeper than normal", "degree"),
    ("monotone", "pitch", "in a monotone", "fairly flat but not robotic", "degree"),
    ("lively", "pitch", "with lively intonation", "with reasonably lively intonation", "degree"),
    # vague: what is meant is left open
    ("bored", "emotion", "bored", "kind of bored, or something like that", "vague"),
    ("tired", "emotion", "tired", "sort of tired, you know", "vague"),
    ("calm", "emotion", "calm", "calm-ish", "vague"),
    ("nervous", "emotion", "nervous", "maybe a nervous sort of tone", "vague"),
    ("hopeful", "emotion", "hopeful", "hopeful in a way", "vague"),
    ("grateful", "emotion", "grateful", "vaguely grateful", "vague"),
    ("jealous", "emotion", "jealous", "jealous or thereabouts", "vague"),
    ("tender", "emotion", "tender", "with some tenderness perhaps", "vague"),
    ("newsreader", "role", "like a newsreader", "kind of like a newsreader", "vague"),
    ("storyteller", "role", "like a storyteller for children", "as if telling some sort of story", "vague"),
    ("teacher", "role", "like a patient teacher", "like a teacher, I suppose", "vague"),
    ("announcer", "role", "like a stadium announcer", "like an announcer of some kind", "vague"),
    ("pirate", "role", "like a pirate", "a tad like a pirate or similar", "vague"),
    ("robot", "role", "like a robot", "robot-like, up to a point", "vague"),
    ("formal", "register", "very formally", "formal, but whatever feels right", "vague"),
    ("casual", "register", "casually", "casual or so", "vague"),
    ("polite", "register", "very politely", "polite enough, I guess", "vague"),
    ("dramatic", "register", "dramatically", "with some drama, as you see fit", "vague"),
    # conflict: two wishes pull apart
    ("joyful", "emotion", "joyful", "joyful, though also a little wistful", "conflict"),
    ("furious", "emotion", "furious", "furious yet perfectly calm", "conflict"),
    ("confident", "emotion", "confident", "confident but also unsure", "conflict"),
    ("amused", "emotion", "amused", "amused while staying serious", "conflict"),
    ("urgent", "tempo", "urgently", "urgently but relaxed", "conflict"),
    ("drawling", "tempo", "with a slow drawl", "with a slow drawl, but keep it brisk", "conflict"),
    ("shouted", "level", "shouting", "shouting softly", "conflict"),
    ("murmured", "level", "murmuring", "murmuring so that everybody hears it", "conflict"),
    ("childlike", "role", "like a small child", "like a small child but grown up", "conflict"),
    ("commanding", "role", "like a commander", "like a commander, without giving orders", "conflict"),
    ("sarcastic", "register", "sarcastically", "sarcastically but sincerely", "conflict"),
    ("solemn", "register", "solemnly", "solemnly but with a wink", "conflict"),
    ("friendly", "register", "in a friendly way", "friendly but distant", "conflict"),
    ("stern", "register", "sternly", "sternly and gently at once", "conflict"),
)

_SENTENCES = (*SENTENCES["statement"], *SENTENCES["name"], *SENTENCES["number"][:10])

STYLES: tuple[Style, ...] = tuple(
    Style(*row, sentence) for row, sentence in zip(_ROWS, _SENTENCES, strict=True)
)  # fmt: skip
"""The styles in their order, each on a sentence of its own that asks nothing."""
