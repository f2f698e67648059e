"""Asking an HTTP endpoint: connections kept open, retries, back-off, rates, and a key that never leaks.

What is asked and what the answers mean is none of its business.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from audiometry.benchmark.types import OutputStatus

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

__all__ = ["Client", "EndpointError", "Key", "Limits", "Pace", "Reply", "is_local"]

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 20.0
"""Seconds. The n-th retry waits for a random time up to ``min(LONGEST_PAUSE, FIRST_PAUSE * 2**n)``."""

LARGEST_ANSWER = 2**26
LARGEST_ERROR = 2**16
SHOWN = 300
"""Characters of what a server said that are shown."""

LOOKED_AT = 10 * SHOWN
TOO_MANY = 429
RETRIED = frozenset({408, 409, TOO_MANY})
"""Statuses that another attempt may mend, beside 500 and above."""

HOPELESS = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes that come with the status 429 and that waiting does not mend."""

FILTERED = frozenset({"content_filter", "content_policy_violation"})
"""Codes of a refusal that comes as an error."""


class EndpointError(Exception):
    """A request that was given up. `status` is the Output's; the message holds no key."""

    def __init__(self, status: OutputStatus, reason: str, attempts: int = 0) -> None:
        super().__init__(reason)
        self.status: OutputStatus = status
        self.attempts = attempts


class Key:
    """An API key: sent, and never shown."""

    PIECE = 8
    """Characters. A piece of the key as long as this is hidden as well."""

    LEAST = 4
    """Shorter ones are no secrets, and hiding them would spoil texts."""

    def __init__(self, value: str, variable: str) -> None:
        self._value = value
        self.variable = variable

    def __repr__(self) -> str:
        return f"Key(from {self.variable})"

    def headers(self) -> dict[str, str]:
        """What authenticates a request."""
        return {"Authorization": f"Bearer {self._value}"}

    def hide(self, text: str) -> str:
        """`text` with the key replaced wherever it stands whole."""
        return text.replace(self._value, "[key]") if len(self._value) >= self.LEAST else text

    def hide_pieces(self, text: str) -> str:
        """`text` with the key, longer pieces of it, and words masked with stars replaced (servers echo those)."""
        value, size = self._value, self.PIECE
        pieces = {value[start : start + size] for start in range(len(value) - size + 1)}

        def hidden(word: re.Match[str]) -> str:
            leaks = "***" in word[0] or any(piece in word[0] for piece in pieces)
            return "[key]" if leaks else word[0]

        return re.sub(r"[^\s\"'<>]+", hidden, self.hide(text))


@dataclass(frozen=True)
class Limits:
    """How long and how often is asked. Seconds; `rate` and `token_rate` are per minute, 0 for no limit."""

    concurrency: int = 64
    timeout: float = 60.0
    retries: int = 5
    patience: float = 300.0
    rate: float = 0.0
    token_rate: float = 0.0


@dataclass(frozen=True)
class Reply:
    """An answer with a status below 300.

    `seconds` run from sending the last attempt to the last byte; `set_aside` are the tokens that it was taken to need.
    """

    content: bytes
    content_type: str
    seconds: float
    attempts: int
    set_aside: float = 0.0


class Pace:
    """A rate, first come first served: how long the next one must wait (a token bucket as a schedule).

    `burst` seconds' worth may go at once.
    """

    def __init__(self, per_minute: float, *, burst: float = 1.0) -> None:
        self._seconds = 60.0 / per_minute if per_minute else 0.0
        self._burst = burst
        self._free = float("-inf")

    def reserve(self, amount: float = 1.0) -> float:
        """Take `amount` and return the seconds to wait before using it."""
        now = time.monotonic()
        self._free = max(self._free, now - self._burst)
        wait = max(self._free - now, 0.0)
        self._free += amount * self._seconds
        return wait

    def settle(self, amount: float) -> None:
        """Take what was used beyond the reserve; give back where negative."""
        self._free += amount * self._seconds


@dataclass
class Client:
    """Posts to one endpoint. Use it from one event loop; nothing is opened before the first request."""

    url: str
    limits: Limits
    key: Key | None = field(default=None, repr=False)
    _session: aiohttp.ClientSession | None = field(default=None, init=False, repr=False)
    _targets: dict[str, URL] = field(default_factory=dict, init=False, repr=False)
    _resume: float = field(default=0.0, init=False)
    _mean_tokens: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._pace = Pace(self.limits.rate)
        self._token_pace = Pace(self.limits.token_rate)

    async def post(self, path: str, content: bytes, content_type: str, *, seed: int = 0) -> Reply:
        """The answer to one request, asked again where that may help.

        Status 408, 409, 429 and 5xx, broken connections and timeouts are tried again after a random pause (full
        jitter, drawn from `seed`) or after the server's Retry-After. 429 is waited out for up to `Limits.patience`
        seconds, and its Retry-After holds up every request; the rest is tried `Limits.retries` times more.

        Raises EndpointError when it is given up.
        """
        start, attempts, failures, jitter = time.monotonic(), 0, 0, None
        while True:
            set_aside = await self._turn()
            attempts += 1
            began = time.perf_counter()
            failure = await self._attempt(path, content, content_type)
            if isinstance(failure, tuple):
                body, kind = failure
                return Reply(body, kind, time.perf_counter() - began, attempts, set_aside)
            busy = failure.http_status == TOO_MANY
            failures += not busy
            jitter = jitter or random.Random(seed)
            ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 10))
            pause = max(jitter.uniform(0.0, ceiling), failure.retry_after)
            waited = time.monotonic() - start
            tired = failure.retry_after > self.limits.patience or (busy and waited + pause > self.limits.patience)
            if not failure.again or tired or failures > self.limits.retries:
                raise self._given_up(failure, attempts)
            if failure.retry_after and busy:
                self._resume = max(self._resume, time.monotonic() + failure.retry_after)
                pause = failure.retry_after + jitter.uniform(0.0, min(FIRST_PAUSE, failure.retry_after))
            await _pause(pause)

    def used(self, reply: Reply, tokens: float) -> None:
        """Tell how many tokens an answer used; later requests set as many aside, in the mean."""
        if self.limits.token_rate:
            self._token_pace.settle(tokens - reply.set_aside)
            self._mean_tokens = tokens if not self._mean_tokens else 0.9 * self._mean_tokens + 0.1 * tokens

    def shown(self, said: str) -> str:
        """What a server said as one line of at most 300 characters, without the key."""
        line = " ".join(said[:LOOKED_AT].split())
        return (self.key.hide_pieces(line) if self.key else line)[:SHOWN]

    def hide(self, text: str) -> str:
        """`text` with the key replaced."""
        return self.key.hide(text) if self.key else text

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _turn(self) -> float:
        """Wait until the rates and the server's pause allow one more request; return the tokens set aside for it."""
        set_aside = self._mean_tokens
        wait = self._resume - time.monotonic()
        if self.limits.rate:
            wait = max(wait, self._pace.reserve())
        if self.limits.token_rate:
            wait = max(wait, self._token_pace.reserve(set_aside))
        while wait > 0.0:
            await asyncio.sleep(wait)
            wait = self._resume - time.monotonic()
        return set_aside

    async def _attempt(self, path: str, content: bytes, content_type: str) -> tuple[bytes, str] | _Failure:
        import aiohttp

        try:
            session = self._session or self._open()
            data = content if len(content) < 2**20 else aiohttp.BytesIOPayload(_stream(content))
            headers = {"Content-Type": content_type}
            async with session.post(self._targets[path], data=data, headers=headers, allow_redirects=False) as response:
                body = await _read(response)
                if response.status < 300:
                    return body, response.headers.get("Content-Type", "no type")
                return _refusal(response.status, body, _retry_after(response.headers.get("Retry-After", "")))
        except TimeoutError:
            return _Failure("timeout", f"no answer within {self.limits.timeout:g} s")
        except aiohttp.ClientConnectorCertificateError as error:
            return _Failure("error", f"the certificate of {self.url} is not trusted", str(error), again=False)
        except _TooLargeError as error:
            return _Failure("error", str(error), again=False)
        except (aiohttp.ClientError, OSError) as error:
            return _Failure("error", f"no answer from {self.url}", f"{type(error).__name__}: {error}")

    def _given_up(self, failure: _Failure, attempts: int) -> EndpointError:
        reason = f"{failure.reason}: {self.shown(failure.said)}" if failure.said else failure.reason
        if failure.http_status in (401, 403):
            hint = f"check the key in {self.key.variable}" if self.key else "no key was sent (see the setting key_env)"
            reason = f"{reason}; {hint}"
        if attempts > 1:
            reason = f"{reason} ({attempts} attempts)"
        return EndpointError(failure.status, reason, attempts)

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp
        from yarl import URL

        for path in ("audio/transcriptions", "chat/completions", "audio/speech"):
            self._targets[path] = URL(f"{self.url}/{path}")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.limits.concurrency, keepalive_timeout=60.0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=self.limits.timeout),
            headers={"User-Agent": f"audiometry/{version('audiometry')}", **(self.key.headers() if self.key else {})},
            skip_auto_headers=("Accept-Encoding",),
            auto_decompress=False,  # nothing packed is asked for, so that no small answer unpacks into a huge one
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self.url),
        )
        return self._session


@dataclass(frozen=True)
class _Failure:
    """One attempt that brought no answer, and whether another may."""

    status: OutputStatus
    reason: str
    said: str = ""
    again: bool = True
    http_status: int = 0
    retry_after: float = 0.0


class _TooLargeError(Exception):
    pass


def is_local(url: str) -> bool:
    """Whether a URL leads to this machine only."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.endswith(".localhost") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def _refusal(status: int, content: bytes, retry_after: float = 0.0) -> _Failure:
    """What an error means: its body's message, JSON or not, and whether another attempt may help."""
    said, code = _message_and_code(content)
    if status < 500 and code in FILTERED:
        return _Failure("refused", f"the server answered {status}", said, again=False, http_status=status)
    again = (status in RETRIED or status >= 500) and code not in HOPELESS
    return _Failure("error", f"the server answered {status}", said, again, status, retry_after)


def _message_and_code(content: bytes) -> tuple[str, str]:
    text = content[:LOOKED_AT].decode("utf-8", "replace")
    try:
        found: Any = json.loads(content) if len(content) <= LARGEST_ERROR else None
    except (ValueError, RecursionError):
        found = None
    error = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return text or "nothing more", ""
    told = (error[name] for name in ("message", "detail") if isinstance(error.get(name), str))
    return next(told, text), str(error.get("code") or "")


def _retry_after(told: str) -> float:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date); 0 where there is none to be read."""
    if re.fullmatch(r"\d{1,9}(\.\d*)?", told.strip()):
        return float(told)
    try:
        when = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    return max((when - datetime.now(UTC)).total_seconds(), 0.0) if when.tzinfo else 0.0


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, if it is not larger than any answer can be."""
    told = response.content_length
    if told is not None and told <= LARGEST_ANSWER:
        return await response.read()
    content = bytearray()
    if told is None:
        async for piece in response.content.iter_any():
            content += piece
            if len(content) > LARGEST_ANSWER:
                break
        else:
            return bytes(content)
    response.close()
    raise _TooLargeError(f"the answer is larger than {LARGEST_ANSWER >> 20} MiB")


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


def _stream(content: bytes) -> Any:
    import io

    return io.BytesIO(content)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for `url`, looked up once."""
    parts = urlsplit(url)
    if is_local(url) or proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)
