"""The attacks of the embedded spoof corpus: how each is made, what kind it is, and in which protocol it occurs.

No attack of training is in development, and none of either in the protocol `unseen-attack`; the list is frozen, and
another list is another `PROTOCOL`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal, TypeAlias

import numpy as np

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import FloatArray, Request, Waveform
from audiometry.tasks.corpora.espeak_speech import Delivery, speak
from audiometry.tasks.corpora.making import hibari_speaker
from audiometry.tasks.corpora.spoof import mixing, resynthesis
from audiometry.tasks.corpora.spoof.equalisation import RATE
from audiometry.tasks.corpora.spoof.sources import Recording, beginning

__all__ = ["ATTACKS", "PROTOCOL", "Attack", "Set", "attacks_of", "make"]

PROTOCOL = "1"

Set: TypeAlias = Literal["train", "development", "unseen"]
"""Attacks of training are also those of the protocol `seen-attack`."""

Kind: TypeAlias = Literal["formant", "concatenative", "statistical", "neural", "copy", "conversion", "splice", "replay"]
Make: TypeAlias = Callable[[FloatArray, str, str, np.random.Generator], FloatArray]
"""(a person's recording at 16 kHz, its text, its language, generator) → the spoof."""


@dataclass(frozen=True)
class Attack:
    """One way of making a spoof out of a person's recording, or out of its text."""

    name: str
    kind: Kind
    set: Set
    make: Make
    speaks: tuple[str, ...] = ()
    """Languages of the texts that are spoken; none where the recording alone is used."""

    def can(self, recording: Recording) -> bool:
        """Whether it can attack with such a recording; spoken anew, a short one could be too short."""
        if not self.speaks:
            return True
        return bool(recording.text) and recording.speaker.language in self.speaks and recording.speech >= SHORTEST_TEXT


ESPEAK: Mapping[str, str] = {"en": "en-us", "es": "es", "fr": "fr", "it": "it", "ru": "ru"}
VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+f5", "+m1", "+m3", "+m4", "+m7")
SHORTEST_TEXT = 1.8
"""Seconds of speech in the recordings whose texts are spoken by machines."""

KLATT = ("+klatt", "+klatt2", "+klatt3", "+klatt4")


def make(attack: Attack, recording: Waveform, text: str, language: str, generator: np.random.Generator) -> Waveform:
    """The spoof that `attack` makes of a recording, with its peak below full scale."""
    made = attack.make(recording.samples.astype(np.float64), text, language, generator)
    peak = float(np.abs(made).max(initial=0.0))
    return Waveform((made * min(1.0, 0.98 / max(peak, 1e-9))).astype(np.float32), RATE)


def attacks_of(chosen: Set) -> list[Attack]:
    """The attacks of one set."""
    return [attack for attack in ATTACKS if attack.set == chosen]


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**31))


def _espeak(_: FloatArray, text: str, language: str, generator: np.random.Generator) -> FloatArray:
    return _spoken(text, language, generator, VARIANTS)


def _klatt(_: FloatArray, text: str, language: str, generator: np.random.Generator) -> FloatArray:
    return _spoken(text, language, generator, KLATT)


def _spoken(text: str, language: str, generator: np.random.Generator, variants: tuple[str, ...]) -> FloatArray:
    voice = ESPEAK[language] + str(generator.choice(variants))
    delivery = Delivery(rate=int(generator.integers(140, 190)), pitch=int(generator.integers(35, 70)))
    return _begun(speak(text, voice, delivery).waveform)


def _griffin_lim(samples: FloatArray, _text: str, _language: str, generator: np.random.Generator) -> FloatArray:
    return resynthesis.griffin_lim(samples, seed=_seed(generator))


def _mel_inversion(samples: FloatArray, _text: str, _language: str, generator: np.random.Generator) -> FloatArray:
    return resynthesis.mel_inversion(samples, seed=_seed(generator))


def _linear_prediction(samples: FloatArray, _text: str, _language: str, generator: np.random.Generator) -> FloatArray:
    return resynthesis.linear_prediction(samples, seed=_seed(generator))


def _cepstral(samples: FloatArray, _text: str, _language: str, generator: np.random.Generator) -> FloatArray:
    return resynthesis.cepstral_copy(samples, seed=_seed(generator))


def _sinusoidal(samples: FloatArray, _text: str, _language: str, generator: np.random.Generator) -> FloatArray:
    return resynthesis.sinusoidal_copy(samples, seed=_seed(generator))


def _world(samples: FloatArray, _text: str, _language: str, _generator: np.random.Generator) -> FloatArray:
    return resynthesis.world_copy(samples)


def _pitch_shift(samples: FloatArray, _text: str, _language: str, generator: np.random.Generator) -> FloatArray:
    return resynthesis.shift_pitch(samples, semitones=_away(generator, 1.0, 4.0))


def _conversion(samples: FloatArray, _text: str, _language: str, generator: np.random.Generator) -> FloatArray:
    pitch, formants = 2 ** (_away(generator, 2.0, 6.0) / 12), 2 ** (_away(generator, 0.7, 2.5) / 12)
    return resynthesis.convert(samples, pitch=pitch, formants=formants)


def _away(generator: np.random.Generator, low: float, high: float) -> float:
    """Between `low` and `high` semitones, up or down."""
    return float(generator.uniform(low, high) * generator.choice((-1.0, 1.0)))


def _espeak_splice(samples: FloatArray, text: str, language: str, generator: np.random.Generator) -> FloatArray:
    return mixing.splice(samples, _espeak(samples, text, language, generator), generator)[0]


def _neural_splice(samples: FloatArray, text: str, language: str, generator: np.random.Generator) -> FloatArray:
    return mixing.splice(samples, _hibari(samples, text, language, generator), generator)[0]


def _replay(samples: FloatArray, _text: str, _language: str, generator: np.random.Generator) -> FloatArray:
    return mixing.replay(samples, generator)


def _hibari(_: FloatArray, text: str, _language: str, generator: np.random.Generator) -> FloatArray:
    return _begun(_neural_voice()(text, _seed(generator)))


@lru_cache(maxsize=1)
def _neural_voice() -> Callable[[str, int], Waveform]:
    return hibari_speaker("spoof-embedded")


def _flite(_: FloatArray, text: str, _language: str, generator: np.random.Generator, *, voice: str) -> FloatArray:
    model = MODELS.create(parse_spec(f"flite:voice={voice},stretch={generator.uniform(0.9, 1.1):.3f}"))
    (output,) = model.generate([Request("synthesize", text=text, language="en")])
    if output.audio is None:
        raise DataError(f"flite did not say {text!r}: {output.error or output.status}")
    return _begun(output.audio)


def _begun(waveform: Waveform) -> FloatArray:
    return beginning(waveform).samples.astype(np.float64)


ATTACKS: tuple[Attack, ...] = (
    Attack("espeak", "formant", "train", _espeak, tuple(ESPEAK)),
    Attack("griffin-lim", "copy", "train", _griffin_lim),
    Attack("linear-prediction", "copy", "train", _linear_prediction),
    Attack("cepstral", "copy", "train", _cepstral),
    Attack("pitch-shift", "conversion", "train", _pitch_shift),
    Attack("espeak-splice", "splice", "train", _espeak_splice, tuple(ESPEAK)),
    Attack("klatt", "formant", "development", _klatt, tuple(ESPEAK)),
    Attack("mel-inversion", "copy", "development", _mel_inversion),
    Attack("sinusoidal", "copy", "development", _sinusoidal),
    Attack("hibari", "neural", "unseen", _hibari, ("en",)),
    Attack("flite-slt", "statistical", "unseen", partial(_flite, voice="slt"), ("en",)),
    Attack("flite-kal16", "concatenative", "unseen", partial(_flite, voice="kal16"), ("en",)),
    Attack("world", "copy", "unseen", _world),
    Attack("world-conversion", "conversion", "unseen", _conversion),
    Attack("hibari-splice", "splice", "unseen", _neural_splice, ("en",)),
    Attack("replay", "replay", "unseen", _replay),
)
