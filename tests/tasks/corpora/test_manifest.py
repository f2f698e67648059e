import csv
import json
import tracemalloc

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.tasks.corpora import manifest as manifests
from audiometry.tasks.corpora.manifest import ManifestCorpus, manifest
from audiometry.tasks.corpora.utterance import SpeechCorpus, load_corpus, open_corpus

ROWS = [
    {"audio": "a.wav", "text": "One.", "speaker": "ann", "noise": "10", "room": "hall"},
    {"audio": "sub/b.wav", "text": "Two, \"three\"", "speaker": "bob", "noise": "20", "room": ""},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, tone):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.wav").write_bytes(tone(0.5))
    (tmp_path / "sub" / "b.wav").write_bytes(tone(4.0))
    return tmp_path


def write(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8-sig") as out:
            writer = csv.DictWriter(out, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".tsv":
        lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def fails(path, message):
    with pytest.raises(DataError, match=message) as caught:
        manifest(path=str(path)).utterances()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not manifest(path=str(path)).ready()
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet", "CSV"])
def test_every_format_lists_the_same(folder, suffix):
    path = write(folder / "list.csv", ROWS).rename(folder / "list.CSV") if suffix == "CSV" else None
    path = path or write(folder / f"list.{suffix}", ROWS)
    first, second = load_corpus("manifest", path=str(path))
    assert (first.id, first.text, first.speaker, first.audio.seconds) == ("a.wav", "One.", "ann", 0.5)
    assert first.slices == {"speaker": "ann", "noise": "10", "room": "hall", "duration": "00-01 s"}
    assert (second.text, second.audio.path) == ('Two, "three"', str(folder / "sub" / "b.wav"))
    assert second.slices == {"speaker": "bob", "noise": "20", "duration": "03-10 s"}
    assert read(second.audio).seconds == 4.0


def test_spans_ids_and_languages(folder):
    rows = [
        {"audio": "sub/b.wav", "text": "x", "start": 1, "end": 2.5, "language": "fr", "clean": True, "level": 2.0},
        {"audio": "sub/b.wav", "text": "y", "start": 3.5},
        {"audio": "sub/b.wav", "text": "z", "end": "9.0", "id": 7, "level": 2.5, "duration": "short"},
        {"audio": "sub/b.wav", "text": "", "start": 99},
    ]
    corpus = open_corpus("manifest", path=str(write(folder / "list.jsonl", rows)), language="de")
    assert isinstance(corpus, SpeechCorpus)
    first, second, third, fourth = corpus.utterances()
    assert (first.id, first.audio.seconds, first.language) == ("sub/b.wav@1-2.5", 1.5, "fr")
    assert first.slices == {"language": "fr", "clean": "true", "level": "2", "duration": "01-03 s"}
    assert (second.id, second.audio.seconds, second.language) == ("sub/b.wav@3.5-", 0.5, "de")
    assert (third.id, third.audio.seconds) == ("7", 4.0)
    assert third.slices == {"language": "de", "level": "2.5", "duration": "short"}
    assert (fourth.audio.seconds, fourth.slices["duration"]) == (None, "unknown")


def test_missing_values_make_no_slice(folder):
    table = {"audio": ["a.wav", "sub/b.wav"], "text": ["x", "y"], "score": [1.0, None], "gender": [None, "male"],
             "start": [float("nan"), 1.0], "odd": [float("nan"), 2.0]}  # fmt: skip
    parquet.write_table(pa.table(table), folder / "list.parquet")
    first, second = manifest(path=str(folder / "list.parquet")).utterances()
    assert first.slices == {"score": "1", "duration": "00-01 s"}
    assert second.slices == {"gender": "male", "odd": "2", "duration": "03-10 s"}
    assert second.audio.start == 1.0


def test_a_recording_that_cannot_be_probed_is_left_to_the_worker(folder):
    (folder / "bad.wav").write_bytes(b"not sound at all")
    rows = [{"audio": "bad.wav", "text": "x"}, {"audio": "https://example.org/c.wav", "text": "y"},
            {"audio": "https://example.org/d.wav", "text": "y", "end": 2}]  # fmt: skip
    bad, remote, cut = manifest(path=str(write(folder / "list.jsonl", rows))).utterances()
    assert bad.audio.seconds is None
    assert (remote.audio.path, remote.audio.seconds) == ("https://example.org/c.wav", None)
    assert cut.audio.seconds == 2.0


def test_unknown_formats_and_files_are_named(folder):
    with pytest.raises(DataError, match=r"manifest ~nobody-here/list.csv: .*; give path=FILE in full"):
        manifest(path="~nobody-here/list.csv")
    assert fails(folder / "list.xlsx", r"'.xlsx' is no manifest format; use one of .jsonl, .csv, .tsv, .parquet")
    assert fails(folder / "list", "'no ending' is no manifest format")
    assert fails(folder / "list.csv", r"does not exist; give path=FILE")
    (folder / "dir.csv").mkdir()
    assert fails(folder / "dir.csv", "does not exist")


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        ("jsonl", b"", "holds no rows"),
        ("jsonl", b"\n\n", "holds no rows"),
        ("csv", b"", "is empty; give it a header"),
        ("csv", b"audio,text\n", "holds no rows"),
        ("tsv", b"audio\ttext\n", "holds no rows"),
        ("csv", b"audio,words\na.wav,x\n", "has no column 'text'; it has: audio, words"),
        ("csv", b"file,words\na.wav,x\n", "has no column 'audio' and no column 'text'"),
        ("csv", b"audio,text,text\na.wav,x,y\n", "column 'text' comes twice"),
        ("csv", b"audio,text\na.wav,x\n\nsub/b.wav,y,z\n", "row 2: has 3 fields and the header 2"),
        ("csv", b'audio,text\na.wav,"x" y\n', "row 1: .*mend the row's quotes"),
        ("csv", b"audio,text\na.wav,\xff\n", "is not UTF-8"),
        ("csv", b"audio,text\n ,x\n", "row 1: 'audio' is empty"),
        ("jsonl", b'{"audio": "a.wav", "text": "x"}\n{"audio": "a.wav"}\n', "row 2: has no 'text'; it has: audio"),
        ("jsonl", b"{}\n", "row 1: has no 'audio'; it has: nothing"),
        ("jsonl", b'{"audio": "a.wav", "text": null}\n', "row 1: 'text' is None; write it as text"),
        ("jsonl", b'{"audio": "a.wav", "text": 5}\n', "row 1: 'text' is 5"),
        ("jsonl", b'\n{"audio": \n', "row 2: is not JSON"),
        ("jsonl", b"[1]\n", "row 1: is not an object"),
        ("csv", b"audio,text,start\na.wav,x,soon\n", "row 1: 'start' is 'soon'; write seconds"),
        ("csv", b"audio,text,end\na.wav,x,-1\n", "row 1: 'end' is '-1'"),
        ("jsonl", b'{"audio": "a.wav", "text": "x", "start": [1]}\n', r"row 1: 'start' is \[1\]"),
        ("csv", b"audio,text,start,end\na.wav,x,2,2\n", "row 1: the span 2 to 2 s is empty"),
        ("csv", b"audio,text\na.wav,x\na.wav,y\n", "row 2: id 'a.wav' stands in row 1 already"),
        ("csv", b"audio,text,id\na.wav,x,1\nsub/b.wav,y,1\n", "row 2: id '1' stands in row 1"),
        ("csv", b"audio,text\na.wav,x\nc.wav,y\nd.wav,z\n", "row 2: recording .*c.wav does not exist; 2 of 3 rows"),
        ("jsonl", b'{"audio": "a\\u0000.wav", "text": "x"}\n', "does not exist; 1 of 1"),
        ("csv", b"audio,text\n" + b"a" * 5000 + b",x\n", "does not exist; 1 of 1"),
        ("parquet", b"PAR1 nothing", "is not a Parquet file"),
        ("parquet", b"", "is not a Parquet file"),
    ],
)
def test_each_mistake_is_named_in_one_line(folder, suffix, content, message):
    (folder / f"list.{suffix}").write_bytes(content)
    assert fails(folder / f"list.{suffix}", message)


def test_a_parquet_without_a_column_is_named(folder):
    parquet.write_table(pa.table({"audio": ["a.wav"]}), folder / "list.parquet")
    assert fails(folder / "list.parquet", "has no column 'text'; it has: audio")


def test_a_file_that_may_not_be_read_is_named(folder, monkeypatch):
    path = write(folder / "list.csv", ROWS)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    assert fails(path, "cannot be read: .*Permission denied")


def test_the_corpus_describes_itself(folder):
    corpus, told = manifest(path=str(write(folder / "list.csv", ROWS))), []
    corpus.prepare(None, told.append)
    assert told == [f"{folder / 'list.csv'}: 2 recordings listed, all there"]
    assert corpus.describe()["prepared"] == "yes"
    (folder / "a.wav").unlink()
    assert corpus.describe()["prepared"].startswith("no")
    with pytest.raises(DataError, match="leave out --source"):
        corpus.prepare("here", told.append)
    with pytest.raises(SettingError, match="needs the setting 'path'"):
        open_corpus("manifest")


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    rows=st.lists(st.tuples(words, words), min_size=1, max_size=5), suffix=st.sampled_from(["jsonl", "csv", "parquet"])
)
def test_texts_and_slices_come_back_as_written(folder, rows, suffix):
    listed = [{"audio": "a.wav", "text": text, "id": str(n), "kind": kind} for n, (text, kind) in enumerate(rows)]
    found = ManifestCorpus(str(write(folder / f"list.{suffix}", listed))).utterances()
    assert [(u.id, u.text, u.slices.get("kind", "")) for u in found] == [
        (str(n), text, kind.strip()) for n, (text, kind) in enumerate(rows)
    ]


def test_a_long_list_is_not_held(folder, monkeypatch):
    monkeypatch.setattr(manifests, "STRETCH", 256)
    path = folder / "list.jsonl"
    rows = 8_000
    with path.open("w") as out:
        for i in range(rows):
            row = {"audio": "sub/b.wav", "text": f"a text of some length {i}", "id": f"utterance-{i}", "room": "hall"}
            out.write(json.dumps(row) + "\n")
    corpus = manifest(path=str(path))
    assert sum(1 for _ in corpus.utterances()) == rows
    tracemalloc.start()
    whole = list(corpus.utterances())
    held, _ = tracemalloc.get_traced_memory()
    del whole
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    assert sum(1 for _ in corpus.utterances()) == rows
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < held / 5


def test_a_list_is_checked_once_and_each_length_read_once(folder, monkeypatch):
    read_lengths = []
    monkeypatch.setattr(manifests, "probe_seconds", lambda path: read_lengths.append(path) or 0.25)
    path = write(folder / "list.csv", ROWS)
    corpus = manifest(path=str(path))
    assert [u.audio.seconds for _, u in zip(range(1), corpus.utterances(), strict=False)] == [0.25]
    assert [[u.audio.seconds for u in corpus.utterances()] for _ in range(3)] == [[0.25, 0.25]] * 3
    assert len(read_lengths) == 2
    write(path, [*ROWS, ROWS[0]])
    with pytest.raises(DataError, match=r"row 3: id 'a\.wav' stands in row 1"):
        corpus.utterances()
    write(path, ROWS[1:])
    assert [u.text for u in corpus.utterances()] == ['Two, "three"']
