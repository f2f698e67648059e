"""A spoof detector that answers from a score file of an ASVspoof challenge: what another system already computed."""

from __future__ import annotations

from audiometry.benchmark.registry import model
from audiometry.models.adapters.answers import read_answers
from audiometry.models.adapters.common import fingerprint
from audiometry.models.adapters.outputs import Outputs

__all__ = ["score_file"]

VERSION = "score-file 1"


def check(*, path: str, label: str = "") -> None:  # noqa: ARG001  (any label will do)
    """Read the whole file. Raises what `read_answers` raises."""
    read_answers(path, "scores")


@model("score-file", abilities={"detect"}, given="sample id", check=check, waveforms=False)
def score_file(*, path: str, label: str = "") -> Outputs:
    """Scores of another spoof detector, from a file in the format of ASVspoof 2019, 2021 or 5."""
    file = read_answers(path, "scores")
    made_of = fingerprint(VERSION, [file.path], settings={})
    return Outputs(name=label or f"score-file:path={path}", file=file, fingerprint=made_of)
