"""Settings of the `openai` adapter: what is refused before anything is sent, what names a model, which sound goes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.models.adapters.openai_client import is_local
from audiometry.models.adapters.openai_sound import sniff

SECRET = "sk-test-4f1d7c2a9b8e6503"
LOCAL = "openai:model=tiny,url=http://localhost:1/v1"


@pytest.fixture(autouse=True)
def without_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key is in the environment."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (f"{LOCAL},key={SECRET}", "a key is never a setting"),
        (f"{LOCAL},api-key={SECRET}", "put it into the environment variable OPENAI_API_KEY, or name another"),
        (f"{LOCAL},key_env={SECRET}", "give the variable's name, never the key itself"),
        (f"{LOCAL},key_env=NO_SUCH_KEY", "the environment variable NO_SUCH_KEY is not set"),
        ("openai:model=whisper-1", "the environment variable OPENAI_API_KEY is not set"),
        (f"openai:model=tiny,url=https://me:{SECRET}@host/v1", "a user, a password or a query"),
        (f"openai:model=tiny,url=https://host/v1?key={SECRET}", "a user, a password or a query"),
        (f"openai:model=tiny,url=https://host/v1#{SECRET}", "a user, a password or a query"),
        (f"openai:model=tiny,url={SECRET}", "not a URL like https://host:port/v1"),
        ("openai:model=tiny,url=ftp://host/v1", "not a URL"),
        ("openai:model=tiny,url=http://host:x/v1", "not a URL"),
        ("openai:model=tiny,url=http://[host/v1", "not a URL"),
        ("openai:model=tiny,url=http://localhost/v1/chat/completions/", "leave out /chat/completions at its end"),
        ("openai:model=,url=http://localhost:1/v1", "setting 'model': it is empty"),
        ("openai:url=http://localhost:1/v1", "needs the setting 'model'"),
        (f"{LOCAL},concurrency=0", "setting 'concurrency': 0 is out of range; give 1 to 10000"),
        (f"{LOCAL},timeout=0", "setting 'timeout'"),
        (f"{LOCAL},timeout=nan", "setting 'timeout'"),
        (f"{LOCAL},retries=-1", "setting 'retries'"),
        (f"{LOCAL},rate=-1", "setting 'rate'"),
        (f"{LOCAL},temperature=11", "setting 'temperature'"),
        (f"{LOCAL},max_tokens=0", "setting 'max_tokens'"),
        (f"{LOCAL},price_audio_in=-1", "setting 'price_audio_in'"),
        (f"{LOCAL},api=images", "is not one of auto, transcriptions, chat, speech"),
        (f"{LOCAL},prompt=@/nowhere/prompt.txt", "cannot read '/nowhere/prompt.txt'"),
    ],
)
def test_a_bad_setting_is_refused_and_no_key_repeated(spec: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        MODELS.check(parse_spec(spec))
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_key_does_not_travel_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with pytest.raises(UserError, match="the key would travel readable"):
        MODELS.check(parse_spec("openai:model=tiny,url=http://host/v1"))
    for spec in (LOCAL, "openai:model=tiny,url=http://host/v1,key_env=none", "openai:model=tiny,url=https://host/v1"):
        MODELS.check(parse_spec(spec))


@pytest.mark.parametrize("value", ["two words", "line\x07", "schlüssel"])
def test_a_key_of_other_characters_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(UserError, match="OPENAI_API_KEY holds no key") as caught:
        MODELS.check(parse_spec(LOCAL))
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost/v1", True),
        ("http://node.localhost:80", True),
        ("http://127.1.2.3", True),
        ("http://[::1]:8", True),
        ("http://127.0.0.1.example.org", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example.org", False),
    ],
)
def test_what_is_local(url: str, local: bool) -> None:
    assert is_local(url) is local


def fingerprint(spec: str) -> str | None:
    return MODELS.fingerprint(parse_spec(spec))


def test_the_fingerprint_is_what_may_change_an_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = fingerprint(LOCAL)
    for same in ("concurrency=9", "timeout=9", "retries=9", "patience=9", "rate=9", "price_in=9", "label=ours"):
        assert fingerprint(f"{LOCAL},{same}") == plain
    assert fingerprint(LOCAL.replace("/v1", "/v1/")) == plain
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    assert fingerprint(LOCAL) == plain
    monkeypatch.setenv("OPENAI_API_KEY", SECRET[::-1])
    assert fingerprint(LOCAL) == plain
    file = tmp_path / "prompt.txt"
    file.write_text("Listen.")
    others = ["temperature=0.5", "temperature=none", "max_tokens=9", "prompt=Listen.", "voice=coral", "audio_out=1"]
    others.append("api=chat")
    found = [fingerprint(f"{LOCAL},{other}") for other in others]
    found += [fingerprint(LOCAL.replace("tiny", "large")), fingerprint(LOCAL.replace(":1/", ":2/")), plain]
    assert len(set(found)) == len(found)
    assert fingerprint(f"{LOCAL},prompt=@{file}") == fingerprint(f"{LOCAL},prompt=Listen.")


def test_the_name_is_what_was_typed_or_the_label() -> None:
    spec = parse_spec(f"{LOCAL},concurrency=9,temperature=0.5")
    assert MODELS.create(spec).name == str(spec)
    assert MODELS.create(parse_spec(f"{LOCAL},label=ours")).name == "ours"


def written(samples: Any, **told: Any) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 8000, **told)
    return buffer.getvalue()


NOISE = np.random.default_rng(0).normal(0.0, 0.1, 4000)
PLAIN = written(NOISE, format="WAV", subtype="PCM_16")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PLAIN, "wav"),
        (written(NOISE, format="FLAC"), "flac"),
        (written(NOISE, format="OGG", subtype="VORBIS"), "ogg"),
        (written(NOISE, format="MP3"), "mp3"),
        (b"ID3\x04" + bytes(100), "mp3"),
        (written(NOISE, format="WAV", subtype="FLOAT"), ""),
        (written(NOISE, format="WAV", subtype="ULAW"), ""),
        (written(np.stack([NOISE, NOISE], 1), format="WAV", subtype="PCM_16"), ""),
        (PLAIN[:-2], ""),
        (PLAIN[:44], ""),
        (PLAIN[:20], ""),
        (PLAIN.replace(b"data", b"LIST"), ""),
        (b"RIFF", ""),
        (b"\xff\xf1 AAC", ""),
        (b"text", ""),
        (b"", ""),
    ],
)
def test_only_what_endpoints_read_goes_as_it_is(content: bytes, kind: str) -> None:
    assert sniff(content) == kind
