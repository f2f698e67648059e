from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.audio import encode_wav
from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.types import Waveform
from audiometry.models.adapters.answers import Format, read_answers, resolve_format

ROWS: list[dict[str, Any]] = [
    {"id": "set/a", "text": "one, two", "score": 1.5, "label": "angry", "rating": 4.0},
    {"id": "set/b", "text": 'say "three"', "score": -2.0, "label": "calm", "rating": 1.0},
]
CSV = 'id,text,score,label,rating\nset/a,"one, two",1.5,angry,4\nset/b,"say ""three""",-2e0,calm,1\n'


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_format(folder: Path, kind: str) -> str:
    if kind == "parquet":
        path = folder / "answers.parquet"
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return str(path)
    content = {"jsonl": "\n" + jsonl(*ROWS), "csv": "\ufeff" + CSV, "tsv": CSV.replace('"one, two"', "one  two")}[kind]
    if kind == "tsv":
        content = content.replace(",", "\t").replace("one  two", "one, two")
    return write(folder, f"answers.{kind}", content)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
def test_every_table_format_reads_the_same(kind: str, tmp_path: Path) -> None:
    file = read_answers(as_format(tmp_path, kind))
    assert file.columns == {"text", "score", "label", "rating"}
    assert not file.by_file
    for answer, row in zip(file.answers, ROWS, strict=True):
        assert {name: getattr(answer, name) for name in row} == row
        assert (answer.status, answer.error, answer.audio) == ("ok", None, None)


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1, max_size=5))
def test_any_text_survives_jsonl(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    file = read_answers(write(tmp_path_factory.mktemp("any"), "a.jsonl", jsonl(*rows)))
    assert [answer.text for answer in file.answers] == texts


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.scores", "u1 -1.5\nu2 2\n\n", [("u1", -1.5), ("u2", 2.0)]),
        ("a.txt", "LA_1 - bonafide 3.25\nLA_2 A07 spoof -4\n", [("LA_1", 3.25), ("LA_2", -4.0)]),
        ("a.score", "filename\tcm-score\nE_1\t0.25\n", [("E_1", 0.25)]),
        ("a.txt", "u1 -1.5\nu2 2e-3\n", [("u1", -1.5), ("u2", 0.002)]),
    ],
)
def test_score_files(name: str, content: str, expected: list[tuple[str, float]], tmp_path: Path) -> None:
    file = read_answers(write(tmp_path, name, content))
    assert file.columns == {"score"}
    assert [(answer.id, answer.score) for answer in file.answers] == expected


@pytest.mark.parametrize(
    ("name", "content", "format", "expected"),
    [
        ("a.txt", "u1 one two\nu2\tthree\nu3\n", "auto", [("u1", "one two"), ("u2", "three"), ("u3", "")]),
        ("a.trn", "one two (u1)\n(u2)\n", "auto", [("u1", "one two"), ("u2", "")]),
        ("a.trn", "u1 one two\n", "auto", [("u1", "one two")]),
        ("text", "u1 7\n", "kaldi", [("u1", "7")]),
    ],
)
def test_transcript_files(
    name: str, content: str, format: Format, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    file = read_answers(write(tmp_path, name, content), format)
    assert [(answer.id, answer.text) for answer in file.answers] == expected


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [("text", "u1 hello\n", "tells no format; give format="), ("a.txt", "u1 7\nu2 10\n", "scores or spoken digits")],
)
def test_what_cannot_be_told_apart_is_asked(name: str, content: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=told):
        resolve_format(Path(write(tmp_path, name, content)), "auto")


def test_the_setting_beats_the_ending(tmp_path: Path) -> None:
    assert resolve_format(tmp_path / "a.csv", "scores") == "scores"


def test_a_status_stands_in_for_an_answer(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "score": None, "status": "timeout"},
        {"id": "b", "score": None, "error": "out of memory"},
        {"id": "c", "score": 1, "status": " "},
        {"id": "d", "status": "refused", "score": ""},
    ]
    answers = read_answers(write(tmp_path, "a.jsonl", jsonl(*rows))).answers
    assert [(one.status, one.error, one.score) for one in answers] == [
        ("timeout", None, None),
        ("error", "out of memory", None),
        ("ok", None, 1.0),
        ("refused", None, None),
    ]


def test_a_row_that_made_no_sound_needs_none_and_an_empty_line_is_no_row(tmp_path: Path) -> None:
    write(tmp_path, "a.wav", b"RIFF")
    answers = read_answers(write(tmp_path, "a.csv", "id,audio,status\n\na,a.wav,ok\n\nb,,timeout\n")).answers
    assert [(one.id, one.audio, one.status) for one in answers] == [
        ("a", str(tmp_path / "a.wav"), "ok"),
        ("b", None, "timeout"),
    ]


def test_sound_files_are_found_beside_the_file_and_name_the_sample(tmp_path: Path) -> None:
    write(tmp_path, "wav/a.b.wav", b"RIFF")
    alone = read_answers(write(tmp_path, "made.csv", "audio\nwav/a.b.wav\n"))
    assert alone.by_file
    assert alone.columns == {"audio"}
    assert [(one.id, one.audio) for one in alone.answers] == [("wav/a.b", str(tmp_path / "wav/a.b.wav"))]
    heard = read_answers(write(tmp_path, "heard.csv", "audio,text\nC:\\clips\\x.wav,hello\n"))
    assert heard.columns == {"text"}
    assert [(one.id, one.audio) for one in heard.answers] == [("C:/clips/x", None)]
    both = read_answers(write(tmp_path, "both.csv", "file,audio,text\nx.wav,wav/a.b.wav,hello\n"))
    assert both.columns == {"audio", "text"}
    assert [one.id for one in both.answers] == ["x"]


BAD: list[tuple[str, str | bytes, str]] = [
    ("a.jsonl", "", r"a\.jsonl is empty; write one answer a line"),
    ("a.jsonl", "\n\n", "holds no answers"),
    ("a.csv", "id,text\n", "holds no answers"),
    ("a.jsonl", '{"id": "a"\n', "line 1 is not JSON"),
    ("a.jsonl", "[" * 100_000, "line 1 is not JSON"),
    ("a.jsonl", "[1]\n", "line 1 is not a JSON object"),
    ("a.jsonl", jsonl({"name": "a", "text": "x"}), "has no column 'id'"),
    ("a.jsonl", jsonl({"id": "a", "hypothesis": "x"}), "has no column of answers; add one of text"),
    ("a.jsonl", jsonl({"id": "a", "text": "x"}, {"text": "y"}), "line 2: has no id; name the sample"),
    ("a.jsonl", jsonl({"id": True, "text": "x"}), "line 1: has no id"),
    ("a.jsonl", jsonl({"id": "a", "text": 3}), "line 1: text 3 is not a text"),
    ("a.jsonl", jsonl({"id": "a", "score": True}), "line 1: score True is not a finite number"),
    ("a.jsonl", jsonl({"id": "a", "score": float("nan")}), "line 1: score nan is not a finite number; mend it"),
    ("a.jsonl", '{"id": "a", "score": 1' + "0" * 400 + "}", "is not a finite number"),
    ("a.jsonl", jsonl({"id": "a", "score": None}), "line 1: has no score; give a number, or a status"),
    ("a.jsonl", jsonl({"id": "a", "text": "x", "status": "fine"}), "status 'fine' is not one of ok, empty"),
    ("a.csv", "id,score\na,1\nb,high\n", "line 3: score 'high' is not a finite number"),
    ("a.csv", "id,rating\na,inf\n", "line 2: rating 'inf' is not a finite number"),
    ("a.csv", "id,score\na,\n", "line 2: has no score"),
    ("a.csv", "id,text\na,x\nb,y\na,z\n", "answers 'a' twice, in line 2 and line 4; keep one"),
    ("a.csv", "id,text\na,x,y\n", "line 2 has 3 fields and the header 2; quote"),
    ("a.csv", "id,text,text\na,x,y\n", "has two columns 'text'"),
    ("a.csv", 'id,text\na,"x', "cannot be read as csv"),
    ("a.csv", b"id,text\na,\xff\n", "cannot be read as csv: 'utf-8' codec"),
    ("a.txt", b"a \xff\n", "is not UTF-8 text"),
    ("a.csv", "id,audio\na,no.wav\n", r"line 2: the sound file 'no\.wav' is not there; paths are relative to"),
    ("a.csv", "id,audio\na,http://x/y.wav\n", "is a URL; fetch it"),
    ("a.csv", "id,audio,text\na,,x\n", "line 2: has no audio"),
    ("a.parquet", b"PAR1 not really", "cannot be read as Parquet"),
    ("a.scores", "u1 1.0\nu2 nan\n", "line 2: score 'nan' is not a finite number"),
    ("a.scores", "u1 1.0\nu2 x 1.0\n", "line 2 has 3 fields; write 'UTTERANCE SCORE'"),
    ("a.txt", "u1 1.5\nu2 bad\n", "line 2: score 'bad' is not a finite number"),
    ("a.trn", "one (u1)\ntwo\n", r"line 2 does not end in \(UTTERANCE\)"),
    ("a.file.csv", "file,text\nx/1.wav,a\nx/1.flac,b\n", "answers 'x/1' twice"),
]


@pytest.mark.parametrize(("name", "content", "told"), BAD)
def test_what_is_wrong_is_told_in_one_line(name: str, content: str | bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told) as caught:
        read_answers(write(tmp_path, name, content))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told() -> None:
    with pytest.raises(DataError, match=r"'no\.jsonl' does not exist"):
        read_answers("no.jsonl")


@given(
    st.binary(max_size=200), st.sampled_from(["a.jsonl", "a.csv", "a.tsv", "a.scores", "a.txt", "a.trn", "a.parquet"])
)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    path = write(tmp_path_factory.mktemp("any"), name, content)
    problem: UserError | None = None
    try:
        assert read_answers(path).answers
    except UserError as error:
        problem = error
    assert "\n" not in str(problem)


def test_parquet_reads_what_pandas_writes(tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"id": [7, 8], "label": pd.Categorical(["x", "y"]), "score": [0.5, 1.0], "more": [[1], [2]]})
    frame.to_parquet(path)
    file = read_answers(str(path))
    assert [(one.id, one.label, one.score) for one in file.answers] == [("7", "x", 0.5), ("8", "y", 1.0)]


def test_sound_may_be_anywhere_on_the_machine(tmp_path: Path) -> None:
    import numpy as np

    made = write(tmp_path, "elsewhere/a.wav", encode_wav(Waveform(np.zeros(160, np.float32), 16_000)))
    file = read_answers(write(tmp_path, "here/a.csv", f"id,audio\na,{made}\n"))
    assert file.answers[0].audio == made
