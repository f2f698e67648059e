import csv

import pytest

from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora.transcripts import is_present, read_lines, read_table, recordings


def test_tables(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('\ufeffa\tb\tc\n1\t"2\t3\n\n4\t5\n', encoding="utf-8")
    assert list(read_table(path, ("a", "b"))) == [{"a": "1", "b": '"2', "c": "3"}, {"a": "4", "b": "5"}]
    with pytest.raises(DataError, match=r"a.tsv: has no column 'd', 'e'; it has: a, b, c"):
        list(read_table(path, ("a", "d", "e")))
    with pytest.raises(DataError, match=r"a.tsv, row 2: has 2 fields of 3; fetch it again"):
        list(read_table(path, ("c",)))
    path.write_text("")
    with pytest.raises(DataError, match="it has: none"):
        list(read_table(path, ("a",)))
    assert list(read_table(path, ("a",), columns=("a",))) == []
    assert list(read_table(path, (), columns=("a",))) == []


def test_quoted_tables(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,"2, 3"\n')
    assert list(read_table(path, ("a",), separator=",", quotes=True)) == [{"a": "1", "b": "2, 3"}]


def test_what_is_no_table(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv"
    path.write_text("a\n" + "x" * (csv.field_size_limit() + 1))
    with pytest.raises(DataError, match=r"a.tsv: is no table: field larger than field limit"):
        list(read_table(path, ("a",)))
    with pytest.raises(DataError, match=r"gone.txt: cannot be read: No such file or directory; fetch it again"):
        list(read_lines(tmp_path / "gone.txt"))

    def fail(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.is_file", fail)
    assert not is_present(path)


def test_recordings(tmp_path):
    for name in ("b/2.WAV", "a/1.wav", "a/x.txt", "c/1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "a" / "0.wav").write_text("")
    assert recordings(tmp_path, (".wav",)) == {"1": tmp_path / "c/1.wav", "2": tmp_path / "b/2.WAV"}
    assert recordings(tmp_path / "gone", (".wav",)) == {}
