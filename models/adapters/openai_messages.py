"""What is sent to an OpenAI-compatible endpoint, and what its answers mean.

The forms are those of OpenAI's API reference: ``POST audio/transcriptions`` (multipart), ``POST chat/completions``
with ``input_audio`` parts and ``POST audio/speech`` (JSON).
"""

from __future__ import annotations

import base64
import json
import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from audiometry.benchmark.types import Output, Request, Turn
from audiometry.models.adapters.common import text_output
from audiometry.models.adapters.openai_sound import Sound

__all__ = [
    "SAY",
    "TRANSCRIBE",
    "MalformedError",
    "chat_messages",
    "chat_output",
    "json_body",
    "multipart_body",
    "parsed",
    "transcript",
    "used",
]

TRANSCRIBE = (
    "Transcribe the speech in this recording word for word, in the language that is spoken. "
    "Answer with the transcript and nothing else."
)
"""What a chat model is told with a recording to transcribe, unless the request or the setting `prompt` says more."""

SAY = "Say the following text aloud, word for word, and nothing else:"

JSON = "application/json"
_EDGE = secrets.token_hex(16)

TOKENS = {
    "input_tokens": (("prompt_tokens",), ("input_tokens",)),
    "output_tokens": (("completion_tokens",), ("output_tokens",)),
    "input_audio_tokens": (("prompt_tokens_details", "audio_tokens"), ("input_token_details", "audio_tokens")),
    "output_audio_tokens": (("completion_tokens_details", "audio_tokens"), ("output_token_details", "audio_tokens")),
    "audio_seconds": (("seconds",),),
}
"""Our names of what an answer used, and where chat and transcription answers tell it."""


class MalformedError(Exception):
    """An answer that is not of the promised form, or a question that the endpoint has no form for."""


def multipart_body(sound: Sound, fields: Mapping[str, str | None]) -> tuple[bytes, str]:
    """Content and type of a form with a sound file and the fields that are not None.

    The file is called ``audio`` and its format: its own name may hold what is said in it.
    """
    parts: list[bytes] = []
    for name, value in fields.items():
        if value is not None:
            parts.append(f'--{_EDGE}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    parts.append(
        f'--{_EDGE}\r\nContent-Disposition: form-data; name="file"; filename="audio.{sound.kind}"\r\n'
        f"Content-Type: audio/{sound.kind}\r\n\r\n".encode()
    )
    parts += [sound.content, f"\r\n--{_EDGE}--\r\n".encode()]
    return b"".join(parts), f"multipart/form-data; boundary={_EDGE}"


def json_body(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """Content and type of a JSON body with the fields that are not None."""
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode(), JSON


def chat_messages(
    request: Request, sounds: Mapping[str, Sound], turn_sounds: Mapping[int, Sound], prompt: str
) -> list[dict[str, Any]]:
    """The messages of a request: the turns so far, then one of the user.

    To `transcribe`, its parts are the recording and the request's instruction, or else `prompt` or `TRANSCRIBE`; to
    `synthesize`, the same with `SAY`, and the text. Otherwise they are the instruction, the recordings and the text
    as far as the request has them, and `prompt` is a system message before all.

    `sounds` are by role, `turn_sounds` by the turn's place.

    Raises MalformedError for a request that asks nothing, or an assistant's turn that is sound alone.
    """
    system: list[dict[str, Any]] = []
    instruction = request.instruction
    if request.ability in ("transcribe", "synthesize"):
        instruction = instruction or prompt or (TRANSCRIBE if request.ability == "transcribe" else SAY)
    elif prompt:
        system = [{"role": "system", "content": prompt}]
    parts = [*_text(instruction), *map(_sound, sounds.values()), *_text(request.text)]
    if not parts:
        raise MalformedError("the request holds neither words nor sound")
    turns = [_message(turn, turn_sounds.get(place)) for place, turn in enumerate(request.turns)]
    return [*system, *turns, {"role": "user", "content": parts}]


def _message(turn: Turn, sound: Sound | None) -> dict[str, Any]:
    if turn.role != "user":
        if turn.text is None:
            raise MalformedError(f"a turn of the {turn.role} without text; endpoints take no sound there")
        return {"role": turn.role, "content": turn.text}
    return {"role": "user", "content": [*([] if sound is None else [_sound(sound)]), *_text(turn.text)]}


def _text(text: str | None) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}] if text else []


def _sound(sound: Sound) -> dict[str, Any]:
    data = base64.b64encode(sound.content).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": sound.kind}}


def parsed(content: bytes) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises MalformedError for anything else.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise MalformedError("the answer is not a JSON object")
    return found


def transcript(answer: Mapping[str, Any]) -> Output:
    """The Output of a transcription.

    Raises MalformedError for an answer without a text.
    """
    if not isinstance(answer.get("text"), str):
        raise MalformedError("the answer has no text")
    return text_output(answer["text"])


def chat_output(answer: Mapping[str, Any]) -> tuple[Output, bytes]:
    """The Output of a chat answer's first choice, and the sound file in it (empty where there is none).

    A `refusal`, or the finish reason ``content_filter``, is the status ``refused``. An answer cut off at the longest
    (finish reason ``length``) is an answer; its usage says ``truncated``.

    Raises MalformedError for an answer without a message.
    """
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        raise MalformedError("the answer has no message")
    reason = choice.get("finish_reason")
    text = _message_text(message.get("content"))
    refusal = message.get("refusal")
    if (isinstance(refusal, str) and refusal.strip()) or reason == "content_filter":
        return Output(status="refused", text=refusal if isinstance(refusal, str) else text), b""
    sound = message.get("audio")
    content = b""
    if isinstance(sound, dict):
        text = text or str(sound.get("transcript") or "")
        try:
            content = base64.b64decode(sound.get("data") or "", validate=True)
        except (ValueError, TypeError):
            raise MalformedError("the sound in the answer is not base64") from None
    output = text_output(text)
    return (replace(output, usage={"truncated": 1.0}) if reason == "length" else output), content


def _message_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    raise MalformedError("the answer's content is neither a text nor a list of parts")


def used(answer: Mapping[str, Any]) -> dict[str, float]:
    """Tokens and seconds of sound that an answer says it used, as far as it says so in finite numbers."""
    usage = answer.get("usage")
    found: dict[str, float] = {}
    for name, places in TOKENS.items():
        value = _first_number(usage, places)
        if value is not None:
            found[name] = value
    return found


def _first_number(usage: Any, places: Iterable[tuple[str, ...]]) -> float | None:
    for place in places:
        value = usage
        for step in place:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
            return float(value)
    return None
