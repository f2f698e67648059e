"""The `openai` adapter against an endpoint on this machine: what is sent, and what the answers become."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.model_kinds import WaitingModel
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Audio, Output, Request, Transform, Turn
from audiometry.models.adapters import openai_client, openai_messages, openai_sound

Ask = Callable[..., list[Output]]
Clips = Callable[..., list[Request]]


def test_each_recording_gets_its_own_transcript(ask: Ask, clips: Clips, endpoint: Any) -> None:
    outputs = ask(clips(40, language="en"), concurrency="8")
    assert [(output.status, output.text) for output in outputs] == [("ok", f"this is clip {n}") for n in range(40)]
    assert {output.usage["attempts"] for output in outputs} == {1.0}
    assert all(output.timings["total"] > 0.0 for output in outputs)
    assert endpoint.most_under_way <= 8
    assert endpoint.connections <= 8  # kept open
    assert {(one["model"], one["language"], one["temperature"]) for one in endpoint.seen} == {("tiny", "en", "0")}


def test_the_form_is_one_that_another_reader_understands(clips: Clips) -> None:
    from email import message_from_bytes

    sound = Path(clips(1)[0].audios["input"].path).read_bytes()
    fields = {"model": "whisper-1", "prompt": 'é "quoted"', "language": None}
    body, kind = openai_messages.multipart_body(openai_messages.Sound(sound, "wav"), fields)
    parts = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload()
    found = {part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True) for part in parts}
    assert found == {"model": b"whisper-1", "prompt": 'é "quoted"'.encode(), "file": sound}
    assert parts[-1].get_filename() == "audio.wav"


def test_the_file_goes_as_it_is_and_its_name_stays(ask: Ask, clips: Clips, endpoint: Any) -> None:
    (request,) = clips(1)
    ask([request], concurrency="1")
    assert endpoint.seen[0]["file"] == Path(request.audios["input"].path).read_bytes()
    assert "clip-000" not in str(endpoint.seen[0])


@pytest.mark.parametrize(
    ("audio", "seconds"),
    [
        ({"start": 0.02}, 0.08),
        ({"end": 0.05}, 0.05),
        ({"transforms": (Transform("half"),)}, 0.1),
    ],
    ids=["start", "end", "transform"],
)
def test_what_is_heard_goes_where_it_is_not_the_file(
    ask: Ask, clips: Clips, endpoint: Any, audio: dict[str, Any], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audiometry.benchmark.registry import TRANSFORMS, Entry

    def half(waveform: Any, generator: Any) -> Any:
        return replace(waveform, samples=waveform.samples / 2)

    monkeypatch.setitem(TRANSFORMS._entries, "half", Entry("half", half, "", ""))
    (request,) = clips(1)
    whole, _ = soundfile.read(request.audios["input"].path)
    ask([replace(request, audios={"input": replace(request.audios["input"], **audio)})])
    sent, rate = soundfile.read(io.BytesIO(endpoint.seen[0]["file"]))
    assert (rate, len(sent)) == (8000, round(8000 * seconds))
    at = round(8000 * audio.get("start", 0.0))
    scale = 0.5 if "transforms" in audio else 1.0
    assert np.abs(sent - scale * whole[at : at + len(sent)]).max() < 1e-4


def test_a_chat_model_transcribes(ask: Ask, clips: Clips, endpoint: Any) -> None:
    outputs = ask(clips(3), api="chat", max_tokens="50")
    assert [output.text for output in outputs] == [f"this is clip {n}" for n in range(3)]
    assert outputs[0].usage == {
        "attempts": 1.0, "input_tokens": 70.0, "output_tokens": 30.0,
        "input_audio_tokens": 50.0, "output_audio_tokens": 0.0,
    }  # fmt: skip
    asked = next(one for one in endpoint.seen if one["path"] == "/v1/chat/completions")
    (message,) = asked["messages"]
    words, sound = message["content"]
    assert (words["text"], sound["input_audio"]["format"]) == (openai_messages.TRANSCRIBE, "wav")
    assert (asked["temperature"], asked["max_completion_tokens"]) == (0.0, 50)
    assert not {"seed", "modalities", "audio"} & set(asked)


def test_the_requests_instruction_goes_before_the_setting(ask: Ask, clips: Clips, endpoint: Any) -> None:
    ask(clips(1), api="chat", prompt="Write down what is said.")
    ask(clips(1, instruction="Type it out."), api="chat", prompt="Write down what is said.")
    ask(clips(1), prompt="Words to expect: okapi")
    said = [one["messages"][0]["content"][0]["text"] for one in endpoint.seen[:2]]
    assert said == ["Write down what is said.", "Type it out."]
    assert endpoint.seen[2]["prompt"] == "Words to expect: okapi"


def test_a_prompt_may_be_a_file(ask: Ask, clips: Clips, endpoint: Any, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("One, two, three.\n")
    ask(clips(1), prompt=f"@{file}")
    assert endpoint.seen[0]["prompt"] == "One, two, three."


def test_a_dialogue_goes_turn_by_turn(ask: Ask, clips: Clips, endpoint: Any) -> None:
    (clip,) = clips(1)
    turns = (
        Turn("user", "Listen.", clip.audios["input"]),
        Turn("assistant", "I did."),
        Turn("user", "And now?"),
    )
    request = Request("respond", clip.audios, text="What was it?", instruction="Be brief.", turns=turns, seed=2**40 + 7)
    (output,) = ask([request], prompt="You are kind.", temperature="0.5")
    assert output.text == "this is clip 0"
    asked = endpoint.seen[0]
    assert [message["role"] for message in asked["messages"]] == ["system", "user", "assistant", "user", "user"]
    assert asked["messages"][0]["content"] == "You are kind."
    kinds = [[part["type"] for part in message["content"]] for message in (asked["messages"][1], asked["messages"][4])]
    assert kinds == [["input_audio", "text"], ["text", "input_audio", "text"]]
    assert (asked["seed"], asked["temperature"]) == ((2**40 + 7) % 2**31, 0.5)


def test_a_class_is_a_label(ask: Ask, clips: Clips) -> None:
    (output,) = ask([replace(clips(1)[0], ability="classify", instruction="Which clip?")])
    assert (output.status, output.labels) == ("ok", {"this is clip 0": 1.0})


def test_speech_is_synthesised_by_either_api(ask: Ask, endpoint: Any) -> None:
    request = Request("synthesize", text="Hello.", instruction="Whisper it.")
    (spoken,) = ask([request], voice="coral")
    assert spoken.audio is not None
    assert (spoken.status, spoken.audio.rate, len(spoken.audio.samples)) == ("ok", 24000, 7200)
    asked = endpoint.seen[0]
    assert asked["path"] == "/v1/audio/speech"
    assert [asked[name] for name in ("input", "voice", "instructions", "response_format")] == [
        "Hello.", "coral", "Whisper it.", "wav",
    ]  # fmt: skip
    (said,) = ask([replace(request, instruction=None)], api="chat")
    assert (said.status, said.text) == ("ok", f"{openai_messages.SAY} Hello.")
    assert said.audio is not None
    assert endpoint.seen[1]["audio"] == {"voice": "alloy", "format": "wav"}


def test_a_reply_may_be_spoken(ask: Ask) -> None:
    (output,) = ask([Request("respond", text="Hello?")], audio_out="true")
    assert (output.text, output.audio is not None) == ("Hello?", True)


@pytest.mark.parametrize(
    ("message", "finish", "status", "text", "truncated"),
    [
        ({"content": None, "refusal": "I cannot do that."}, "stop", "refused", "I cannot do that.", None),
        ({"content": "I had begun"}, "content_filter", "refused", "I had begun", None),
        ({"content": "and so on and"}, "length", "ok", "and so on and", 1.0),
        ({"content": " \n"}, "stop", "empty", "", None),
        ({"content": None}, "stop", "empty", "", None),
        ({"content": [{"text": "in "}, {"text": "parts"}]}, "stop", "ok", "in parts", None),
    ],
)
def test_what_a_chat_answer_means(
    ask: Ask, endpoint: Any, message: dict[str, Any], finish: str, status: str, text: str, truncated: float | None
) -> None:
    endpoint.message, endpoint.finish = message, finish
    (output,) = ask([Request("respond", text="Hello?")])
    assert (output.status, output.text, output.usage.get("truncated")) == (status, text, truncated)


def test_a_filter_that_answers_400_is_a_refusal(ask: Ask, endpoint: Any, server: Any) -> None:
    body = json.dumps({"error": {"message": "The prompt was filtered.", "code": "content_filter"}}).encode()
    endpoint.faults["*"] = server.Fault(status=400, body=body, times=None)
    (output,) = ask([Request("respond", text="Hello?")])
    assert (output.status, output.error) == ("refused", "the server answered 400: The prompt was filtered.")


MALFORMED = {
    "not JSON": (b"<html>Bad gateway</html>", "is not a JSON object (text/html): <html>Bad gateway</html>"),
    "cut": (b'{"text": "half', "is not a JSON object"),
    "a list": (b"[1]", "is not a JSON object"),
    "deep": (b"[" * 100_000, "is not a JSON object"),
    "no text": (b'{"text": null}', "has no text"),
    "an error": (b'{"error": {"message": "no such model"}}', "no such model"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_transcription_is_an_error(ask: Ask, clips: Clips, endpoint: Any, server: Any, case: str) -> None:
    body, told = MALFORMED[case]
    endpoint.faults["*"] = server.Fault(status=200, body=body, headers={"Content-Type": "text/html"}, times=None)
    (output,) = ask(clips(1))
    assert (output.status, output.text) == ("error", None)
    assert told in (output.error or "")
    assert len(output.error or "") < 400
    assert output.usage == {"attempts": 1.0}


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"message": "text"}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"content": "x", "audio": {"data": "@@@"}}}]},
        {"choices": [{"message": {"content": "x", "audio": {"data": 5}}}]},
        {"choices": [{"message": {"content": "x", "audio": {"data": base64.b64encode(b"no sound").decode()}}}]},
    ],
)
def test_a_malformed_chat_answer_is_an_error(ask: Ask, endpoint: Any, server: Any, answer: dict[str, Any]) -> None:
    endpoint.faults["*"] = server.Fault(status=200, body=json.dumps(answer).encode())
    (output,) = ask([Request("respond", text="Hello?")])
    assert (output.status, output.text) == ("error", None)


def test_sound_that_is_none_is_an_error(ask: Ask, endpoint: Any, server: Any) -> None:
    endpoint.faults["*"] = server.Fault(status=200, body=b"text", headers={"Content-Type": "text/plain"})
    (output,) = ask([Request("synthesize", text="Hello.")])
    assert output.status == "error"
    assert "the sound that the server sent: cannot be decoded" in (output.error or "")


@pytest.mark.parametrize(
    ("request_", "api", "told"),
    [
        (Request("transcribe"), "auto", "takes one recording, in the role 'input'"),
        (Request("respond"), "auto", "neither words nor sound"),
        (Request("respond", text="Hello?"), "speech", "api=speech cannot respond, it can: synthesize"),
        (Request("synthesize"), "auto", "takes a text and no recordings"),
        (Request("synthesize", {"voice": Audio("a.wav")}, text="Hello."), "auto", "takes a text and no recordings"),
        (Request("respond", text="And?", turns=(Turn("assistant", None, Audio("a.wav", end=1.0)),)), "auto", "opened"),
        (Request("transcribe", {"input": Audio("/nowhere/a.wav")}), "auto", "/nowhere/a.wav: cannot be opened"),
    ],
)
def test_what_cannot_be_asked_is_not_sent(ask: Ask, endpoint: Any, request_: Request, api: str, told: str) -> None:
    (output,) = ask([request_], api=api)
    assert output.status == "error"
    assert told in (output.error or "")
    assert not endpoint.seen


def test_an_assistants_turn_of_sound_alone_is_refused(ask: Ask, clips: Clips) -> None:
    turn = Turn("assistant", None, clips(1)[0].audios["input"])
    (output,) = ask([Request("respond", text="And?", turns=(turn,))])
    assert output.error == "a turn of the assistant without text; endpoints take no sound there"


@pytest.mark.parametrize(
    ("usage", "prices", "cost"),
    [
        (None, {"price_in": "2"}, None),
        (None, {"price_minute": "6"}, 0.01),
        ({"type": "duration", "seconds": 3}, {"price_minute": "6"}, 0.3),
        (
            {"input_tokens": 10, "output_tokens": 5, "input_token_details": {"audio_tokens": 8}},
            {"price_in": "1", "price_audio_in": "100", "price_out": "10"},
            (2 + 800 + 50) / 1e6,
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5}, {"price_out": "10"}, 50 / 1e6),
        ({"prompt_tokens": 10, "completion_tokens": 5}, {}, None),
        ({"prompt_tokens": -1, "completion_tokens": float("nan")}, {"price_out": "10"}, None),
        ("much", {"price_in": "1"}, None),
    ],
)
def test_the_cost_is_what_the_prices_say(
    ask: Ask, clips: Clips, endpoint: Any, usage: Any, prices: dict[str, str], cost: float | None
) -> None:
    endpoint.usage = usage
    (output,) = ask(clips(1), **prices)
    assert output.status == "ok"
    assert output.usage.get("cost") == (None if cost is None else pytest.approx(cost, rel=1e-9))


@pytest.mark.parametrize(("kind", "more"), [("flac", {}), ("ogg", {"subtype": "VORBIS"}), ("mp3", {})])
def test_packed_sound_goes_as_it_is_if_it_is_whole(
    ask: Ask, clips: Clips, endpoint: Any, tmp_path: Path, kind: str, more: dict[str, str]
) -> None:
    path, cut = tmp_path / f"whole.{kind}", tmp_path / f"cut.{kind}"
    soundfile.write(path, np.random.default_rng(0).normal(0.0, 0.1, 16000), 8000, format=kind.upper(), **more)
    cut.write_bytes(path.read_bytes()[: 40 if kind == "mp3" else 2000])
    (clip,) = clips(1)
    whole, broken = ask([replace(clip, audios={"input": Audio(str(file))}) for file in (path, cut)], price_minute="30")
    assert (whole.status, whole.usage["cost"]) == ("ok", pytest.approx(1.0, abs=0.05))
    assert [one["file"] for one in endpoint.seen] == [path.read_bytes()]
    assert broken.status == "error"
    assert str(cut) in (broken.error or "")
    ask([replace(clip, audios={"input": Audio(str(path))})], api="chat")
    asked = endpoint.seen[1]["messages"][0]["content"][1]["input_audio"]
    assert asked["format"] == ("mp3" if kind == "mp3" else "wav")


def test_a_pipe_is_not_waited_for(ask: Ask, clips: Clips, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (output,) = ask([replace(clips(1)[0], audios={"input": Audio(str(tmp_path / "pipe.wav"))})])
    assert output.status == "error"
    assert "pipe.wav" in (output.error or "")


def test_large_sound_goes_and_too_large_sound_does_not(ask: Ask, clips: Clips, endpoint: Any, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0.0, 0.1, 800_000), 8000, subtype="PCM_16")
    request = replace(clips(1)[0], audios={"input": Audio(str(path))})
    sent, kept = ask([request]) + ask([request], max_upload="1")
    assert sent.status == "ok"
    assert endpoint.seen[0]["file"] == path.read_bytes()
    assert (kept.status, len(endpoint.seen)) == ("error", 1)
    assert "1.6 MB to send, and at most 1 MB are allowed" in (kept.error or "")


def test_an_answer_without_end_is_given_up(
    ask: Ask, clips: Clips, endpoint: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_client, "LARGEST_ANSWER", 2**22)
    endpoint.faults["*"] = server.Fault("endless", times=None)
    (output,) = ask(clips(1))
    assert (output.status, output.error) == ("error", "the answer is larger than 4 MiB")
    endpoint.faults["*"] = server.Fault(status=200, body=b" " * (2**22 + 1), times=None)
    (output,) = ask(clips(1))
    assert (output.status, output.error) == ("error", "the answer is larger than 4 MiB")


def test_files_far_away_are_read_by_threads(ask: Ask, clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = set()
    content = openai_sound._content

    def noted(path: str, largest: int) -> bytes:
        readers.add(threading.current_thread() is threading.main_thread())
        return content(path, largest)

    monkeypatch.setattr(openai_sound, "_content", noted)
    monkeypatch.setattr(openai_sound, "_reading", openai_sound._ReadingTime())
    assert ask(clips(2))[1].text == "this is clip 1"
    assert readers == {True}
    openai_sound._reading.note(1.0)
    assert ask(clips(2))[1].text == "this is clip 1"
    assert readers == {True, False}
    for _ in range(200):
        openai_sound._reading.note(0.0)
    assert not openai_sound._reading.slow


@pytest.mark.parametrize(
    ("known", "seconds"), [({"seconds": 7.0}, 7.0), ({"start": 0.02, "end": 0.05}, 0.03), ({"start": 0.04}, 0.06)]
)
def test_how_long_a_recording_is(clips: Clips, known: dict[str, float], seconds: float) -> None:
    audio = replace(clips(1)[0].audios["input"], **known)
    assert asyncio.run(openai_sound.seconds_of(audio)) == pytest.approx(seconds)


def test_it_is_a_waiting_model() -> None:
    model = MODELS.create(Spec("openai", (("model", "tiny"), ("url", "http://localhost:1/v1"), ("concurrency", "9"))))
    assert isinstance(model, WaitingModel)
    assert (model.concurrency, model.deterministic) == (9, False)
    entry = MODELS.get("openai")
    assert (entry.waits, entry.waveforms) == (True, False)
    assert model.abilities == entry.abilities
