"""Driving an endpoint: `audiometry run` beside a plain tuned aiohttp client, against the endpoint's own bound.

The endpoint (a process of its own) takes 100 ms a request and 64 at a time, so that it answers at most 640 a second.
It is asked to transcribe real telephone recordings, each sent whole. How fast, it tells itself: requests answered, and
the seconds from the first one asked to the last one answered. The plain client does nothing but read files, send
them and read the answers; ours plans, retries, scores, journals and stores as well. Both have as many connections.
Then 500 clips are timed from the start of the process until its results are written: telephone recordings, which are
sent as they are, and wide-band ones in G.722, which are decoded and sent as WAV; and 500 of which ten take 10 s when
they are first asked, with 2 s to wait for each. ``--full`` takes three turns of each speed.

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
def endpoint(transcripts: Mapping[str, str], folder: Path, stalled: Sequence[str] = ()) -> Iterator[str]:
    """The address of an endpoint that stalls at some recordings, given by their sha256, when it is first asked."""
    known = folder / "transcripts.json"
    known.write_text(json.dumps(transcripts))
    command = [sys.executable, SERVER, "--transcripts", known, "--delay", str(SECONDS), "--slots", str(SLOTS)]
    command += ["--stalled", ",".join(stalled)]
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


def ours(address: str, task: str, home: Path, *more: str, settings: str = "") -> float:
    """Seconds of the whole process of `audiometry run`. Its home is new: nothing is cached."""
    home.mkdir()
    (home / "corpora").symlink_to(paths.corpora_folder())
    command = [
        sys.executable, "-m", "audiometry.benchmark.cli", "run", "--quiet", "--json", "--tasks", task, *more,
        "--plugin", CLIPS,
        "--model", f"openai:model=tiny,url={address}/v1,concurrency={CONNECTIONS},key_env=none{settings}",
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


def digest(audio: Audio) -> str:
    """The sha256 of what is sent: of the file's bytes, or for G.722 of the WAV file that it becomes."""
    file = Path(audio.path)
    return hashlib.sha256(encode_wav(read(audio)) if file.suffix == ".g722" else file.read_bytes()).hexdigest()


def taken(count: int) -> list[tuple[Audio, str]]:
    """The recordings of so many requests, with their transcripts."""
    return [(one.request.audios["input"], str(one.target)) for one in endpoint_clips(count=count).samples()]


def compare(known: Mapping[str, str], folder: Path, turns: int) -> tuple[float, float]:
    """Answers a second of ours and of the plain client, in the turn where ours is the median."""
    clips, speeds = taken(REQUESTS), []
    size = sum(Path(audio.path).stat().st_size for audio in dict(clips)) / len(dict(clips))
    print(f"{len(clips)} requests, {len(dict(clips))} recordings of {size / 1e3:.0f} kB, {CONNECTIONS} connections")
    with endpoint(known, folder) as address:
        for turn in range(turns):
            asyncio.run(plain(address, clips))
            peer = per_second(stats(address))
            seconds = ours(address, f"endpoint-clips:count={REQUESTS}", folder / f"home-{turn}")
            speeds.append((per_second(stats(address)), peer))
            print(f"  plain client {peer:.0f}/s, ours {speeds[-1][0]:.0f}/s; ours with start and end {seconds:.1f} s")
    return sorted(speeds)[turns // 2]


def time_whole_runs(known: Mapping[str, str], folder: Path) -> None:
    """500 clips from the start of the process to its results, three ways."""
    with endpoint(known, folder) as address:
        for task in ("wer-asterisk-en-telephone", "wer-asterisk-en"):
            seconds = ours(address, task, folder / task, "--limit", "500")
            print(f"500 clips of {task} from process start to results written: {seconds:.1f} s")
    stalled = [digest(audio) for audio, _ in taken(500)[::50]]
    with endpoint(known, folder, stalled) as address:
        seconds = ours(address, "endpoint-clips:count=500", folder / "stalled", settings=",timeout=2")
        print(f"500 clips, {len(stalled)} of which stall 10 s at first, with 2 s to wait: {seconds:.1f} s, all scored")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="three turns of each speed instead of one")
    turns = 3 if parser.parse_args().full else 1
    wide = [(one.audio, one.text) for one in open_corpus("asterisk-en").utterances()]
    known = {digest(audio): text for audio, text in [*dict(taken(REQUESTS)).items(), *wide]}
    with tempfile.TemporaryDirectory() as folder:
        speed, peer = compare(known, Path(folder), turns)
        time_whole_runs(known, Path(folder))
    print(
        f"endpoint: audiometry run {speed:.0f} requests/s ({speed / peer:.3f} of a plain aiohttp client), "
        f"the endpoint's bound {BOUND:.0f}/s, value {speed / BOUND:.3f}"
    )


if __name__ == "__main__":
    main()
