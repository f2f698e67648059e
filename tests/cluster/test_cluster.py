"""Two Ray nodes: code reaches the one without it, work goes to both, and one that is lost costs nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.slow

PLUGIN = Path(__file__).with_name("where.py")
COMMON = ["--plugin", str(PLUGIN), "--json", "--resamples", "200", "--batch-size", "2", "--no-cache"]


def notes_of(file: Path) -> Sequence[Mapping[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def finished(process: Any) -> list[dict[str, Any]]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return [{k: v for k, v in row.items() if k != "run"} for row in json.loads(out)["results"]]


def run_words(notes: Path, *, count: int, seconds: float = 0.05) -> list[str]:
    return ["-m", f"noting:label=echo,seconds={seconds},notes={notes}", "-t", f"repeat:count={count}", *COMMON]


def test_a_run_spreads_over_both_nodes_and_survives_losing_one(cluster: Any, second: Any, tmp_path: Path) -> None:
    # Undisturbed first.
    notes = tmp_path / "notes"
    whole = finished(cluster.run(*run_words(notes, count=80), home=tmp_path / "home"))
    assert (whole[0]["n"], whole[0]["failed"], whole[0]["value"]) == (80, 0, 12 / 80)
    by_node: dict[str, list[Mapping[str, Any]]] = {}
    for note in notes_of(notes):
        by_node.setdefault(note["node"], []).append(note)
    assert len(by_node) == 2
    assert len({note[0]["python"] for note in by_node.values()}) == 2  # the second has an environment of its own
    for note in notes_of(notes):
        assert Path(note["package"]).is_relative_to(cluster.folder)  # both import what was shipped
        assert Path(note["plugin"]).is_relative_to(cluster.folder)
    bare = next(note for note in notes_of(notes) if "bare" in note["python"])["node"]

    # Then one is lost in the middle.
    notes = tmp_path / "notes-again"
    process = cluster.run(*run_words(notes, count=80, seconds=0.2), home=tmp_path / "again")
    until(lambda: sum(note["node"] == bare for note in notes_of(notes)) >= 3, 60)
    second.kill()
    before = len(notes_of(notes))
    again = finished(process)
    assert [{**row, "model": ""} for row in again] == [{**row, "model": ""} for row in whole]
    after = notes_of(notes)[before:]
    assert {note["node"] for note in after} == {node for node in by_node if node != bare}
    asked = [text for note in notes_of(notes) for text in note["texts"]]
    assert set(asked) == {f"word{i}" for i in range(80)}
    assert 80 <= len(asked) <= 80 + 8  # no more than what the lost worker held was asked again


def recordings(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        soundfile.write(folder / f"{number}.wav", np.zeros(4000, np.float32), 8000)
    return folder


def test_sound_on_a_disk_that_every_node_sees(cluster: Any, second: Any, tmp_path: Path) -> None:
    sound = recordings(tmp_path / "sound", 12)
    notes = tmp_path / "notes"
    words = ["-m", f"noting:notes={notes},seconds=0.4", "-t", f"listen:audio={sound}/{{}}.wav,count=12", *COMMON]
    (row,) = finished(cluster.run(*words, home=tmp_path / "home"))
    assert (row["n"], row["failed"], row["value"]) == (12, 0, 0.0)
    assert len({note["node"] for note in notes_of(notes)}) == 2


def test_sound_on_a_disk_that_a_node_does_not_see(cluster: Any, tmp_path: Path) -> None:
    sound = recordings(tmp_path / "sound", 2)
    mine = os.open(sound, os.O_RDONLY)  # a place that only the driver has
    try:
        place = f"/proc/self/fd/{mine}"
        words = ["-m", f"noting:notes={tmp_path}/notes", "-t", f"listen:audio={place}/{{}}.wav,count=2", *COMMON]
        _, told = (process := cluster.run(*words, home=tmp_path / "home", private=(mine,))).communicate(timeout=300)
    finally:
        os.close(mine)
    assert process.returncode == 2
    assert f"does not see {place}/0.wav; put it on a disk that every node mounts" in told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "notes").exists()  # no model was loaded
