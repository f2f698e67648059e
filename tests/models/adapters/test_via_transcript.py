"""Wrappers and plain models of the closed-question and embedding tasks."""

from __future__ import annotations

import numpy as np
import pytest

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Audio, Output, Request, Waveform
from audiometry.models.adapters.embedding_controls import blind_embeddings, oracle_embeddings
from audiometry.models.adapters.embedding_pair import EmbeddingPair
from audiometry.models.adapters.mel_statistics import BANDS, mel_embedding
from audiometry.models.adapters.one_by_one import OneByOne
from audiometry.models.adapters.via_transcript import ViaTranscript, answer_from
from audiometry.tasks.parsing import offer

WORDS = ["twenty", "one", "twenty one", "Monday"]


def asked(ability: str, *, several: bool = False) -> Request:
    return Request(ability, instruction=f"Which?\n{offer(WORDS, several=several)}", language="en")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "one", "every"),
    [
        ("Monday.", "Monday", "Monday"), ("one on monday", "Monday", "Monday, one"), ("nothing here", None, "none"),
        ("", None, "none"), ("twentyish", None, "none"),
    ],
)  # fmt: skip
def test_the_offered_words_that_are_heard(said: str, one: str | None, every: str) -> None:
    heard = Output(status="ok" if said else "empty", text=said)
    closed = answer_from(heard, asked("respond"))
    assert (closed.status, closed.text) == (("ok", one) if one else ("empty", ""))
    assert answer_from(heard, asked("respond", several=True)).text == every
    labels = answer_from(heard, asked("classify")).labels
    assert [name for name, value in labels.items() if value] == ([one] if one else [])
    spotted = answer_from(heard, asked("classify", several=True))
    assert spotted.status == "ok"
    assert sorted(name for name, value in spotted.labels.items() if value) == sorted(set(every.split(", ")) - {"none"})


def test_a_failed_transcript_is_a_failed_answer_and_no_offer_no_answer() -> None:
    broken = Output(status="error", error="deaf")
    assert answer_from(broken, asked("classify")) == broken
    assert answer_from(Output(text="one"), Request("respond", instruction="What?")).status == "empty"


def test_the_recogniser_is_asked_to_transcribe() -> None:
    requests: list[Request] = []

    def hear(request: Request) -> Output:
        requests.append(request)
        return Output(text="one")

    inner = OneByOne("ear", "f", frozenset({"transcribe"}), hear)
    made = ViaTranscript("via", inner, "g", True)
    assert made.generate([asked("classify")])[0].labels["one"] == 1.0
    assert (requests[0].ability, requests[0].instruction, requests[0].language) == ("transcribe", None, "en")
    made.close()


@pytest.mark.parametrize(("name", "inner"), [("via-transcript", "silent"), ("via-transcript", "oracle"),
                                             ("embedding-pair", "whisper")])  # fmt: skip
def test_an_inner_model_that_cannot(name: str, inner: str) -> None:
    if (name, inner) == ("via-transcript", "silent"):  # it can: it transcribes nothing
        made = MODELS.create(Spec(name, (("model", inner),)))
        assert made.generate([asked("respond", several=True)])[0].text == "none"
        MODELS.check(Spec(name, (("model", inner),)))
        return
    with pytest.raises(SettingError, match=inner):
        MODELS.check(Spec(name, (("model", inner),)))


def sound(level: float, seconds: float = 0.5) -> Waveform:
    return Waveform(np.random.default_rng(0).normal(0, level, round(16_000 * seconds)).astype(np.float32), 16_000)


def test_statistics_of_mel_bands() -> None:
    quiet, loud = mel_embedding(sound(0.01)), mel_embedding(sound(0.1))
    assert quiet.shape == (2 * BANDS,)
    np.testing.assert_allclose(loud[:BANDS] - quiet[:BANDS], 2.0, atol=0.05)  # 20 dB
    np.testing.assert_allclose(loud[BANDS:], quiet[BANDS:], atol=0.05)
    time = np.arange(16_000) / 16_000
    tone = mel_embedding(Waveform(np.sin(2 * np.pi * 3000 * time).astype(np.float32), 16_000))
    assert int(tone[:BANDS].argmax()) == 13  # 3,000 Hz is mel 1,876; bands have their middles at multiples of 135.2
    assert np.isfinite(mel_embedding(Waveform(np.zeros(10, np.float32), 8_000))).all()
    made = MODELS.create(Spec("mel-statistics"))
    request = Request("embed", {"input": Audio("x")}, waveforms={"input": sound(0.1)})
    np.testing.assert_array_equal(made.generate([request])[0].embedding, loud)
    assert made.generate([Request("embed", text="a dog")])[0].status == "error"


def pair(embed: object, *, text: bool = True) -> EmbeddingPair:
    inner = OneByOne("inner", "f", frozenset({"embed"}), embed)  # type: ignore[arg-type]
    return EmbeddingPair("pair", inner, "g", True, text)


def test_a_pair_is_embedded_with_its_prompt() -> None:
    def embed(request: Request) -> Output:
        if request.text is not None:
            return Output(embedding=np.array([0.0, 2.0], np.float32))
        level = float(np.std(request.waveforms["input"].samples))
        return Output(embedding=np.array([0.0 if level < 0.05 else 1.0, 1.0], np.float32))

    waveforms = {"candidate": sound(0.1), "reference": sound(0.01)}
    request = Request("rate", {"candidate": Audio("a"), "reference": Audio("b")}, text="dog", waveforms=waveforms)
    found = pair(embed).generate([request])[0]
    assert found.labels == {"candidate_0": 1.0, "candidate_1": 1.0, "reference_0": 0.0, "reference_1": 1.0}
    assert found.score == pytest.approx(np.sqrt(0.5))
    assert pair(embed, text=False).generate([request])[0].score is None
    deaf = pair(lambda _: Output(status="error", error="deaf")).generate([request])[0]
    assert (deaf.status, deaf.error) == ("error", "deaf")
    pair(embed).close()


def test_a_pair_by_a_registered_model() -> None:
    spec = Spec("embedding-pair", (("model", "mel-statistics"), ("text", "false")))
    MODELS.check(spec)
    made = MODELS.create(spec)
    waveforms = {"candidate": sound(0.1), "reference": sound(0.1)}
    request = Request("rate", {"candidate": Audio("a"), "reference": Audio("b")}, waveforms=waveforms)
    labels = made.generate([request])[0].labels
    assert len(labels) == 4 * BANDS
    assert labels["candidate_3"] == labels["reference_3"]


def test_embeddings_of_controls() -> None:
    request = Request("embed", text="x")
    first, again, other = (one.embedding for one in oracle_embeddings().generate([request] * 3, ["a", "a", "b"]))
    np.testing.assert_array_equal(first, again)
    assert abs(float(np.dot(first, other))) < 0.5  # type: ignore[arg-type]
    blind = blind_embeddings().generate([request, Request("embed", text="y")])
    np.testing.assert_array_equal(blind[0].embedding, blind[1].embedding)
    oracle_embeddings().close()
