"""An endpoint on this machine, and a model that asks it, for the tests of the `openai` adapter."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Audio, Output, Request


def _server() -> Any:
    path = Path(__file__).parents[1] / "endpoint_server.py"
    spec = importlib.util.spec_from_file_location("endpoint_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def server() -> Any:
    """The module of the server: `Endpoint`, `Fault`, `Running`."""
    return sys.modules.get("endpoint_server") or _server()


@pytest.fixture
def endpoint(server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A running endpoint; its switches may be changed at any time. No key is in the environment."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with server.Running(server.Endpoint()) as running:
        yield running


@pytest.fixture
def ask(endpoint: Any) -> Callable[..., list[Output]]:
    """Ask a model of the endpoint: (requests, settings …) → outputs, at most `concurrency` under way at once."""

    def asked(requests: Sequence[Request], **settings: str) -> list[Output]:
        return asyncio.run(_asked(requests, {"model": "tiny", "url": endpoint.url} | settings))

    return asked


async def _asked(requests: Sequence[Request], settings: dict[str, str]) -> list[Output]:
    model = MODELS.create(Spec("openai", tuple(sorted(settings.items()))))
    free = asyncio.Semaphore(model.concurrency)

    async def one(request: Request) -> Output:
        async with free:
            output: Output = await model.answer(request)
            return output

    try:
        return await asyncio.gather(*map(one, requests))
    finally:
        await model.close()


@pytest.fixture
def clips(tmp_path: Path, endpoint: Any) -> Callable[..., list[Request]]:
    """So many recordings of seeded noise to transcribe, each with a transcript that the endpoint knows."""

    def make(count: int, **more: Any) -> list[Request]:
        endpoint.transcripts = {}
        requests = []
        for number in range(count):
            path = tmp_path / f"clip-{number:03}.wav"
            noise = np.random.default_rng(number).normal(0.0, 0.1, 800 + number)
            soundfile.write(path, noise, 8000, subtype="PCM_16")
            endpoint.transcripts[hashlib.sha256(path.read_bytes()).hexdigest()] = f"this is clip {number}"
            requests.append(Request("transcribe", {"input": Audio(str(path))}, seed=number, **more))
        return requests

    return make


@pytest.fixture
def manifest(clips: Callable[..., list[Request]], endpoint: Any, tmp_path: Path) -> Callable[[int], str]:
    """A `wer` task on so many clips, as it is typed."""

    def make(count: int) -> str:
        lines = [
            {
                "id": f"clip-{number:03}",
                "audio": request.audios["input"].path,
                "text": text,
                "language": "en",
                "speaker": f"s{number % 10}",
            }
            for number, (request, text) in enumerate(zip(clips(count), endpoint.transcripts.values(), strict=True))
        ]
        path = tmp_path / "clips.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)))
        return f"wer:path={path}"

    return make
