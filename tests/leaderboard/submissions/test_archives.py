"""Unpacking: what is refused, that nothing is left behind, and a property over names and contents."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audiometry.leaderboard.submissions.archives import holds_zip, unpack
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.limits import Limits

SMALL = Limits(archive_bytes=10**6, total_bytes=200_000, file_bytes=100_000, files=10, ratio=20.0, free_bytes=50_000)
Members = Sequence[tuple[str, bytes]]


def make_zip(members: Members, **more: int) -> bytes:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # names that stand there twice are what is tested
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = more.get("compress_type", zipfile.ZIP_DEFLATED)
            info.external_attr = more.get("mode", 0o644) << 16
            archive.writestr(info, content)
    return made.getvalue()


def make_tar(members: Members, **more: str | bytes | int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def make_tar_gz(members: Members) -> bytes:
    return gzip.compress(make_tar(members))


MAKERS: Mapping[str, Callable[[Members], bytes]] = {"zip": make_zip, "tar": make_tar, "tar.gz": make_tar_gz}


class Place:
    """A folder to unpack in, that tells what lies around."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "beside").mkdir(parents=True)
        (folder / "beside" / "target").write_text("untouched")

    def unpack(self, content: bytes, limits: Limits = SMALL) -> Path:
        archive = self.folder / "archive"
        archive.write_bytes(content)
        unpack(archive, self.folder / "beside" / "out", limits)
        return self.folder / "beside" / "out"

    def refused(self, content: bytes, limits: Limits = SMALL) -> str:
        """The reason; nothing but the archive may be new."""
        with pytest.raises(SubmissionError) as error:
            self.unpack(content, limits)
        assert self.listing() == ["archive", "beside", "beside/target"]
        assert (self.folder / "beside" / "target").read_text() == "untouched"
        reason = str(error.value)
        assert reason.isprintable()
        assert len(reason) < 400
        return reason

    def listing(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.mark.parametrize("kind", MAKERS)
def test_files_come_out_as_they_went_in(place: Place, kind: str) -> None:
    members = [("audiometry.yaml", b"name: x"), ("deep/er/weights.bin", bytes(range(256)) * 100), ("empty.txt", b"")]
    out = place.unpack(MAKERS[kind](members))
    assert {name: (out / name).read_bytes() for name, _ in members} == dict(members)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert len(files) == 3
    assert place.listing()[:2] == ["archive", "beside"]
    assert not list((place.folder / "beside").glob(".*"))


def test_a_folder_that_was_packed_whole_is_unwrapped(place: Place) -> None:
    out = place.unpack(make_zip([("ckpt/audiometry.yaml", b"name: x"), ("ckpt/a/b.json", b"{}")]))
    assert sorted(path.name for path in out.iterdir()) == ["a", "audiometry.yaml"]
    assert sorted(path.name for path in (place.folder / "beside").iterdir()) == ["out", "target"]


def test_folders_and_leading_dots_of_a_tar_are_taken(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "a.txt").write_text("a")
    with tarfile.open(tmp_path / "made.tar", "w") as archive:
        archive.add(source, arcname=".")
    assert (place.unpack((tmp_path / "made.tar").read_bytes()) / "sub" / "a.txt").read_text() == "a"


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/cron.d/x", "absolute"),
        ("../target", "leads out"),
        ("a/../../target", "leads out"),
        ("..\\target", "absolute or not written"),
        ("C:/x", "absolute"),
        ("a\x1b[2Jb", "control"),
        ("a\nb", "control"),
        ("a\u202eb", "control or invisible"),
        (".bashrc", "is hidden"),
        ("x" * 10_000, "has 10000 characters"),
        ("/".join("x" * 50), "more than 8 folders deep"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(place: Place, kind: str, name: str, reason: str) -> None:
    assert reason in place.refused(MAKERS[kind]([("good.txt", b"first"), (name, b"evil")]))


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("a.txt", "a.txt", "twice"),
        ("a.txt", "A.txt", "collides"),
        ("a", "a/b", "a file and a folder"),
        ("a/b", "a", "a file"),
    ],
)
def test_names_that_collide_are_refused(place: Place, kind: str, first: str, second: str, reason: str) -> None:
    assert reason in place.refused(MAKERS[kind]([(first, b"1"), (second, b"2")]))


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(place: Place, mode: int) -> None:
    assert "is a link or a device" in place.refused(make_zip([("x", b"beside/target")], mode=mode | 0o777))


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"Z",
    ],
)
@pytest.mark.parametrize("target", ["../../target", "/etc/passwd", "good.txt"])
def test_links_and_devices_in_a_tar_are_refused(place: Place, kind: bytes, target: str) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("good.txt"))
        info = tarfile.TarInfo("bad")
        info.type, info.linkname = kind, target
        archive.addfile(info)
    assert "is a link or a device" in place.refused(made.getvalue())


def test_writing_through_a_link_of_the_archive_is_refused(place: Place) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = tarfile.SYMTYPE, ".."
        archive.addfile(link)
        through = tarfile.TarInfo("door/target")
        through.size = 4
        archive.addfile(through, io.BytesIO(b"evil"))
    assert "is a link or a device" in place.refused(made.getvalue())


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_stopped_while_it_goes_off(place: Place, kind: str) -> None:
    reason = place.refused(MAKERS[kind]([("zeros.txt", bytes(90_000)), ("more.txt", bytes(90_000))]))
    assert "unpacks to more than 50000 bytes" in reason


def test_a_zip_that_lies_about_its_sizes_is_stopped(place: Place) -> None:
    content = bytearray(make_zip([("zeros.txt", bytes(90_000))]))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 10)
    assert "damaged" in place.refused(bytes(content))


def test_members_that_share_their_bytes_are_refused(place: Place) -> None:
    content = make_zip([("a.txt", os.urandom(30_000)), ("b.txt", b"x")])
    archive = zipfile.ZipFile(io.BytesIO(content))
    entry = content.index(b"PK\x01\x02")
    one = content[entry : entry + 46 + 5]
    start = archive.start_dir
    copies = [one[:46] + f"{i:05d}".encode() for i in range(9)]
    directory = b"".join(copies)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(copies), len(copies), len(directory), start, 0)
    assert "and header" in place.refused(content[:start] + directory + end, SMALL)


def test_a_file_that_is_too_large_is_stopped(place: Place) -> None:
    assert "has more than 100000 bytes" in place.refused(make_zip([("a.txt", os.urandom(100_001))]))
    assert "unpacks to more than 200000 bytes" in place.refused(
        make_zip([(f"{i}.txt", os.urandom(90_000)) for i in range(3)])
    )


def test_too_many_files_or_folders_are_stopped(place: Place) -> None:
    assert "more than 10 files" in place.refused(make_zip([(f"{i}.txt", b"") for i in range(11)]))
    assert "more than 10 files" in place.refused(make_tar([(f"{i}.txt", b"") for i in range(11)]))
    assert "more than 10 files" in place.refused(make_zip([(f"{i}/", b"") for i in range(100)]))


def test_an_archive_that_is_too_large_is_not_opened(place: Place) -> None:
    assert "the archive has 1000001 bytes; 1000000 is the most" in place.refused(b"PK\x03\x04" + bytes(999_997))


def test_a_table_of_contents_of_many_megabytes_is_not_read(place: Place) -> None:
    size = 5 * 2**20
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0)
    wide = Limits(archive_bytes=10 * 2**20)
    assert "table of contents is too large" in place.refused(b"PK\x03\x04" + bytes(size - 4) + end, wide)


def test_an_extended_header_of_many_megabytes_is_not_read(place: Place) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        info = tarfile.TarInfo("x")
        info.type, info.size = kind, 5 * 2**20
        content = info.tobuf(tarfile.GNU_FORMAT) + bytes(5 * 2**20 + 1024)
        wide = Limits(archive_bytes=10 * 2**20)
        assert "table of contents is too large" in place.refused(content, wide)
        assert "table of contents is too large" in place.refused(gzip.compress(content), wide)


def test_a_gzip_bomb_outside_of_any_file_is_stopped(place: Place) -> None:
    first = tarfile.TarInfo("skipped/")
    first.type, first.size = tarfile.DIRTYPE, 0
    sparse = tarfile.TarInfo("x")
    sparse.size = 10**12  # promised, and passed over by whoever seeks
    content = gzip.compress(first.tobuf() + sparse.tobuf() + bytes(3 * 10**6))
    assert "more than" in place.refused(content)


def test_encrypted_and_rarely_packed_members_are_refused(place: Place) -> None:
    content = bytearray(make_zip([("a.txt", b"secret")]))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    assert "is encrypted" in place.refused(bytes(content))
    assert "rare way" in place.refused(make_zip([("a.txt", b"x" * 100)], compress_type=zipfile.ZIP_LZMA))


def test_a_name_cut_off_by_a_nul_is_refused(place: Place) -> None:
    content = make_zip([("a.txtXb.py", b"x")]).replace(b"a.txtXb.py", b"a.txt\0b.py")
    assert "holds a NUL" in place.refused(content)


def test_two_names_for_one_member_are_refused(place: Place) -> None:
    content = make_zip([("a.txt", b"x")])
    where = content.rindex(b"a.txt")
    assert "damaged" in place.refused(content[:where] + b"b.txt" + content[where + 5 :])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"hello", b"\x1f\x8b" + bytes(100), gzip.compress(b"text"),
        zlib.compress(b"x"), b"\x80\x04.", bytes(10_000), make_zip([]), make_tar([]),
        make_zip([("a", b"x" * 500)])[:-30],
        make_tar([("a", b"x" * 5000)])[:2000], make_tar_gz([("a", os.urandom(5000))])[:3000],
        make_zip([("a", b"x" * 500)]).replace(b"PK\x01\x02", b"PK\x01\x03"),
    ],
    ids=[
        "nothing", "a zip's beginning", "a zip's end", "text", "gzip's beginning", "text in gzip", "zlib", "a pickle",
        "zeros", "an empty zip", "an empty tar", "a zip cut off", "a tar cut off",
        "a tar.gz cut off", "another signature",
    ],
)  # fmt: skip
def test_what_is_no_whole_archive_is_refused(place: Place, content: bytes) -> None:
    reason = place.refused(content)
    assert "is no zip, tar or tar.gz archive" in reason or "is damaged or not of a kind that is read here" in reason


def test_offsets_before_the_beginning_are_refused(place: Place) -> None:
    content = bytearray(make_zip([("a.txt", b"x")]))
    struct.pack_into("<I", content, content.rindex(b"PK\x05\x06") + 16, 2**31)
    assert "damaged" in place.refused(bytes(content))
    content = bytearray(make_zip([("a.txt", b"x")]))
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 42, 2**31)
    assert "damaged" in place.refused(bytes(content))


def test_an_archive_is_unpacked_into_a_new_or_empty_folder_alone(place: Place) -> None:
    content = make_zip([("a.txt", b"x")])
    (place.folder / "beside" / "out").mkdir()
    out = place.unpack(content)
    assert (out / "a.txt").read_bytes() == b"x"
    with pytest.raises(SubmissionError, match="is there already"):
        place.unpack(content)
    linked = place.folder / "beside" / "linked"
    linked.symlink_to(place.folder / "beside")
    with pytest.raises(SubmissionError, match="is there already"):
        unpack(place.folder / "archive", linked, SMALL)


def test_archives_inside_stay_as_they_are(place: Place) -> None:
    inner = make_zip([("../../target", b"evil")])
    out = place.unpack(make_zip([("inner.zip", inner)]))
    assert (out / "inner.zip").read_bytes() == inner


NAMES = st.one_of(
    st.text(min_size=1, max_size=30),
    st.lists(
        st.sampled_from(["..", ".", "", "a", "target", "beside", "~", "C:", "A", "x\\y"]), min_size=1, max_size=6
    ).map("/".join),
    st.sampled_from(["/etc/x", "../target", "../../target", "a/../../target", "audiometry.yaml", "\\\\host\\x"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.lists(st.tuples(NAMES, st.binary(max_size=50)), min_size=1, max_size=5),
    kind=st.sampled_from(sorted(MAKERS)),
)
@example(members=[("", b"content")], kind="zip")
def test_whatever_the_names_are_nothing_is_written_outside(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes]], kind: str
) -> None:
    place = Place(tmp_path_factory.mktemp("p") / "place")
    try:
        content = MAKERS[kind](members)
    except (UnicodeEncodeError, ValueError):
        return
    try:
        out = place.unpack(content)
    except SubmissionError:
        assert place.listing() == ["archive", "beside", "beside/target"]
    else:
        inside = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        wrapped = {name.partition("/")[2]: data for name, data in members}
        plain = {name.removeprefix("./"): data for name, data in members if not name.endswith("/")}
        assert inside in (plain, wrapped)
        assert all(not path.is_symlink() for path in out.rglob("*"))
    assert (place.folder / "beside" / "target").read_text() == "untouched"
    assert not [path for path in (place.folder / "beside").iterdir() if path.name not in ("target", "out")]


GOOD = {kind: make([("audiometry.yaml", b"name: x\n" * 20), ("a/b.json", b"{}")]) for kind, make in MAKERS.items()}


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(sorted(GOOD)), place_at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255),
    cut=st.booleans(),
)  # fmt: skip
def test_a_changed_archive_is_unpacked_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, kind: str, place_at: float, byte: int, cut: bool
) -> None:
    content = bytearray(GOOD[kind])
    at = int(place_at * len(content))
    content[at] = byte
    place = Place(tmp_path_factory.mktemp("p") / "place")
    try:
        place.unpack(bytes(content[: at + 1] if cut else content))
    except SubmissionError as error:
        assert place.listing() == ["archive", "beside", "beside/target"], error  # noqa: PT017  # a refusal is one of two good ends


def test_a_zip_behind_something_else_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"anything" + make_zip([("data.pkl", b"x")]))
    assert holds_zip(path)
    path.write_bytes(b"anything" * 100)
    assert not holds_zip(path)
    size = 5 * 2**20
    path.write_bytes(bytes(size) + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0))
    assert holds_zip(path)
