"""Records that are remade for every sample lose nothing on the way."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from audiometry.benchmark.types import Audio, Request, Sample, Turn, Waveform

REQUEST = Request(
    "respond", {"input": Audio("a.wav")}, "text", "instruction", "en", (Turn("user", "hello"),), 3,
    {"input": Waveform(np.zeros(2, np.float32), 8000)},
)  # fmt: skip
SAMPLE = Sample("one", REQUEST, "target", {"gender": "female"}, "speaker", "class")


def test_every_field_is_carried_over() -> None:
    for record in (REQUEST, SAMPLE):  # or a field with its default would be lost unseen
        assert all(getattr(record, one.name) for one in fields(record))
    assert REQUEST.seeded(7) == replace(REQUEST, seed=7)
    assert SAMPLE.seeded(7) == replace(SAMPLE, request=replace(REQUEST, seed=7))
