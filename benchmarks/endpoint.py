"""Driving an endpoint: `audiometry run` beside a plain tuned aiohttp client, against the endpoint's own bound.

The endpoint (a process of its own) takes 100 ms a request and 64 at a time, so that it answers at most 640 a second.
It is asked to transcribe real telephone recordings, each sent whole. How fast, it tells itself: requests answered, and
the seconds from the first one asked to the last one answered. The plain client does nothing but read files, send
them and read the answers; ours plans, retries, scores, journals and stores as well. Both have as many connections.
Then 500 clips are timed from the start of the process until its results are written: telephone recordings, which are
sent as they are, and wide-band ones in G.722, which are decoded and sent as WAV. ``--full`` takes three turns of each.

The recordings are the prepared Asterisk prompts (see docs/corpora.md). Where there are fewer than requests, they come
again.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from _endpoint_clips import endpoint_clips

from audiometry.benchmark import paths
from audiometry.benchmark.audio import encode_wav, read
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.utterance import open_corpus

HERE = Path(__file__).parent
CLIPS = HERE / "_endpoint_clips.py"
SERVER = HERE.parent / "tests" / "models" / "endpoint_server.py"
SECONDS = 0.1
SLOTS = 64
REQUESTS = 5000
BOUND = SLOTS / SECONDS
CONNECTIONS = 96
"""Half as many again as slots: while an answer travels and the next question comes, another one waits there already."""

EDGE = "-" * 20


@contextmanager
def endpoint(transcripts: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The endpoint's address."""
    known = folder / "transcripts.json"
    known.write_text(json.dumps(transcripts))
    command = [sys.executable, SERVER, "--transcripts", known, "--delay", str(SECONDS), "--slots", str(SLOTS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


def stats(address: str) -> dict[str, float]:
    """What the endpoint says of the requests since it was last asked."""
    with urllib.request.urlopen(f"{address}/stats") as answer:  # noqa: S310  (our own server)
        told: dict[str, float] = json.load(answer)
    return told


async def plain(address: str, clips: Sequence[tuple[Audio, str]]) -> None:
    """Send each file and read its answer: one session, kept connections, bodies joined by hand."""
    url, kind = f"{address}/v1/audio/transcriptions", {"Content-Type": f"multipart/form-data; boundary={EDGE}"}
    head = (
        f'--{EDGE}\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny\r\n--{EDGE}\r\n'
        'Content-Disposition: form-data; name="file"; filename="audio.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    ).encode()
    tail = f"\r\n--{EDGE}--\r\n".encode()
    rest = iter(clips)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

        async def take() -> None:
            for audio, text in rest:
                body = b"".join((head, Path(audio.path).read_bytes(), tail))
                async with session.post(url, data=body, headers=kind) as response:
                    answer: Any = await response.json()
                assert answer["text"] == text

        await asyncio.gather(*(take() for _ in range(CONNECTIONS)))


def ours(address: str, task: str, home: Path, *more: str) -> float:
    """Seconds of the whole process of `audiometry run`. Its home is new: nothing is cached."""
    home.mkdir()
    (home / "corpora").symlink_to(paths.corpora_folder())
    command = [
        sys.executable, "-m", "audiometry.benchmark.cli", "run", "--quiet", "--json", "--tasks", task, *more,
        "--model", f"openai:model=tiny,url={address}/v1,concurrency={CONNECTIONS},key_env=none",
    ]  # fmt: skip
    environment = os.environ | {"AUDIOMETRY_HOME": str(home)}
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    overall = next(one for one in json.loads(done.stdout)["results"] if one["slice"] == "all")
    assert (overall["metric"], overall["value"], overall["failed"]) == ("wer", 0.0, 0), overall
    assert next((home / "runs").glob("*/results.json")).stat().st_size
    return seconds


def per_second(told: Mapping[str, float]) -> float:
    """Answers a second."""
    return told["answered"] / told["seconds"]


def known_transcripts(clips: Sequence[tuple[Audio, str]]) -> dict[str, str]:
    """By the sha256 of what is sent: of the file's bytes, or for G.722 of the WAV file that it becomes."""
    known = {}
    for audio, text in clips:
        file = Path(audio.path)
        content = encode_wav(read(audio)) if file.suffix == ".g722" else file.read_bytes()
        known[hashlib.sha256(content).hexdigest()] = text
    return known


def taken(count: int) -> list[tuple[Audio, str]]:
    """The recordings of so many requests, with their transcripts."""
    return [(one.request.audios["input"], str(one.target)) for one in endpoint_clips(count=count).samples()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="three turns of each instead of one")
    told = parser.parse_args()
    clips = taken(REQUESTS)
    wide = [(one.audio, one.text) for one in open_corpus("asterisk-en").utterances()]
    known = known_transcripts(list(dict(clips).items()) + wide)
    size = sum(Path(audio.path).stat().st_size for audio in dict(clips)) / len(dict(clips))
    print(f"{len(clips)} requests, {len(dict(clips))} recordings of {size / 1e3:.0f} kB, {CONNECTIONS} connections")
    speeds: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name, endpoint(known, Path(name)) as address:
        for turn in range(3 if told.full else 1):
            asyncio.run(plain(address, clips))
            peer = per_second(stats(address))
            more = ("--plugin", str(CLIPS))
            seconds = ours(address, f"endpoint-clips:count={len(clips)}", Path(name) / f"home-{turn}", *more)
            speeds.append((per_second(stats(address)), peer))
            print(f"  plain client {peer:.0f}/s, ours {speeds[-1][0]:.0f}/s; ours with start and end {seconds:.1f} s")
        for task in ("wer-asterisk-en-telephone", "wer-asterisk-en"):
            seconds = ours(address, task, Path(name) / f"home-{task}", "--limit", "500")
            print(f"  500 clips of {task} from process start to results written: {seconds:.1f} s")
    speed, peer = sorted(speeds)[len(speeds) // 2]
    print(
        f"endpoint: audiometry run {speed:.0f} requests/s ({speed / peer:.3f} of a plain aiohttp client), "
        f"the endpoint's bound {BOUND:.0f}/s, value {speed / BOUND:.3f}"
    )


if __name__ == "__main__":
    main()
