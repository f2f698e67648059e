import doctest

import pytest

from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import asvspoof, audiocaps, audioset, crema_d, ravdess, voicemos, voxceleb
from audiometry.tasks.corpora.listings import check_unique, find_recordings, parse_lines, read_table, split_lines


def three(fields):
    return tuple(fields) if len(fields) == 3 else None


def test_lines_come_with_their_fields(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa b  c\r\n\n d\te f\n")
    assert parse_lines(path, three, "x y z") == [("a", "b", "c"), ("d", "e", "f")]
    path.write_text("a b, c ,d\n")
    assert parse_lines(path, three, "x,y,z", separator=",") == [("a b", "c", "d")]
    assert list(split_lines(path)) == [(1, "a b, c ,d")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a b c\na b\nd\n", "2 of 3 lines are not of the form 'x y z', first line 2: 'a b'; copy the list anew"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_list_of_another_form_is_refused_with_counts(tmp_path, content, message):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        parse_lines(path, three, "x y z")


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"list.txt: cannot be read: No such file"):
        parse_lines(tmp_path / "list.txt", three, "x")
    with pytest.raises(DataError, match=r"list.csv: cannot be read: No such file"):
        read_table(tmp_path / "list.csv", ("x",))


def test_a_table_comes_by_column(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b'\xef\xbb\xbfname, text\r\na, "one, ""two"""\r\n\r\nb,first\rpart\r\n')
    assert read_table(path, ("text",)) == [{"name": "a", "text": 'one, "two"'}, {"name": "b", "text": "first part"}]
    path.write_bytes("name\ttext\nä\tb\n".encode("latin-1"))
    assert read_table(path, ("name",), delimiter="\t", encoding="latin-1") == [{"name": "ä", "text": "b"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no column 'name'; it has: nothing"),
        (b"file,text\n", "has no column 'name'; it has: file, text"),
        (b"name,text\n", "is empty"),
        (b"name,text\na\nb,c\n", "1 of 2 lines are not of the form 'name,text', first line 2: 'a'"),
        (b"name,text\n\xff,c\n", "is not UTF-8 text"),
        (b"name,text\n" + b"a" * 200_000 + b",b\n", "is no table: field larger"),
    ],
)
def test_a_damaged_table_is_refused_with_counts(tmp_path, content, message):
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(path, ("name",))


def test_what_comes_twice_is_refused(tmp_path):
    check_unique(tmp_path, ["a", "b"])
    with pytest.raises(DataError, match="2 entries come more than once, first b"):
        check_unique(tmp_path, ["a", "b", "b", "c", "c"])


def test_recordings_are_found_by_their_place(tmp_path):
    for place in ("a/2.wav", "a/sub/x.y.WAV", "a/1.wav", "a/note.txt", "b/1.wav", "b/3.flac"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"sound")
    (tmp_path / "a" / "empty.wav").touch()
    (tmp_path / "a" / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    found = find_recordings((tmp_path / "a", tmp_path / "b", tmp_path / "c", tmp_path / "a" / "1.wav"), (".wav",))
    assert list(found) == ["1", "2", "sub/x.y"]
    assert found["1"] == str(tmp_path / "a" / "1.wav")


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        find_recordings([tmp_path], (".wav",))


@pytest.mark.parametrize("module", [asvspoof, audiocaps, audioset, crema_d, ravdess, voicemos, voxceleb])
def test_examples(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0
