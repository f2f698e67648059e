import hashlib
import io
import tarfile
import zipfile
from http.client import IncompleteRead

import pytest

from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora.fetch import Archive, Hub, fetch, unpack

URL = "https://host/part.tar.gz"


def tar(names=("part/a.txt",), mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as pack:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            pack.addfile(info, io.BytesIO(b"abc"))
    return buffer.getvalue()


@pytest.fixture
def serve(monkeypatch):
    def serve(data):
        monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: io.BytesIO(data))

    return serve


def test_an_archive_is_fetched_compared_and_unpacked(tmp_path, serve):
    data = tar()
    serve(data)
    told = []
    fetch([Archive(URL, hashlib.md5(data).hexdigest())], tmp_path / "new", told.append, "by hand")  # noqa: S324
    assert told == [f"fetching {URL}", "unpacking part.tar.gz"]
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [
        "new/part/a.txt"
    ]


@pytest.mark.parametrize(
    ("source", "data", "message"),
    [
        (Archive(URL, "0" * 32), b"x", f"{URL} cannot be fetched: its MD5 is 9dd4e461268c8034f5c8564e155c67a6 where 0"),
        (Archive("http://host/a.zip"), b"x", "only https is fetched"),
        (Archive(URL), b"no archive", "part.tar.gz cannot be unpacked: .*; fetch it again"),
        (Archive(URL), tar()[:60], "part.tar.gz cannot be unpacked: .*; fetch it again"),
    ],
    ids=["checksum", "http", "no archive", "cut off"],
)
def test_what_cannot_be_had(tmp_path, serve, source, data, message):
    serve(data)
    with pytest.raises(DataError, match=message) as caught:
        fetch([source], tmp_path, lambda _: None, "do it by hand")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("broken", [False, True])
def test_no_network(tmp_path, monkeypatch, broken):
    def fail(*_, **__):
        raise IncompleteRead(b"") if broken else OSError("no route\nto host")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    reason = r"IncompleteRead\(0 bytes read\)" if broken else "no route to host"
    for source, name in ((Archive(URL), URL), (Hub("someone/speech", ("*",)), "someone/speech")):
        with pytest.raises(DataError, match=f"^{name} cannot be fetched: {reason}; do it by hand$"):
            fetch([source], tmp_path, lambda _: None, "do it by hand")


def test_the_hub_is_asked_for_the_files_of_a_dataset(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *names, **options: asked.append((names, options)))
    fetch([Hub("someone/speech", ("a/*", "b"), "v1")], tmp_path, lambda _: None, "")
    assert asked == [
        (
            ("someone/speech",),
            {"repo_type": "dataset", "revision": "v1", "allow_patterns": ["a/*", "b"], "local_dir": tmp_path},
        )
    ]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"])
def test_every_kind_of_tar(tmp_path, ending):
    mode = {".tar": "w", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}.get(ending, "w:gz")
    (tmp_path / f"a{ending}").write_bytes(tar(mode=mode))
    unpack(tmp_path / f"a{ending}", tmp_path)
    assert (tmp_path / "part" / "a.txt").read_bytes() == b"abc"


def test_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as pack:
        pack.writestr("part/a.txt", "abc")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out" / "part" / "a.txt").read_text() == "abc"


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt"])
def test_members_that_would_leave_the_folder(tmp_path, name):
    place = tmp_path / "in"
    place.mkdir()
    with zipfile.ZipFile(place / "a.zip", "w") as pack:
        pack.writestr(name, "abc")
    with pytest.raises(DataError, match="lies outside its folder; do not use it"):
        unpack(place / "a.zip", place)
    (place / "a.tar").write_bytes(tar([name], "w"))
    if name.startswith(".."):
        with pytest.raises(DataError, match="cannot be unpacked"):
            unpack(place / "a.tar", place)
    else:
        unpack(place / "a.tar", place)
        assert (place / "evil.txt").is_file()
    assert not (tmp_path / "evil.txt").exists()
