from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audiometry.benchmark.model_kinds import ControlModel
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Model, Request, Waveform
from audiometry.models.adapters.pocketsphinx_align import uniform_words
from audiometry.tasks.alignment import as_target
from audiometry.tasks.corpora.espeak_speech import speak

TEXT = "The old clock in the hall runs ten minutes fast."


def request(text: str | None, sound: Waveform | None) -> Request:
    return Request("align", text=text, waveforms={} if sound is None else {"input": sound})


def quiet() -> Waveform:
    return Waveform(np.zeros(16_000, np.float32), 16_000)


@pytest.mark.slow
def test_known_words_are_found_near_where_they_are_and_neighbours_change_nothing() -> None:
    aligner: Model = MODELS.create(Spec("pocketsphinx-align"))
    said = speak(TEXT, "en-us+m1")
    first, unknown, silent, textless, deaf, again = aligner.generate(
        [
            request(TEXT, said.waveform), request("xyzzyq clock", said.waveform), request(TEXT, quiet()),
            request(None, quiet()), request(TEXT, None), request(TEXT, said.waveform),
        ]
    )  # fmt: skip
    assert first.status == "ok"
    assert [one.label for one in first.segments] == TEXT.lower().strip(".").split()
    last = first.segments[-1]
    assert abs(last.start - said.words[-1].start) < 0.1
    errors = [abs(first.segments[0].start - said.words[0].start), abs(first.segments[5].start - said.words[4].start)]
    assert max(errors) < 0.1
    assert again.segments == first.segments
    assert (unknown.status, silent.status, textless.status, deaf.status) == ("error",) * 4
    assert unknown.error == "words that are not in PocketSphinx's dictionary: xyzzyq"
    assert "reaches the end of the text" in str(silent.error)
    assert "no text" in str(textless.error)
    assert aligner.fingerprint == MODELS.fingerprint(Spec("pocketsphinx-align"))
    aligner.close()


def test_uniform_words_fill_the_sound() -> None:
    words = uniform_words(["a", "bb", "c"], 4.0)
    assert [(one.start, one.end) for one in words] == [(0.0, 1.0), (1.0, 3.0), (3.0, 4.0)]
    control: Model = MODELS.create(Spec("align-uniform"))
    spaced, deaf = control.generate([request("One, two.", quiet()), request("One", None)])
    assert [(one.label, one.start, one.end) for one in spaced.segments] == [("one", 0.0, 0.5), ("two", 0.5, 1.0)]
    assert deaf.status == "error"
    control.close()


def test_the_oracle_says_what_it_is_given() -> None:
    words = uniform_words(["one", "two"], 1.0)
    oracle: Any = MODELS.create(Spec("align-oracle"))
    assert isinstance(oracle, ControlModel)
    right, wrong = oracle.generate([request("x", None)] * 2, [as_target(words), "text"])
    assert right.segments == words
    assert wrong.status == "error"
    oracle.close()
    assert MODELS.check(Spec("align-oracle")).given == "own target"
    assert all(MODELS.check(Spec(name)).control for name in ("align-oracle", "align-uniform"))
