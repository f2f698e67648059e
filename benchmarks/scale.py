"""What one sample costs: bytes in the journal, the evidence, the cache and the store, and the driver's time.

A real run through Ray, journal, scoring and store: the word error rate of sentences that all differ (17 words on
average, `_sentences.py`), answered by the model `outputs` from a file, which works at once. These are the constants of
the arithmetic in ``docs/scale.md``. 10,000 samples; ``--full``: 200,000.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile
from _sentences import make_pairs

from audiometry.benchmark.cache import Cache
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.store import Store

STORED_RUNS = 200


class Watch(threading.Thread):
    """Looks at a file's size until it is gone."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.largest, self.ended = path, 0, threading.Event()

    def run(self) -> None:
        """Look, until `ended`."""
        while not self.ended.wait(0.02):
            if self.path.exists():
                self.largest = max(self.largest, self.path.stat().st_size)


def size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))


def listed(folder: Path, samples: int) -> tuple[Path, Path, list[str]]:
    """A manifest, a file of what was heard, and the texts in that."""
    references, hypotheses = make_pairs(samples, written=True)
    soundfile.write(folder / "sound.wav", np.zeros(16_000, np.float32), 16_000)
    manifest, heard = folder / "list.jsonl", folder / "heard.jsonl"
    with manifest.open("w") as out, heard.open("w") as told:
        for number, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
            row = {"audio": "sound.wav", "id": f"utterance-{number:07d}", "text": reference, "end": 1.0}
            out.write(json.dumps(row | {"speaker": f"speaker-{number % 500}", "gender": "fm"[number % 2]}) + "\n")
            told.write(json.dumps({"id": row["id"], "text": hypothesis}) + "\n")
    return manifest, heard, hypotheses


def cached(folder: Path, texts: list[str]) -> float:
    """Bytes in the cache for an answer."""
    cache = Cache(folder / "answers.db")
    for start in range(0, len(texts), 512):
        cache.keep(
            (hashlib.sha256(f"{number}".encode()).hexdigest(), {"status": "ok", "output": {"text": text}})
            for number, text in enumerate(texts[start : start + 512], start)
        )
    cache.close()
    return size(folder, "answers.db*") / len(texts)


def run(folder: Path, samples: int) -> dict[str, float]:
    """Bytes and driver seconds for a sample."""
    manifest, heard, texts = listed(folder, samples)
    settings = RunSettings(models=(f"outputs:path={heard}",), tasks=(f"wer:path={manifest},name=scale",), workers=1)
    watch = Watch(folder / "run" / "journal.jsonl")
    watch.start()
    cpu, wall = time.process_time(), time.perf_counter()
    done = evaluate(settings, output=folder / "run", quiet=True)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    watch.ended.set()
    watch.join()
    assert done.status == "complete"
    found = {
        "journal, while the run goes on (bytes)": watch.largest / samples,
        "outputs.parquet (bytes)": size(done.folder, "outputs.parquet") / samples,
        "scores.parquet (bytes)": size(done.folder, "scores.parquet") / samples,
        "cache (bytes)": cached(folder, texts),
        "driver's CPU, planning to results (microseconds)": cpu / samples * 1e6,
        "wall time, start of Ray and all (microseconds)": wall / samples * 1e6,
    }
    document = json.loads((done.folder / "run.json").read_text())
    url = f"sqlite:///{folder / 'many.db'}"
    with Store.open(url) as store:
        begin = time.perf_counter()
        for number in range(STORED_RUNS):
            store.add_run({**document, "id": f"run-{number}"}, done.results, str(done.folder))
        seconds = time.perf_counter() - begin
    rows = STORED_RUNS * len(done.results)
    return found | {
        f"store, of {len(done.results)} numbers a run (bytes a number)": size(folder, "many.db*") / rows,
        "store, putting a run in (microseconds)": seconds / STORED_RUNS * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="200,000 samples")
    samples = 200_000 if parser.parse_args().full else 10_000
    with tempfile.TemporaryDirectory(prefix="scale-") as scratch:
        os.environ["AUDIOMETRY_HOME"] = str(Path(scratch) / "home")
        found = run(Path(scratch), samples)
    for name, value in found.items():
        print(f"{name:60s} {value:10.1f}")
    kept = sum(found[name] for name in found if "parquet" in name or name.startswith("cache"))
    print(f"{samples} samples: bytes kept on disk for a sample (outputs, scores, cache) value {kept:.0f}")


if __name__ == "__main__":
    main()
