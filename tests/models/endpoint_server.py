"""An OpenAI-compatible endpoint on this machine, for tests and benchmarks, with faults that can be switched on.

It knows a recording by the sha256 of its bytes and answers with that recording's transcript, so that scores show
whether every question got its own answer. At most `slots` requests are worked on at once, each for `delay` seconds.

Run as a program it prints its port and serves until its standard input is closed::

    python endpoint_server.py --transcripts FILE.json --delay 0.1 --slots 64
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import io
import json
import sys
import threading
import time
import wave
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

UNKNOWN = "a recording that nobody knows"
LARGEST = 2**28
USAGE = {
    "prompt_tokens": 70,
    "completion_tokens": 30,
    "prompt_tokens_details": {"audio_tokens": 50},
    "completion_tokens_details": {"audio_tokens": 0},
}


@dataclass
class Fault:
    """What goes wrong with a request, the first `times` times it is asked (None: always).

    `kind` is ``reply`` (answer with `status`, `headers` and `body`), ``stall`` (wait `seconds` first), ``cut`` (close
    the connection without an answer), ``half`` (close it in the middle of the answer), ``slow`` (the answer takes
    `seconds`) or ``endless`` (the answer does not end).
    """

    kind: str = "reply"
    status: int = 500
    body: bytes = b'{"error": {"message": "the server had an error", "code": null}}'
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    seconds: float = 10.0
    times: int | None = 1


@dataclass
class Endpoint:
    """The server's knowledge, its switches and what it saw. `faults` are by sha256 of the sound, ``*`` for any."""

    transcripts: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    slots: int = 64
    key: str | None = None
    faults: dict[str, Fault] = field(default_factory=dict)
    rate: float | None = None
    """Requests a second; what comes faster is answered 429 with Retry-After."""
    usage: Any = field(default_factory=lambda: USAGE)
    message: dict[str, Any] = field(default_factory=dict)
    """Joined to the message of each chat answer; `finish` is its finish_reason."""
    finish: str = "stop"
    keep: bool = True
    """Keep what was asked in `seen`."""
    seen: list[dict[str, Any]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    most_under_way: int = 0
    connections: int = 0
    first: float | None = None
    last: float = 0.0
    answered: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def app(self) -> web.Application:
        """The web application."""
        self._free = asyncio.Semaphore(self.slots)
        self._next = 0.0
        self._peers: set[Any] = set()
        app = web.Application(client_max_size=LARGEST)
        app.router.add_post("/v1/audio/transcriptions", self.transcribe)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/audio/speech", self.speak)
        app.router.add_get("/stats", self.stats)
        return app

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        """Multipart in, JSON out."""
        parts = multipart(await request.read(), request.headers["Content-Type"])
        digest = hashlib.sha256(parts["file"]).hexdigest()
        asked = {name: value if name == "file" else value.decode() for name, value in parts.items()}
        return await self.answer(request, digest, asked, {"text": self.known(digest), "usage": self.usage})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """JSON with sound in it, in and out."""
        asked = await request.json()
        parts = [part for turn in asked["messages"] for part in turn["content"] if isinstance(turn["content"], list)]
        sounds = [base64.b64decode(part["input_audio"]["data"]) for part in parts if part["type"] == "input_audio"]
        digest = hashlib.sha256(sounds[-1]).hexdigest() if sounds else ""
        said = " ".join(part["text"] for part in parts if part["type"] == "text")
        message: dict[str, Any] = {"role": "assistant", "content": self.known(digest) if sounds else f"I heard: {said}"}
        if "audio" in asked.get("modalities", ()):
            message |= {"content": None, "audio": {"data": base64.b64encode(tone(said)).decode(), "transcript": said}}
        choice = {"index": 0, "finish_reason": self.finish, "message": message | self.message}
        answer = {"model": "served-1", "system_fingerprint": "fp_1", "choices": [choice], "usage": self.usage}
        return await self.answer(request, digest, asked, answer)

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """JSON in, sound out."""
        asked = await request.json()
        return await self.answer(request, "", asked, tone(asked["input"]))

    async def stats(self, request: web.Request) -> web.StreamResponse:
        """How many were answered since this was last asked, and the seconds from the first to the last of them."""
        told = {"answered": self.answered, "seconds": self.last - (self.first or self.last)}
        told |= {"most_under_way": self.most_under_way, "connections": self.connections}
        self.answered, self.first, self.most_under_way, self.connections = 0, None, 0, 0
        return web.json_response(told)

    def known(self, digest: str) -> str:
        """The transcript of a recording."""
        return self.transcripts.get(digest, UNKNOWN)

    async def answer(
        self, request: web.Request, digest: str, asked: dict[str, Any], answer: Mapping[str, Any] | bytes
    ) -> web.StreamResponse:
        """Wait for a slot and the delay, then answer, or do what the switches say."""
        self._note(request, digest, asked)
        early = self._turned_away(request)
        if early is not None:
            return early
        fault = self._fault(digest)
        async with self._free:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            try:
                await asyncio.sleep(self.delay + (fault.seconds if fault and fault.kind == "stall" else 0.0))
            finally:
                self.under_way -= 1
        if fault is not None and fault.kind != "stall":
            return await misbehave(request, fault, answer)
        self.answered, self.last = self.answered + 1, time.monotonic()
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="audio/wav")
        return web.json_response(answer)

    def _note(self, request: web.Request, digest: str, asked: dict[str, Any]) -> None:
        self.asked[digest] += 1
        self.first = self.first or time.monotonic()
        if request.transport is not None and id(request.transport) not in self._peers:
            self._peers.add(id(request.transport))
            self.connections += 1
        if self.keep:
            self.seen.append({"path": request.path, "headers": dict(request.headers), **asked})

    def _turned_away(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        if self.key is not None and given != f"Bearer {self.key}":
            told = f"Incorrect API key provided: {given.removeprefix('Bearer ')}."
            return web.json_response({"error": {"message": told, "code": "invalid_api_key"}}, status=401)
        if self.rate is not None:
            now = asyncio.get_running_loop().time()
            if now < self._next:
                told = {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}
                return web.json_response(told, status=429, headers={"Retry-After": f"{self._next - now:.3f}"})
            self._next = now + 1.0 / self.rate
        return None

    def _fault(self, digest: str) -> Fault | None:
        fault = self.faults.get(digest) or self.faults.get("*")
        if fault is None or fault.times == 0:
            return None
        if fault.times is not None:
            fault.times -= 1
        return fault


async def misbehave(request: web.Request, fault: Fault, answer: Mapping[str, Any] | bytes) -> web.StreamResponse:
    """Answer wrongly, slowly, without end or not at all."""
    if fault.kind == "reply":
        return web.Response(status=fault.status, body=fault.body, headers=fault.headers)
    if fault.kind == "cut":
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    whole = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    if fault.kind == "half":
        response.content_length = len(whole)
    await response.prepare(request)
    with suppress(ConnectionError):
        if fault.kind == "half":
            await response.write(whole[: len(whole) // 2])
            if request.transport is not None:
                request.transport.abort()
        while fault.kind == "endless":
            await response.write(b" " * 2**20)
        for byte in whole if fault.kind == "slow" else b"":
            await response.write(bytes([byte]))
            await asyncio.sleep(fault.seconds / len(whole))
        if fault.kind == "slow":
            await response.write_eof()
    return response


def multipart(body: bytes, content_type: str) -> dict[str, bytes]:
    """The parts of a multipart body by name; quick, since it is called for every request of a benchmark."""
    edge = b"--" + content_type.partition("boundary=")[2].strip('"').encode()
    parts = {}
    for part in body.split(edge)[1:-1]:
        head, _, content = part[2:-2].partition(b"\r\n\r\n")
        name = head.partition(b'name="')[2].partition(b'"')[0].decode()
        parts[name] = content
    return parts


def tone(text: str) -> bytes:
    """A WAV file at 24 kHz with 50 ms for each character."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24000)
        file.writeframes(b"\x00\x10\x00\xf0" * (600 * max(len(text), 1)))
    return buffer.getvalue()


class Running:
    """An `Endpoint` served from a thread of its own: ``with Running(Endpoint(...)) as endpoint``."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Endpoint:
        self._thread.start()
        self._ready.wait(10.0)
        return self._endpoint

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10.0)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = await started(self._endpoint)
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()


async def started(endpoint: Endpoint) -> web.AppRunner:
    """Serve on a free port of the loopback address."""
    runner = web.AppRunner(endpoint.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    endpoint.port = runner.addresses[0][1]
    return runner


async def serve_until_closed(endpoint: Endpoint) -> None:
    """Serve until standard input is closed."""
    runner = await started(endpoint)
    print(endpoint.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def main() -> None:
    """Serve as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--transcripts", type=Path, required=True, help="JSON object: sha256 of a recording to its text"
    )
    parser.add_argument("--delay", type=float, default=0.1, help="seconds that each request takes")
    parser.add_argument("--slots", type=int, default=64, help="requests that are worked on at once")
    parser.add_argument("--stalled", default="", help="recordings (sha256, commas between) that take 10 s at first")
    told = parser.parse_args()
    endpoint = Endpoint(json.loads(told.transcripts.read_text()), delay=told.delay, slots=told.slots, keep=False)
    endpoint.faults = {digest: Fault("stall", seconds=10.0) for digest in told.stalled.split(",") if digest}
    asyncio.run(serve_until_closed(endpoint))


if __name__ == "__main__":
    main()
