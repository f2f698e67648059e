"""Retries, back-off, rates and the key: what stands between a question and its answer."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.types import Output, Request
from audiometry.models.adapters import openai_client
from audiometry.models.adapters.openai_client import Client, Key, Limits, Pace

Ask = Callable[..., list[Output]]
Clips = Callable[..., list[Request]]
SECRET = "sk-test-4f1d7c2a9b8e6503"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds."""
    monkeypatch.setattr(openai_client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(openai_client, "LONGEST_PAUSE", 0.02)


def texts(outputs: list[Output]) -> list[str | None]:
    return [output.text for output in outputs]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["408", "409", "429", "500", "502", "503", "cut", "half", "stall"])
def test_what_passes_is_tried_again(ask: Ask, clips: Clips, endpoint: Any, server: Any, kind: str) -> None:
    requests = clips(6)
    for digest in list(endpoint.transcripts)[:3]:
        endpoint.faults[digest] = server.Fault(status=int(kind)) if kind.isdigit() else server.Fault(kind, times=2)
    outputs = ask(requests, timeout="0.3")
    assert texts(outputs) == [f"this is clip {n}" for n in range(6)]
    tried = 2.0 if kind.isdigit() else 3.0
    assert [output.usage["attempts"] for output in outputs] == [tried] * 3 + [1.0] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 302])
def test_what_does_not_pass_is_not_tried_again(ask: Ask, clips: Clips, endpoint: Any, server: Any, status: int) -> None:
    body = json.dumps({"error": {"message": "you\nmust not " + "x" * 1000}}).encode()
    headers = {"Content-Type": "application/json", "Location": f"{endpoint.url}/audio/transcriptions"}
    endpoint.faults["*"] = server.Fault(status=status, body=body, headers=headers, times=None)
    (output,) = ask(clips(1))
    assert (output.status, output.usage) == ("error", {"attempts": 1.0})
    told = (output.error or "").split(";")
    assert told[0] == f"the server answered {status}: " + ("you must not " + "x" * 1000)[:300]
    assert told[1:] == ([" no key was sent (see the setting key_env)"] if status in (401, 403) else [])
    assert endpoint.asked.total() == 1


@pytest.mark.usefixtures("quick")
def test_what_never_passes_is_given_up(ask: Ask, clips: Clips, endpoint: Any, server: Any) -> None:
    endpoint.faults["*"] = server.Fault(times=None)
    (output,) = ask(clips(1), retries="2")
    assert output == Output(
        status="error",
        error="the server answered 500: the server had an error (3 attempts)",
        usage={"attempts": 3.0},
    )
    endpoint.faults["*"] = server.Fault("stall", times=None)
    (output,) = ask(clips(1), retries="1", timeout="0.2")
    assert (output.status, output.error) == ("timeout", "no answer within 0.2 s (2 attempts)")
    endpoint.faults["*"] = server.Fault("slow", times=None)
    (output,) = ask(clips(1), retries="0", timeout="0.2")
    assert (output.status, output.error) == ("timeout", "no answer within 0.2 s")


@pytest.mark.usefixtures("quick")
def test_nobody_there_is_told(ask: Ask, clips: Clips) -> None:
    (output,) = ask(clips(1), url="http://127.0.0.1:9/v1", retries="1")
    assert output.status == "error"
    assert (output.error or "").startswith("no answer from http://127.0.0.1:9/v1: ClientConnectorError:")
    assert (output.error or "").endswith("(2 attempts)")


def test_thirteen_errors_at_random_leave_500_answers(ask: Ask, clips: Clips, endpoint: Any, server: Any) -> None:
    requests = clips(500)
    for digest in random.Random(1).sample(sorted(endpoint.transcripts), 13):
        endpoint.faults[digest] = server.Fault()
    outputs = ask(requests)
    assert texts(outputs) == [f"this is clip {n}" for n in range(500)]
    assert sorted(output.usage["attempts"] for output in outputs)[-14:] == [1.0] + 13 * [2.0]


@pytest.mark.slow
def test_ten_stalled_requests_are_asked_again(ask: Ask, clips: Clips, endpoint: Any, server: Any) -> None:
    requests = clips(100)
    for digest in random.Random(1).sample(sorted(endpoint.transcripts), 10):
        endpoint.faults[digest] = server.Fault("stall", seconds=10.0)
    outputs = ask(requests, timeout="2")
    assert texts(outputs) == [f"this is clip {n}" for n in range(100)]
    assert sum(output.usage["attempts"] == 2.0 for output in outputs) == 10


@pytest.mark.usefixtures("quick")
def test_a_rate_that_the_server_keeps_is_waited_for(ask: Ask, clips: Clips, endpoint: Any) -> None:
    endpoint.rate = 50.0
    outputs = ask(clips(30), concurrency="16", retries="0")
    assert texts(outputs) == [f"this is clip {n}" for n in range(30)]
    assert endpoint.asked.total() > 30  # some were answered 429, which costs no retry


def test_retry_after_holds_up_every_request(ask: Ask, clips: Clips, endpoint: Any, server: Any) -> None:
    requests = clips(3)
    first = next(iter(endpoint.transcripts))
    endpoint.faults[first] = server.Fault(status=429, headers={"Retry-After": "1"})
    start = time.monotonic()
    outputs = ask(requests, concurrency="1")
    assert texts(outputs) == [f"this is clip {n}" for n in range(3)]
    assert time.monotonic() - start >= 1.0
    endpoint.faults["*"] = server.Fault(status=429, headers={"Retry-After": "0.5"}, times=1)
    start = time.monotonic()
    assert texts(ask(requests[:2], concurrency="2")) == ["this is clip 0", "this is clip 1"]
    assert time.monotonic() - start >= 0.5


@pytest.mark.parametrize(
    ("headers", "code", "patience"),
    [({"Retry-After": "3600"}, None, "300"), ({}, "insufficient_quota", "300"), ({}, None, "0")],
    ids=["an hour", "no quota", "no patience"],
)
def test_hopeless_waits_are_not_begun(
    ask: Ask, clips: Clips, endpoint: Any, server: Any, headers: dict[str, str], code: str | None, patience: str
) -> None:
    body = json.dumps({"error": {"message": "Too many.", "code": code}}).encode()
    endpoint.faults["*"] = server.Fault(status=429, body=body, headers=headers, times=None)
    (output,) = ask(clips(1), patience=patience)
    assert (output.status, output.error) == ("error", "the server answered 429: Too many.")


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("7", 7.0, 7.0),
        ("0.25", 0.25, 0.25),
        ("", 0.0, 0.0),
        ("soon", 0.0, 0.0),
        ("nan", 0.0, 0.0),
        ("-5", 0.0, 0.0),
    ],
    ids=["seconds", "part of a second", "nothing", "words", "nan", "negative"],
)
def test_retry_after_is_seconds(told: str, least: float, most: float) -> None:
    assert least <= openai_client._retry_after(told) <= most


def test_retry_after_is_a_date() -> None:
    now = datetime.now(UTC)
    past, coming = (format_datetime(now + timedelta(hours=hours), usegmt=True) for hours in (-1, 1))
    assert openai_client._retry_after(past) == 0.0
    assert 3000.0 <= openai_client._retry_after(coming) <= 3600.0


def test_pauses_are_drawn_from_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []

    async def note(seconds: float) -> None:
        paused.append(seconds)

    async def pauses(seed: int) -> list[float]:
        paused.clear()
        client = Client("http://127.0.0.1:9/v1", Limits(retries=7))
        with pytest.raises(openai_client.EndpointError):
            await client.post("chat/completions", b"{}", "application/json", seed=seed)
        await client.close()
        return list(paused)

    monkeypatch.setattr(openai_client, "_pause", note)
    first, second, other = (asyncio.run(pauses(seed)) for seed in (1, 1, 2))
    assert len(first) == 7
    assert first == second != other
    assert all(0.0 <= pause <= min(20.0, 0.5 * 2**n) for n, pause in enumerate(first))


def test_the_rate_is_kept(ask: Ask, clips: Clips) -> None:
    requests = clips(45)
    start = time.monotonic()
    assert len(ask(requests, rate="1200")) == 45  # 20 a second, and a second's worth may go at once
    assert time.monotonic() - start >= (45 - 21) / 20


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.1, 50.0)), max_size=60),
    st.floats(1.0, 6000.0),
)
def test_no_window_holds_more_than_the_rate(steps: list[tuple[float, float]], per_minute: float) -> None:
    """Whenever they come, what starts within any span is at most the rate's share of it, a burst and the last one."""
    now, starts = 0.0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_client.time, "monotonic", lambda: now)
        pace = Pace(per_minute)
        for pause, amount in steps:
            now += pause
            starts.append((now + pace.reserve(amount), amount))
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            span = starts[last][0] - starts[first][0]
            within = sum(amount for _, amount in starts[first:last])
            assert within <= per_minute / 60.0 * (span + 1.0) * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize("concurrency", [1, 4])
def test_tokens_that_were_used_hold_up_what_follows(ask: Ask, clips: Clips, concurrency: int) -> None:
    """400 a second and 400 at once; each answer says that it used 100. The last of eight starts after 700 of them."""
    start = time.monotonic()
    outputs = ask(clips(8), concurrency=str(concurrency), token_rate="24000")
    assert [output.status for output in outputs] == ["ok"] * 8
    assert time.monotonic() - start >= 0.74


def test_the_key_is_sent_and_its_variable_named(
    ask: Ask, clips: Clips, endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.key = SECRET
    monkeypatch.setenv("OTHER_KEY", SECRET)
    assert texts(ask(clips(1), key_env="OTHER_KEY")) == ["this is clip 0"]
    monkeypatch.setenv("OPENAI_API_KEY", SECRET.upper())
    (output,) = ask(clips(1))
    told = "the server answered 401: Incorrect API key provided: [key].; check the key in OPENAI_API_KEY"
    assert output.error == told
    (output,) = ask(clips(1), key_env="none")
    assert "no key was sent (see the setting key_env)" in (output.error or "")


@pytest.mark.parametrize(
    "echo",
    [
        SECRET,
        f"{SECRET[:10]}***{SECRET[-4:]}",
        f"Bearer {SECRET}",
        f"key={SECRET}&x=1",
        SECRET[:12],
        SECRET[-9:],
        "*" * 20 + SECRET[-4:],
        "a" * 290 + " " + SECRET,
        "a" * 299 + SECRET,
    ],
)
def test_no_echo_of_the_key_is_shown(
    ask: Ask, clips: Clips, endpoint: Any, server: Any, monkeypatch: pytest.MonkeyPatch, echo: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    for body in (json.dumps({"error": {"message": f"Your key {echo} is bad."}}).encode(), echo.encode()):
        endpoint.faults["*"] = server.Fault(status=400, body=body)
        (output,) = ask(clips(1))
        told = output.error or ""
        assert output.status == "error"
        assert not any(SECRET[at : at + 4] in told for at in range(len(SECRET) - 3))
        assert len(told) < 340


def test_a_key_in_an_answer_is_taken_out(
    ask: Ask, clips: Clips, endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    requests = clips(1)
    endpoint.transcripts = dict.fromkeys(endpoint.transcripts, f"the key is {SECRET} indeed")
    assert texts(ask(requests)) == ["the key is [key] indeed"]


def test_a_key_is_never_shown_by_accident() -> None:
    key = Key(SECRET, "OPENAI_API_KEY")
    client = Client("https://localhost/v1", Limits(), key)
    assert SECRET not in repr(key) + str(key) + repr(client) + f"{key}"
    assert Key("abc", "K").hide("abc in abcdef") == "abc in abcdef"  # no secret, and it would spoil texts


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://example.org/v1", "http://proxy:3128"),
        ("https://inside.example.com/v1", None),
        ("http://localhost:8000/v1", None),
        ("http://127.0.0.1:8000/v1", None),
        ("http://[::1]:8000/v1", None),
    ],
)
def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None) -> None:
    for scheme in ("http", "https"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.example.com")
    assert openai_client._proxy(url) == proxy


def test_a_certificate_that_is_not_trusted_is_told(ask: Ask, clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    where = ConnectionKey("localhost", 443, True, True, None, None, None)

    def fail(*told: Any, **more: Any) -> Any:
        raise aiohttp.ClientConnectorCertificateError(where, ssl.CertificateError("self-signed"))

    monkeypatch.setattr(aiohttp.ClientSession, "post", fail)
    (output,) = ask(clips(1))
    assert output.usage["attempts"] == 1.0
    assert "is not trusted" in (output.error or "")
    assert "self-signed" in (output.error or "")
