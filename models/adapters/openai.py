"""Models behind OpenAI-compatible endpoints: transcription, chat with sound, and speech.

The key comes from the environment alone. It is sent and appears nowhere else: not in settings, names, fingerprints,
errors or answers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from audiometry.benchmark.errors import AudioError, DataError, SettingError
from audiometry.benchmark.registry import model as register
from audiometry.benchmark.types import Ability, Output, Request
from audiometry.models.adapters.common import fingerprint, shown_name
from audiometry.models.adapters.openai_client import Client, EndpointError, Key, Limits, Reply, is_local
from audiometry.models.adapters.openai_messages import (
    MalformedError,
    chat_messages,
    chat_output,
    json_body,
    multipart_body,
    parsed,
    transcript,
    used,
)
from audiometry.models.adapters.openai_sound import decoded, load, seconds_of

__all__ = ["OpenAI"]

VERSION = "openai 1"
OWNER = "model 'openai'"
KEY_VARIABLE = "OPENAI_API_KEY"

Api = Literal["auto", "transcriptions", "chat", "speech"]

PATHS: Mapping[Api, str] = {
    "transcriptions": "audio/transcriptions",
    "chat": "chat/completions",
    "speech": "audio/speech",
}

ABLE: Mapping[Api, Mapping[Ability, Api]] = {
    "transcriptions": {"transcribe": "transcriptions"},
    "chat": {"transcribe": "chat", "respond": "chat", "classify": "chat", "synthesize": "chat"},
    "speech": {"synthesize": "speech"},
    "auto": {"transcribe": "transcriptions", "respond": "chat", "classify": "chat", "synthesize": "speech"},
}
"""Which API answers an ability, by the setting `api`."""

SEEDS = 2**31
"""Servers keep a seed in 32 bits."""

UPLOADED = frozenset({"wav", "mp3", "flac", "ogg"})
REPORTED = ("model", "system_fingerprint")
"""What an answer may say of who made it."""

HEARD_IN_CHAT = frozenset({"wav", "mp3"})

RANGES: Mapping[str, tuple[float, float]] = {
    "concurrency": (1, 10_000),
    "timeout": (0.001, 86_400),
    "retries": (0, 1_000),
    "patience": (0, 86_400),
    "rate": (0, 1e9),
    "token_rate": (0, 1e12),
    "temperature": (0, 10),
    "max_tokens": (1, 1e9),
    "max_upload": (0.001, 10_000),
    "price_in": (0, 1e6),
    "price_out": (0, 1e6),
    "price_audio_in": (0, 1e6),
    "price_audio_out": (0, 1e6),
    "price_minute": (0, 1e6),
}


@dataclass(kw_only=True, eq=False)
class OpenAI:
    """A model behind an OpenAI-compatible endpoint: transcription, chat with sound, or speech.

    The arguments are the model's settings; ``docs/endpoints.md`` explains each.

    Raises SettingError for a bad one, and for a key that is given as a setting or is not in the environment.
    """

    model: str
    url: str = "https://api.openai.com/v1"
    api: Api = "auto"
    key_env: str | None = KEY_VARIABLE
    concurrency: int = 64
    timeout: float = 60.0
    retries: int = 5
    patience: float = 300.0
    rate: float = 0.0
    token_rate: float = 0.0
    prompt: str = ""
    temperature: float | None = 0.0
    max_tokens: int | None = None
    voice: str = "alloy"
    audio_out: bool = False
    max_upload: float = 25.0
    price_in: float = 0.0
    price_out: float = 0.0
    price_audio_in: float | None = None
    price_audio_out: float | None = None
    price_minute: float = 0.0
    label: str = ""
    key: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    deterministic: bool = field(default=False, init=False)
    _client: Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check_ranges()
        self.url = _checked_url(self.url)
        key = self._key()
        if key is not None and self.url.startswith("http:") and not is_local(self.url):
            raise SettingError(
                f"{OWNER}, setting 'url': the key would travel readable; give https, a tunnel on this machine, or "
                "key_env=none to send no key"
            )
        self._prompt = _text_or_file(self.prompt)
        limits = Limits(self.concurrency, self.timeout, self.retries, self.patience, self.rate, self.token_rate)
        self._client = Client(self.url, limits, key)

    @property
    def name(self) -> str:
        """The label, or the settings as they were typed."""
        settings = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        return self.label or shown_name("openai", OpenAI, settings)

    @property
    def abilities(self) -> frozenset[Ability]:
        """What the chosen API can be asked for."""
        return frozenset(ABLE[self.api])

    @property
    def fingerprint(self) -> str:
        """A hash of what is asked of whom. What the endpoint runs under that name cannot be told from here."""
        names = ("url", "model", "api", "temperature", "max_tokens", "voice", "audio_out")
        settings = {name: getattr(self, name) for name in names}
        return fingerprint(VERSION, (), settings=settings | {"prompt": self._prompt})

    async def answer(self, request: Request) -> Output:
        """Ask the endpoint, with retries. Whatever goes wrong is the output's status and error.

        ``timings["total"]`` is the time of the attempt that was answered; retries and waiting for rates are left out.
        """
        try:
            api = self._api(request)
            reply = await self._client.post(PATHS[api], *await self._question(api, request), seed=request.seed)
        except EndpointError as error:
            return Output(status=error.status, error=str(error), usage={"attempts": float(error.attempts)})
        except (AudioError, MalformedError) as error:
            return Output(status="error", error=str(error))
        usage = {"attempts": float(reply.attempts)}
        answer: Mapping[str, Any] = {}
        try:
            answer = {} if api == "speech" else parsed(reply.content)
            usage |= await self._usage(request, reply, answer)
            output = await self._output(api, request, reply, answer)
        except (AudioError, MalformedError) as error:
            said = self._client.shown(reply.content[:10_000].decode("utf-8", "replace"))
            output = Output(status="error", error=f"{error} ({self._client.shown(reply.content_type)}): {said}")
        facts = {name: self._client.hide(answer[name]) for name in REPORTED if isinstance(answer.get(name), str)}
        return replace(output, usage={**usage, **output.usage}, facts=facts, timings={"total": reply.seconds})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _api(self, request: Request) -> Api:
        if request.ability not in ABLE[self.api]:
            raise MalformedError(
                f"api={self.api} cannot {request.ability}, it can: {', '.join(sorted(self.abilities))}; "
                "give the setting api another value"
            )
        return ABLE[self.api][request.ability]

    async def _question(self, api: Api, request: Request) -> tuple[bytes, str]:
        """Content and type of what is posted."""
        if api == "transcriptions":
            return await self._transcription(request)
        if api == "chat":
            return await self._chat(request)
        if request.audios or request.text is None:
            raise MalformedError("the speech API takes a text and no recordings")
        return json_body(
            {
                "model": self.model,
                "input": request.text,
                "voice": self.voice,
                "instructions": request.instruction or self._prompt or None,
                "response_format": "wav",
            }
        )

    async def _transcription(self, request: Request) -> tuple[bytes, str]:
        if set(request.audios) != {"input"}:
            raise MalformedError("the transcriptions API takes one recording, in the role 'input'")
        form = {
            "model": self.model,
            "language": request.language,
            "prompt": request.instruction or self._prompt or None,
            "temperature": None if self.temperature is None else f"{self.temperature:g}",
            "response_format": "json",
        }
        return multipart_body(await load(request.audios["input"], UPLOADED, largest=self._largest), form)

    async def _chat(self, request: Request) -> tuple[bytes, str]:
        sounds = {
            role: await load(audio, HEARD_IN_CHAT, largest=self._largest) for role, audio in request.audios.items()
        }
        turn_sounds = {
            place: await load(turn.audio, HEARD_IN_CHAT, largest=self._largest)
            for place, turn in enumerate(request.turns)
            if turn.audio is not None
        }
        speaks = self.audio_out or request.ability == "synthesize"
        return json_body(
            {
                "model": self.model,
                "messages": chat_messages(request, sounds, turn_sounds, self._prompt),
                "temperature": self.temperature,
                "seed": request.seed % SEEDS if self.temperature else None,
                "max_completion_tokens": self.max_tokens,
                "modalities": ["text", "audio"] if speaks else None,
                "audio": {"voice": self.voice, "format": "wav"} if speaks else None,
            }
        )

    async def _output(self, api: Api, request: Request, reply: Reply, answer: Mapping[str, Any]) -> Output:
        if api == "speech":
            return Output(audio=await decoded(reply.content))
        output, sound = (transcript(answer), b"") if api == "transcriptions" else chat_output(answer)
        if sound:
            output = replace(output, status="ok", audio=await decoded(sound))
        text = self._client.hide(output.text or "")
        classified = request.ability == "classify" and output.status == "ok" and text
        return replace(output, text=text, labels={text: 1.0} if classified else {})

    async def _usage(self, request: Request, reply: Reply, answer: Mapping[str, Any]) -> dict[str, float]:
        """What the answer says it used, and what that costs."""
        usage = used(answer)
        self._client.used(reply, usage.get("input_tokens", 0.0) + usage.get("output_tokens", 0.0))
        if self.price_minute and "audio_seconds" not in usage:
            usage["audio_seconds"] = sum([await seconds_of(audio) for audio in request.audios.values()])
        cost = self._cost(usage)
        return usage if cost is None else usage | {"cost": cost}

    def _cost(self, usage: Mapping[str, float]) -> float | None:
        """The price of one answer; None where no prices are set, or the answer does not tell what they are for."""
        cost = self.price_minute * usage.get("audio_seconds", 0.0) / 60.0
        prices = {
            "input": (self.price_in, self.price_audio_in),
            "output": (self.price_out, self.price_audio_out),
        }
        for way, (price, audio_price) in prices.items():
            if not (price or audio_price):
                continue
            if f"{way}_tokens" not in usage:
                return None
            sound = usage.get(f"{way}_audio_tokens", 0.0)
            of_sound = price if audio_price is None else audio_price
            cost += ((usage[f"{way}_tokens"] - sound) * price + sound * of_sound) / 1e6
        return cost if self.price_minute or any(price or audio for price, audio in prices.values()) else None

    @property
    def _largest(self) -> int:
        return round(self.max_upload * 1e6)

    def _check_ranges(self) -> None:
        if self.key or self.api_key:
            raise SettingError(
                f"{OWNER}: a key is never a setting, where shells, logs and run folders would keep it; "
                f"put it into the environment variable {KEY_VARIABLE}, or name another with key_env=NAME"
            )
        if not self.model:
            raise SettingError(f"{OWNER}, setting 'model': it is empty; give the name that the endpoint knows")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SettingError(f"{OWNER}, setting {name!r}: {value:g} is out of range; give {low:g} to {high:g}")

    def _key(self) -> Key | None:
        if self.key_env is None:
            return None
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_env):
            raise SettingError(
                f"{OWNER}, setting 'key_env': not the name of an environment variable (capitals, digits and '_'); "
                "give the variable's name, never the key itself"
            )
        value = os.environ.get(self.key_env, "").strip()
        if not value:
            if self.key_env == KEY_VARIABLE and urlsplit(self.url).hostname != "api.openai.com":
                return None
            raise SettingError(
                f"{OWNER}: the environment variable {self.key_env} is not set; export it, or give key_env=none "
                "for an endpoint without keys"
            )
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise SettingError(f"{OWNER}: the environment variable {self.key_env} holds no key, but other characters")
        return Key(value, self.key_env)


def _checked_url(url: str) -> str:
    """`url` without a slash at its end.

    Raises SettingError, which never repeats what stands in the URL, unless it is a plain base URL.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingError(f"{OWNER}, setting 'url': not a URL like https://host:port/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingError(
            f"{OWNER}, setting 'url': it holds a user, a password or a query, where secrets hide; "
            "give scheme, host, port and path alone, and the key in the environment"
        )
    path = parts.path.rstrip("/")
    ending = next((ending for ending in PATHS.values() if path.endswith(ending)), None)
    if ending is not None:
        raise SettingError(f"{OWNER}, setting 'url': leave out /{ending} at its end")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _text_or_file(prompt: str) -> str:
    """`prompt`, or what is in the file that it names after an ``@``."""
    if not prompt.startswith("@"):
        return prompt
    try:
        return Path(prompt[1:]).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise DataError(f"{OWNER}, setting 'prompt': cannot read {prompt[1:]!r}: {error}; give a text file") from error


def check(**settings: Any) -> None:
    """Check the settings, and that the key is there, without any connection.

    Raises SettingError or DataError.
    """
    OpenAI(**settings)


def identify(**settings: Any) -> str:
    """The fingerprint, without any connection."""
    return OpenAI(**settings).fingerprint


def able(*, api: Api = "auto", **_: Any) -> frozenset[Ability]:
    """What the chosen API can be asked for."""
    return frozenset(ABLE[api])


register("openai", abilities=ABLE["auto"], able=able, check=check, fingerprint=identify, waits=True, waveforms=False)(
    OpenAI
)
