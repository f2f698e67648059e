"""Corpora put together from prompts: `code-switched`, one recording in two languages, and `conversations`.

Both are made of the prepared `asterisk-{language}` corpora, which must be there first. What is drawn depends on this
file alone, so the same prompts give the same recordings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.seeds import derive_seed
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.asterisk import LANGUAGES
from audiometry.tasks.corpora.espeak_speech import speak
from audiometry.tasks.corpora.making import (
    HIBARI,
    RATE,
    hibari_speaker,
    levelled,
    no_source,
    package_versions,
    sound,
    trimmed,
    write_clip,
)
from audiometry.tasks.corpora.prepared import Built, Clip, PreparedCorpus, Report
from audiometry.tasks.corpora.sentences import SENTENCES
from audiometry.tasks.corpora.utterance import Utterance, load_corpus
from audiometry.tasks.metrics.english_numbers import NUMBER_WORDS

__all__ = ["OVERLAPS", "PAIRS", "Said", "Turn", "code_switched", "conversations", "place_turns", "read_turns"]

PAIRS = ("en-es", "en-fr", "en-it", "en-ru")
EACH = 15
ESPEAK = {"en": "en-us", "es": "es", "fr": "fr", "it": "it", "ru": "ru"}
ESPEAKER = "espeak-en-us"
GAP = 0.15
"""Seconds of silence at a change of language."""

NUMBERS = frozenset(NUMBER_WORDS) - {"and", "per"}

OVERLAPS = (0, 10, 20)
"""Percent of the time with speech in which two speak at once."""

CONVERSATIONS_EACH = 5
TURNS = 12
PAUSE = 0.3
"""Seconds between turns where nobody overlaps."""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation, in seconds from its start."""

    start: float
    end: float
    speaker: str
    text: str


@dataclass(frozen=True)
class Said:
    """What one turn is made of: samples at 16 kHz."""

    samples: NDArray[np.float32]
    speaker: str
    text: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE


@corpus("code-switched", needs="text", speech="human and synthetic", licence="CC-BY-SA-3.0 and CC-BY-3.0")
def code_switched() -> PreparedCorpus:
    """Recordings that change from English to another language and back, of human prompts and of one synthesiser."""
    return PreparedCorpus(
        name="code-switched", language="", licence="CC-BY-SA-3.0 and CC-BY-3.0",
        citation="; ".join(sorted({voice.citation for voice in LANGUAGES.values()})), build=_build_switched,
        notes=("stitched from separate prompts; half of it synthetic speech",),
    )  # fmt: skip


@corpus("conversations", needs="synthetic", speech="human and synthetic", licence="CC-BY-SA-3.0 and CC-BY-3.0")
def conversations() -> PreparedCorpus:
    """Conversations of 3 or 4 speakers with overlaps of set shares, stitched from prompts and synthesised sentences."""
    return PreparedCorpus(
        name="conversations", language="", licence="CC-BY-SA-3.0 and CC-BY-3.0",
        citation="; ".join(sorted({voice.citation for voice in LANGUAGES.values()})), build=_build_conversations,
        notes=("stitched from separate recordings, partly synthetic speech",),
    )  # fmt: skip


def read_turns(conversations: PreparedCorpus) -> dict[str, list[Turn]]:
    """The turns of each conversation by its id, in order of their start.

    Raises DataError if the corpus is not prepared, or if its list of turns is missing or changed.
    """
    conversations.utterances()  # says how to mend it where it is not there
    header = json.loads((conversations.folder / "corpus.json").read_text(encoding="utf-8"))
    file = conversations.folder / "turns.jsonl"
    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != header["origin"].get("turns_sha256"):
        raise DataError(
            f"corpus {conversations.name!r}: {file} is missing or changed; remove the folder, then run: "
            f"audiometry data prepare {conversations.name}"
        )
    rows = [json.loads(line) for line in data.decode("utf-8").splitlines()]
    return {row["id"]: [Turn(**turn) for turn in row["turns"]] for row in rows}


def place_turns(said: Sequence[Said], share: float) -> list[Turn]:
    """When each turn starts, so that two speak at once in `share` (0 to 0.3) of the time with speech.

    With no overlap turns are `PAUSE` apart. Otherwise each turn begins before the one before it has ended, all by the
    same time where turns are long enough, which makes the share exact.

    >>> turns = place_turns([Said(np.zeros(32000, np.float32), who, "") for who in "abab"], 0.2)
    >>> [round(turn.start, 3) for turn in turns]
    [0.0, 1.556, 3.111, 4.667]

    Raises DataError for turns too short for the share.
    """
    total = sum(one.seconds for one in said)
    step = -PAUSE if share == 0 else share * total / (1 + share) / (len(said) - 1)
    if step > min(one.seconds for one in said) / 2:
        raise DataError(f"turns of {min(one.seconds for one in said):.2f} s are too short to overlap by {step:.2f} s")
    turns = []
    start = 0.0
    for one in said:
        turns.append(Turn(start, start + one.seconds, one.speaker, one.text))
        start += one.seconds - step
    return turns


def _build_switched(folder: Path, source: str | None, report: Report) -> Built:
    no_source("code-switched", source)
    sentences = {language: _sentences(language) for language in LANGUAGES}
    clips = []
    for pair in PAIRS:
        report(f"stitching and speaking {pair}")
        for number in range(1, EACH + 1):
            clips += _switched(folder, pair, number, sentences)
    return Built(clips, origin=package_versions("espeakng-loader"))


def _switched(folder: Path, pair: str, number: int, sentences: Mapping[str, list[Utterance]]) -> list[Clip]:
    """One recording of prompts and one of the same texts by one synthesiser; every third returns to English."""
    order = pair.split("-") if number % 3 else [*pair.split("-"), "en"]
    random = Random(derive_seed(0, "code-switched", pair, str(number)))
    chosen = [random.choice(sentences[language]) for language in order]
    text = "\n".join(one.text for one in chosen)
    kinds = {
        "prompts": [sound(one.audio) for one in chosen],
        "espeak": [
            levelled(speak(one.text, ESPEAK[language]).waveform) for one, language in zip(chosen, order, strict=True)
        ],
    }
    name = f"{'-'.join(order)}-{number:02d}"
    return [
        write_clip(
            folder, "code-switched", f"{kind}/{name}", _in_a_row(pieces), text=text,
            speaker="+".join(dict.fromkeys(one.speaker for one in chosen)) if kind == "prompts" else "espeak-ng",
            language="", gender="", licence="+".join(sorted({LANGUAGES[one].licence for one in order})),
        )
        for kind, pieces in kinds.items()
    ]  # fmt: skip


def _sentences(language: str, *, shortest: float = 1.2, longest: float = 5.0) -> list[Utterance]:
    """Prompts of two words or more without digits or English numbers, which are written in two ways."""
    return [
        one
        for one in load_corpus(f"asterisk-{language}")
        if shortest <= (one.audio.seconds or 0.0) <= longest
        and len(one.text.split()) > 1
        and not any(letter.isdigit() for letter in one.text)
        and not NUMBERS & set(one.text.lower().split())
    ]


def _in_a_row(pieces: Sequence[NDArray[np.float32]]) -> Waveform:
    gap = np.zeros(round(GAP * RATE), np.float32)
    parts = [part for piece in pieces for part in (piece, gap)][:-1]
    return _limited(np.concatenate(parts))


def _limited(samples: NDArray[np.float32]) -> Waveform:
    """Scaled down where it would clip."""
    return Waveform(samples / np.float32(max(1.0, float(np.max(np.abs(samples))) / 0.99)), RATE)


def _build_conversations(folder: Path, source: str | None, report: Report) -> Built:
    no_source("conversations", source)
    casts = {"languages": _human_cast(), "english": _english_cast()}
    clips, lines = [], []
    for cast, speakers in casts.items():
        for overlap in OVERLAPS:
            report(f"stitching conversations: {cast}, {overlap} % overlap")
            for number in range(1, CONVERSATIONS_EACH + 1):
                name = f"{cast}/overlap-{overlap:02d}-{number:02d}"
                said = _draw(speakers, Random(derive_seed(0, "conversations", name)))
                turns = place_turns(said, overlap / 100)
                clips.append(
                    write_clip(
                        folder, "conversations", name, _mixed(said, turns),
                        text="\n".join(f"{turn.speaker}: {turn.text}" for turn in turns),
                        speaker=name, language="en" if cast == "english" else "", gender="",
                        licence="CC-BY-SA-3.0 and CC-BY-3.0",
                    )
                )  # fmt: skip
                lines.append(json.dumps({"id": clips[-1].id, "turns": [asdict(turn) for turn in turns]}))
    data = "".join(f"{line}\n" for line in lines).encode()
    (folder / "turns.jsonl").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return Built(clips, origin={"turns_sha256": digest, **package_versions("hibari-tts", "espeakng-loader")})


def _human_cast() -> dict[str, list[Said]]:
    """Four people, each in a language of their own."""
    return {
        LANGUAGES[language].speaker: [_of_prompt(one) for one in _sentences(language, longest=4.0)[::4]]
        for language in ("en", "fr", "it", "ru")
    }


def _english_cast() -> dict[str, list[Said]]:
    """A person and two machines, all in English, each with words of its own."""
    hibari = hibari_speaker("conversations")
    texts = [*SENTENCES["question"], *SENTENCES["statement"]]
    cast = {LANGUAGES["en"].speaker: [_of_prompt(one) for one in _sentences("en", longest=4.0)[::4]]}
    cast[HIBARI] = [Said(trimmed(levelled(hibari(text, seed))), HIBARI, text) for seed, text in enumerate(texts[::2])]
    cast[ESPEAKER] = [Said(trimmed(levelled(speak(text, "en-us").waveform)), ESPEAKER, text) for text in texts[1::2]]
    return {speaker: [one for one in said if one.seconds >= 1.2] for speaker, said in cast.items()}


def _of_prompt(one: Utterance) -> Said:
    return Said(trimmed(sound(one.audio)), one.speaker, " ".join(one.text.split()))


def _draw(speakers: Mapping[str, list[Said]], random: Random) -> list[Said]:
    """Turns in which nobody follows themselves and everybody speaks."""
    names = list(speakers)
    order = random.sample(names, len(names))
    while len(order) < TURNS:
        order.append(random.choice([name for name in names if name != order[-1]]))
    return [random.choice(speakers[name]) for name in order]


def _mixed(said: Sequence[Said], turns: Sequence[Turn]) -> Waveform:
    ends = [round(turn.start * RATE) + len(one.samples) for one, turn in zip(said, turns, strict=True)]
    samples = np.zeros(max(ends), np.float32)
    for one, turn in zip(said, turns, strict=True):
        start = round(turn.start * RATE)
        samples[start : start + len(one.samples)] += one.samples
    return _limited(samples)
