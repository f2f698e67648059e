"""SPICE of captions as a model that rates: the authors' Java program (P. Anderson et al. 2016, "SPICE: Semantic
Propositional Image Caption Evaluation").

The program is not installed with this project. Its folder holds ``spice-1.0.jar`` and ``lib/`` with the jars that it
names, among them Stanford CoreNLP 3.6.0 and its models (about 400 MB), as ``aac-metrics-download`` leaves it.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Ability, Output, Request
from audiometry.models.adapters.common import fingerprint, shown_name

__all__ = ["SpiceJudge", "spice"]

NAME = "spice"
VERSION = "spice 1"
PROGRAM = "spice-1.0.jar"
PARSER = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
DEFAULT = "~/.cache/aac-metrics/spice"
"""Where ``aac-metrics-download`` puts it."""

LIMIT_SECONDS = 3600.0
LAST_WORDS = 300


@dataclass(frozen=True)
class SpiceJudge:
    """A Model that rates captions: `text` against the references, one a line of `instruction`.

    `score` is SPICE: the F-score of the caption's propositions, 0 to 1, higher is better; 0 where neither the caption
    nor the references have any.
    """

    name: str
    fingerprint: str
    folder: Path
    java: str
    memory: float
    abilities: frozenset[Ability] = frozenset({"rate"})
    deterministic: bool = True

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Rate all at once: each call starts Java and reads the parser, so large batches are much quicker.

        Raises UserError if the program fails.
        """
        start = time.perf_counter()
        asked = [
            {"image_id": place, "test": request.text, "refs": request.instruction.splitlines()}
            for place, request in enumerate(requests)
            if request.text and request.instruction
        ]
        wrong = Output(status="error", error="there is no caption (text), or no reference (a line of the instruction)")
        outputs = [wrong] * len(requests)
        for place, score in (self._run(asked) if asked else {}).items():
            known = 0.0 if math.isnan(score) else score
            outputs[place] = Output(score=known, timings={"total": (time.perf_counter() - start) / len(asked)})
        return outputs

    def close(self) -> None:
        """Nothing to give back: each call's process has ended."""

    def _run(self, asked: Sequence[object]) -> dict[int, float]:
        """The program's F-scores by ``image_id``."""
        with tempfile.TemporaryDirectory() as scratch:
            given, made = Path(scratch) / "captions.json", Path(scratch) / "scores.json"
            given.write_text(json.dumps(asked), encoding="utf-8")
            heap = f"-Xmx{round(self.memory * 1024)}m"
            command = [self.java, heap, "-jar", str(self.folder / PROGRAM), str(given), "-out", str(made)]
            ran = subprocess.run(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_SECONDS,
                check=False,
            )  # fmt: skip
            if ran.returncode != 0 or not made.is_file():
                said = " ".join(ran.stderr.decode(errors="replace").split())[:LAST_WORDS]
                raise UserError(f"model {NAME!r}: {self.java} ended with exit code {ran.returncode}: {said}")
            scores = json.loads(made.read_text(encoding="utf-8"))
        return {int(one["image_id"]): float(one["scores"]["All"]["f"]) for one in scores}


def check(*, path: str = DEFAULT, java: str = "java", memory: float = 8.0) -> None:
    """Raise SettingError, with how to mend it, if the program, its parser or Java is not there."""
    folder = Path(path).expanduser()
    missing = [name for name in (PROGRAM, *(f"lib/{part}" for part in PARSER)) if not (folder / name).is_file()]
    if missing:
        raise SettingError(
            f"model {NAME!r}, setting 'path': {folder} lacks {', '.join(missing)}; run aac-metrics-download "
            "(of the package aac-metrics) where there is a network, and give its folder aac-metrics/spice"
        )
    if shutil.which(java) is None:
        raise SettingError(f"model {NAME!r}, setting 'java': there is no program {java!r}; install Java 8 or 11")
    if not 0.5 <= memory <= 1024:
        raise SettingError(f"model {NAME!r}, setting 'memory': {memory:g} GiB; give 0.5 to 1024")


def identify(*, path: str = DEFAULT, java: str = "java", memory: float = 8.0) -> str:  # noqa: ARG001  (they change no score)
    """The fingerprint: the program and its parser."""
    folder = Path(path).expanduser()
    return fingerprint(VERSION, [folder / PROGRAM, *(folder / "lib" / part for part in PARSER)], settings={})


@model(NAME, abilities={"rate"}, check=check, fingerprint=identify, deterministic=True)
def spice(*, path: str = DEFAULT, java: str = "java", memory: float = 8.0) -> SpiceJudge:
    """Judge of captions: SPICE by its authors' Java program, which you bring."""
    return SpiceJudge(
        name=shown_name(NAME, spice, {"path": path, "java": java, "memory": memory}),
        fingerprint=identify(path=path),
        folder=Path(path).expanduser().resolve(),
        java=java,
        memory=memory,
    )
