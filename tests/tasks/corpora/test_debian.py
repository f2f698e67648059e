import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import debian
from audiometry.tasks.corpora.debian import apt_download, unpack_deb


def link(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def everything(path):
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_wanted_files_are_unpacked_from_every_compression(make_deb, tmp_path, suffix):
    data = os.urandom(300_000)
    package = make_deb("p", {"./a/b.wav": data, "./a/c.txt": b"text", "./d.wav": b""}, suffix=suffix)
    written = unpack_deb(package, lambda path: path if path.suffix == ".wav" else None, tmp_path / "out")
    assert sorted(written) == ["a/b.wav", "d.wav"]
    assert written["a/b.wav"].read_bytes() == data
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file()) == ["b.wav", "d.wav"]


def test_only_regular_files_are_written(make_deb, tmp_path):
    extra = (
        link("./link", tarfile.SYMTYPE, "/etc/passwd"),
        link("./hard", tarfile.LNKTYPE, "a"),
        link("./pipe", tarfile.FIFOTYPE),
        link("./folder", tarfile.DIRTYPE),
    )
    package = make_deb("p", {"a": b"1"}, extra=extra)
    assert list(unpack_deb(package, everything, tmp_path / "out")) == ["a"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["../evil.wav", "a/../../evil.wav", "/evil.wav", "a\\..\\..\\evil.wav"])
def test_a_name_that_leads_out_is_refused(make_deb, tmp_path, name):
    package = make_deb("p", {"good.wav": b"1", name: b"2"})
    with pytest.raises(DataError, match="leads out of the folder"):
        unpack_deb(package, lambda path: path if path.name == "good.wav" else None, tmp_path / "out")
    assert not list(tmp_path.rglob("evil*"))


def test_a_target_that_leads_out_is_refused(make_deb, tmp_path):
    with pytest.raises(DataError, match="leads out of the folder"):
        unpack_deb(make_deb("p", {"a": b"1"}), lambda path: Path("..") / path, tmp_path / "out")


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_a_package_cut_off_anywhere_is_an_error(make_deb, tmp_path, suffix):
    package = make_deb("p", {"a": os.urandom(5000)}, suffix=suffix)
    whole = package.read_bytes()
    for length in {0, 5, 8, 30, 68, 71, 72, 100, 140, 150, 200, len(whole) // 2, len(whole) - 100, len(whole) - 3}:
        package.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"p_1.0-1_all.deb: .*fetch"):
            unpack_deb(package, everything, tmp_path / "out")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_damaged_data_archive_is_an_error(make_deb, tmp_path, suffix):
    package = make_deb("p", {"a": os.urandom(5000)}, suffix=suffix)
    data = bytearray(package.read_bytes())
    start = data.index(b"data.tar") + 60
    data[start + 20 : start + 2000] = bytes(1980)
    package.write_bytes(bytes(data))
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack_deb(package, everything, tmp_path / "out")


def test_what_is_no_package_is_an_error(tmp_path, make_deb):
    package = make_deb("p", {"a": b"1"})
    package.write_bytes(package.read_bytes().replace(b"data.tar.xz", b"data.tar.br"))
    with pytest.raises(DataError, match="compressed in an unknown way"):
        unpack_deb(package, everything, tmp_path / "out")
    package.write_bytes(b"!<arch>\n")
    with pytest.raises(DataError, match=r"holds no data.tar"):
        unpack_deb(package, everything, tmp_path / "out")


def test_a_package_that_unpacks_to_too_much_is_refused(tmp_path, make_deb, monkeypatch):
    monkeypatch.setattr(debian, "MAX_BYTES", 1000)
    package = make_deb("p", {"a": bytes(600), "b": bytes(600)})
    with pytest.raises(DataError, match="over 1000 bytes"):
        unpack_deb(package, everything, tmp_path / "out")


APT = """#!{python}
import os, shutil, sys
from pathlib import Path
log = Path({log!r})
with log.open("a") as out:
    out.write(" ".join(sys.argv[1:]) + "\\n")
known = {known!r} or "Dir::State" in " ".join(sys.argv)
if "update" in sys.argv:
    if not {online!r}:
        print("W: something", file=sys.stderr)
        print("E: Could not resolve the server", file=sys.stderr)
        sys.exit(100)
elif not known:
    print("E: Unable to locate package asterisk", file=sys.stderr)
    sys.exit(100)
else:
    for name in sys.argv[sys.argv.index("download") + 1:]:
        Path(f"{{name}}_1.0_all.deb").write_text(name)
    {after}
"""


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """Put a stand-in for apt-get first on the path; it returns the lines that it was called with."""

    def install(*, known: bool = True, online: bool = True, after: str = "pass"):
        log, script = tmp_path / "apt.log", tmp_path / "bin" / "apt-get"
        script.parent.mkdir()
        script.write_text(APT.format(python=sys.executable, log=str(log), known=known, online=online, after=after))
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent))
        return lambda: log.read_text().splitlines()

    return install


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "scratch"
    path.mkdir()
    return path


def test_packages_are_fetched_with_the_machines_lists(apt, home, folder):
    calls, told = apt(), []
    found = apt_download(["aa", "aa-wav"], folder, told.append, "do this")
    assert {name: path.name for name, path in found.items()} == {"aa": "aa_1.0_all.deb", "aa-wav": "aa-wav_1.0_all.deb"}
    assert told == ["fetching aa, aa-wav with apt-get"]
    assert len(calls()) == 1
    assert not (home / "apt").exists()


def test_where_they_do_not_know_it_private_lists_are_made(apt, home, folder):
    calls, told = apt(known=False), []
    found = apt_download(["aa"], folder, told.append, "do this")
    assert found["aa"].read_text() == "aa"
    assert told[1:] == [
        "apt-get: E: Unable to locate package asterisk",
        f"fetching package lists of our own into {home / 'apt'}",
    ]
    first, update, again = calls()
    assert "Dir::State" not in first
    assert update.endswith("update")
    assert f"Dir::State={home / 'apt' / 'state'}" in update
    assert f"Dir::State={home / 'apt' / 'state'}" in again
    assert (home / "apt" / "state" / "lists" / "partial").is_dir()


def test_a_machine_without_network_is_told_what_to_do(apt, home, folder):
    apt(known=False, online=False)
    with pytest.raises(DataError, match=r"cannot fetch aa: E: Could not resolve the server; do this"):
        apt_download(["aa"], folder, print, "do this")


def test_a_failure_without_reason_gives_the_exit_status(apt, home, folder):
    apt(after="sys.exit(7)")
    with pytest.raises(DataError, match="exit status 7"):
        apt_download(["aa"], folder, print, "do this")


def test_a_success_without_file_is_an_error(apt, home, folder):
    apt(after="os.remove('aa_1.0_all.deb')")
    with pytest.raises(DataError, match="cannot fetch aa: no file came; do this"):
        apt_download(["aa", "bb"], folder, print, "do this")


def test_a_machine_without_apt_is_told_what_to_do(home, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="this machine has no apt-get to fetch aa and bb with; do this"):
        apt_download(["aa", "bb"], folder, print, "do this")


def test_an_apt_that_hangs_or_cannot_start_is_an_error(apt, home, folder, monkeypatch):
    apt()

    def hang(*_, **__):
        raise subprocess.TimeoutExpired("apt-get", 1)

    monkeypatch.setattr(debian.subprocess, "run", hang)
    with pytest.raises(DataError, match="no end after 900 s"):
        apt_download(["aa"], folder, print, "do this")

    def refuse(*_, **__):
        raise PermissionError("not yours")

    monkeypatch.setattr(debian.subprocess, "run", refuse)
    with pytest.raises(DataError, match="not yours"):
        apt_download(["aa"], folder, print, "do this")
