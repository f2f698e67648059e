"""The plain composite reward: how good speech sounds and how well its words are heard, without any training.

A first reward for synthesised speech, and the one that trained reward models have to beat. It is a weighted mean of two
parts, each 0 to 1:

- quality: DNSMOS P.835's overall score, 1 to 5, brought to 0 to 1;
- pronunciation: 1 less the phoneme error rate of what a recogniser hears, at least 0. The recogniser has no part in the
  voice that is rated, and both texts become phonemes by espeak-ng's rules, so spelling costs nothing.

Emotion match is meant to be the third part. There is no emotion recogniser here yet to measure it, and nothing stands
in for it: it has no weight, and a request's wish for a style changes nothing.
"""

from __future__ import annotations

from typing import Any

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import MODELS, model, parse_spec
from audiometry.benchmark.types import Output, Request
from audiometry.models.adapters.common import fingerprint, needs_packages, shown_name
from audiometry.models.adapters.dnsmos_judge import rate_quality
from audiometry.models.adapters.one_by_one import OneByOne, sound_of, text_of
from audiometry.tasks.metrics.phonemes import count_phonemes, espeak_version, phoneme_error_rate

__all__ = ["combine", "composite"]

VERSION = "composite-reward 1"
RECOGNISER = "whisper"


def check(*, recogniser: str = RECOGNISER, quality: float = 1.0, pronunciation: float = 1.0) -> None:
    """Raise SettingError for weights or a recogniser that cannot be used, UserError for a missing package."""
    if min(quality, pronunciation) < 0 or quality + pronunciation <= 0:
        raise SettingError(
            f"model 'composite-reward': weights quality={quality:g} and pronunciation={pronunciation:g}; "
            "give 0 or more, one of them above 0"
        )
    spec = parse_spec(recogniser)
    entry = MODELS.check(spec)
    if "transcribe" not in MODELS.abilities(spec) or entry.fingerprint is None or not entry.deterministic:
        raise SettingError(
            f"model 'composite-reward', setting 'recogniser': {recogniser!r} must transcribe, answer the same each "
            f"time and be known before it is loaded; give {RECOGNISER} or pocketsphinx"
        )
    needs_packages("composite-reward", "quality", ("speechmos", "onnxruntime"))
    needs_packages("composite-reward", "text", ("espeakng_loader",))


def identify(*, recogniser: str = RECOGNISER, quality: float = 1.0, pronunciation: float = 1.0) -> str:
    """The fingerprint of the reward, of its recogniser's and the judge's, without loading them."""
    return fingerprint(
        VERSION,
        (),
        settings={
            "quality": quality,
            "pronunciation": pronunciation,
            "recogniser": MODELS.fingerprint(parse_spec(recogniser)),
            "judge": MODELS.fingerprint(parse_spec("dnsmos")),
            "espeak-ng": espeak_version(),
        },
    )


@model(
    "composite-reward", abilities={"rate"}, check=check, fingerprint=identify, deterministic=True, needs="quality"
)  # fmt: skip
def composite(*, recogniser: str = RECOGNISER, quality: float = 1.0, pronunciation: float = 1.0) -> OneByOne:
    """Reward for speech that should say a text: DNSMOS quality and phonemes heard right, 0 to 1."""
    listener: Any = MODELS.create(parse_spec(recogniser))

    def answer(request: Request) -> Output:
        sound, text = sound_of(request, "candidate", "input"), text_of(request)
        if not text:
            raise ValueError("the request has no text that the sound should say")
        language = request.language or "en"
        heard = listener.generate([Request("transcribe", language=language, waveforms={"input": sound})])[0]
        if heard.status not in ("ok", "empty"):
            raise RuntimeError(f"the recogniser {recogniser} failed: {heard.error}")
        errors = float(phoneme_error_rate(count_phonemes([text], [heard.text or ""], language))[0])
        opinion = float(rate_quality(sound, threads=1).score or 0.0)
        labels = {"ovrl": opinion, "per": errors}
        return Output(
            text=heard.text,
            score=combine(opinion, errors, quality=quality, pronunciation=pronunciation),
            labels=labels,
        )

    settings = {"recogniser": recogniser, "quality": quality, "pronunciation": pronunciation}
    return OneByOne(
        name=shown_name("composite-reward", composite, settings),
        fingerprint=identify(recogniser=recogniser, quality=quality, pronunciation=pronunciation),
        abilities=frozenset({"rate"}),
        answer=answer,
        release=listener.close,
    )


def combine(opinion: float, phoneme_errors: float, *, quality: float = 1.0, pronunciation: float = 1.0) -> float:
    """The weighted mean of quality and pronunciation, 0 (worst) to 1 (best).

    `opinion` is a mean opinion score from 1 to 5 (what lies beyond counts as the end), `phoneme_errors` a rate, 0 and
    up (from 1 on pronunciation is 0). `quality` and `pronunciation` are the weights.

    >>> combine(3.0, 0.25), combine(5.0, 0.0), combine(1.0, 1.5)
    (0.625, 1.0, 0.0)
    >>> combine(3.0, 0.25, quality=0.0)
    0.75
    """
    parts = (min(max((opinion - 1.0) / 4.0, 0.0), 1.0), max(1.0 - phoneme_errors, 0.0))
    return (quality * parts[0] + pronunciation * parts[1]) / (quality + pronunciation)
