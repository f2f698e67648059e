"""The judge against a stand-in that speaks the program's interface: the program itself must be downloaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Request
from audiometry.models.adapters.spice_judge import PARSER, PROGRAM

JAVA = f'''#!{sys.executable}
"""java -Xmx… -jar PROGRAM INPUT -out OUTPUT: the share of the caption's words that a reference has, last line first."""
import json, pathlib, sys

heap, flag, program, given, out, made = sys.argv[1:]
assert (flag, out) == ("-jar", "-out") and heap.startswith("-Xmx") and pathlib.Path(program).is_file()
assert pathlib.Path("lib").is_dir()
rows = json.loads(pathlib.Path(given).read_text())
if rows[0]["test"] == "break":
    sys.exit("Exception in thread main: NoClassDefFoundError")
pathlib.Path("asked.json").write_text(json.dumps([heap, rows]))


def score(row):
    words, known = row["test"].split(), " ".join(row["refs"]).split()
    return float("nan") if row["test"] == "nothing" else sum(word in known for word in words) / len(words)


found = [{{"image_id": row["image_id"], "scores": {{"All": {{"f": score(row)}}}}}} for row in reversed(rows)]
pathlib.Path(made).write_text(json.dumps(found))
'''


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    for name in (PROGRAM, *(f"lib/{part}" for part in PARSER)):
        (tmp_path / name).write_bytes(name.encode())
    java = tmp_path / "java"
    java.write_text(JAVA)
    java.chmod(0o755)
    return tmp_path


def spec(program: Path, **more: str) -> Spec:
    return Spec("spice", tuple(sorted({"path": str(program), "java": str(program / "java"), **more}.items())))


def asked(caption: str | None, *references: str) -> Request:
    return Request("rate", text=caption, instruction="\n".join(references))


def test_captions_are_rated_together(program: Path) -> None:
    MODELS.check(spec(program))
    judge: Any = MODELS.create(spec(program, memory="2"))
    outputs = judge.generate(
        [asked("a dog barks", "a dog", "it barks"), asked(None, "x"), asked("nothing", "y"), asked("a cat", "a dog"),
         asked("a dog")]
    )  # fmt: skip
    assert [one.score for one in outputs] == [1.0, None, 0.0, 0.5, None]
    assert [one.status for one in outputs] == ["ok", "error", "ok", "ok", "error"]
    heap, rows = json.loads((program / "asked.json").read_text())
    assert heap == "-Xmx2048m"
    assert rows[0] == {"image_id": 0, "test": "a dog barks", "refs": ["a dog", "it barks"]}
    assert len(rows) == 3
    assert judge.generate([asked(None)])[0].status == "error"
    assert outputs[0].timings["total"] > 0
    judge.close()


def test_a_program_that_breaks_is_told(program: Path) -> None:
    judge: Any = MODELS.create(spec(program))
    with pytest.raises(UserError, match="exit code 1: Exception in thread main: NoClassDefFoundError"):
        judge.generate([asked("break", "x")])


def test_the_fingerprint_is_of_program_and_parser(program: Path) -> None:
    before = MODELS.fingerprint(spec(program))
    judge: Any = MODELS.create(spec(program))
    assert judge.fingerprint == before == MODELS.fingerprint(spec(program, memory="4"))
    (program / "lib" / PARSER[1]).write_bytes(b"another")
    assert MODELS.fingerprint(spec(program)) != before


def test_what_is_missing_is_told(program: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no program 'no-such-java'"):
        MODELS.check(spec(program, java="no-such-java"))
    with pytest.raises(SettingError, match=r"0\.5 to 1024"):
        MODELS.check(spec(program, memory="0"))
    (program / "lib" / PARSER[1]).unlink()
    with pytest.raises(SettingError, match=rf"lacks lib/{PARSER[1]}; run aac-metrics-download"):
        MODELS.check(spec(program))
    with pytest.raises(SettingError, match=f"lacks {PROGRAM}"):
        MODELS.check(Spec("spice", (("path", str(tmp_path / "nowhere")),)))
