"""Which formats a submission's files may have, told by their content.

Each is on the list because reading it cannot run anything: numbers (safetensors, CTranslate2), text, JSON, and two
that are interpreted in a bounded way (a sentencepiece vocabulary, a chat template, which transformers runs in a
sandbox). A file has to *be* what its name says: all of it is walked through, so that nothing hides behind a good
beginning. What is on no list is refused; what would run code (pickles above all) is told by name.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import pickletools
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from audiometry.benchmark.errors import UserError
from audiometry.leaderboard.submissions.archives import holds_zip
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.limits import DEFAULT_LIMITS, Limits
from audiometry.leaderboard.submissions.manifest import FILE
from audiometry.leaderboard.submissions.names import shown

__all__ = ["ALWAYS", "FORMATS", "check_content"]

ALWAYS = ("text", "json")
"""What every submission may hold, whatever its adapter: notes, licences and settings."""

SUFFIXES: Mapping[str, str] = {
    ".safetensors": "safetensors",
    ".bin": "ctranslate2",
    ".json": "json",
    ".txt": "text",
    ".md": "text",
    ".jinja": "template",
    ".model": "sentencepiece",
}

BARE = ("README", "LICENSE", "LICENCE", "NOTICE", "COPYING")
"""Files of text without a suffix."""

PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".dill", ".cloudpickle", ".mar")
CODE = (
    ".py", ".pyc", ".pyd", ".pyx", ".ipynb", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".ps1", ".js", ".wasm",
    ".whl", ".jar", ".class", ".lua", ".rb", ".pl", ".c", ".cc", ".cpp", ".cu",
)  # fmt: skip

MAGIC: Sequence[tuple[bytes, str]] = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes them around a pickle, which runs code when it is read"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x93NUMPY", "a NumPy array, which no adapter reads"),
    (b"GGUF", "GGUF, which no adapter reads"),
    (b"\x89HDF\r\n\x1a\n", "HDF5, in which Keras keeps code"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\xfe\xed\xfa\xcf", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\0asm", "a program"),
    (b"#!/", "a script"),
    (b"#! /", "a script"),
    (b"\x1f\x8b", "a compressed archive, and archives inside are not opened"),
    (b"BZh", "a compressed archive, and archives inside are not opened"),
    (b"\xfd7zXZ\0", "a compressed archive, and archives inside are not opened"),
    (b"\x28\xb5\x2f\xfd", "a compressed archive, and archives inside are not opened"),
    (b"7z\xbc\xaf\x27\x1c", "a compressed archive, and archives inside are not opened"),
    (b"Rar!\x1a\x07", "a compressed archive, and archives inside are not opened"),
    (b"SQLite format 3\0", "a database"),
)
"""How files begin that are refused whatever they are called."""

HEAD_BYTES = 2**18
RUNS = frozenset({"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"})
"""Instructions of a pickle that call something."""

MAX_ENTRIES = 500_000
"""The most entries of a binary file's table: each is walked through, and takes its time."""

PIECES = (1 << 3) | 2
MESSAGE = tuple((field << 3) | 2 for field in range(1, 6))
"""The tags of a sentencepiece vocabulary's fields, all of them with a length; its pieces come first."""

CODE_KEYS = ("auto_map", "custom_pipelines")
KERNEL_KEYS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
SAFE = "give the weights as safetensors: model.save_pretrained(FOLDER)"


def check_content(path: Path, name: str, formats: Sequence[str], limits: Limits = DEFAULT_LIMITS) -> None:
    """Make sure that the file `path`, called `name` in its submission, is in one of `formats` or of `ALWAYS`.

    Nothing is unpickled, decompressed or run. Raises SubmissionError, which says why.
    """
    if name == FILE:
        return  # `read_manifest` reads it
    pure = PurePosixPath(name)
    suffix = pure.suffix.lower()
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if found := _refused_content(head):
        raise SubmissionError(f"{shown(name)} is {found}; {SAFE}")
    if suffix in PICKLES:
        raise SubmissionError(
            f"{shown(name)} is of a kind that holds a pickle, which runs code when it is read; {SAFE}"
        )
    if suffix in CODE:
        raise SubmissionError(f"{shown(name)} is code, and a submission's code is never run; leave it out")
    kind = "text" if pure.name in BARE else SUFFIXES.get(suffix)
    if kind is None or kind not in (*ALWAYS, *formats):
        allowed = sorted({one for one, of in SUFFIXES.items() if of in (*ALWAYS, *formats)})
        raise SubmissionError(
            f"{shown(name)} is of a kind that this adapter does not read; it reads {', '.join(allowed)}"
        )
    FORMATS[kind](path, name, limits)
    if kind not in ALWAYS and holds_zip(path):
        raise SubmissionError(f"{shown(name)} has a zip archive behind its beginning; {SAFE}")


def _refused_content(head: bytes) -> str | None:
    """What is wrong with a file that begins so, as far as that is told by its beginning."""
    for magic, what in MAGIC:
        if head.startswith(magic) and not (magic.isalnum() and _is_text(head)):
            of_objects = magic == b"\x93NUMPY" and b"O'" in head[:256]
            return "a NumPy array of pickled objects, which run code when they are read" if of_objects else what
    if head[257:262] == b"ustar":
        return "a tar archive, and archives inside are not opened"
    if head[2:4] == b"\r\n" and head[4:16].count(0) >= 3:
        return "compiled Python code"
    binary = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if binary or _runs_as_pickle(head):
        return "a Python pickle, which runs code when it is read"
    return None


def _is_text(head: bytes) -> bool:
    """Whether a beginning is UTF-8 without NUL; its last character may be cut off."""
    try:
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False


def _runs_as_pickle(head: bytes) -> bool:
    """Whether the beginning, read as a pickle of any protocol, calls something before it stops or breaks.

    It is not run: the instructions are listed and the depth of their stack is followed, so that a text that happens to
    begin with the letter of an instruction is still a text.
    """
    depth, marks = 0, list[int]()
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(head)):
            if opcode.name in ("GLOBAL", "INST") and not re.fullmatch(r"[\w.]+ [\w.]+", str(argument)):
                return False
            before = list(opcode.stack_before)
            if pickletools.markobject in before:  # it takes all down to the last mark, and the mark
                depth = marks.pop()
                before = before[: before.index(pickletools.markobject)]
            depth -= len(before)
            if depth < 0:
                return False
            if opcode.name in RUNS:
                return True
            while marks and marks[-1] >= depth:
                marks.pop()
            for one in opcode.stack_after:
                marks += [depth] if one is pickletools.markobject else []
                depth += 1
    except Exception:  # the lister meets anything in what is no pickle, and that is the answer
        return False
    return False


def _check_safetensors(path: Path, name: str, limits: Limits) -> None:  # noqa: ARG001
    """Header and tensors, which must fill the file without a gap."""
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise UserError(
            "checking a submission needs the package 'safetensors'; install it with: pip install 'audiometry[torch]'"
        ) from error
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise SubmissionError(f"{shown(name)} is not a whole safetensors file; save or copy it again") from error


def _check_json(path: Path, name: str, limits: Limits) -> None:
    """JSON that names no code."""
    text = _text_of(path, name, limits)
    if sum(map(text.count, ",[{")) > limits.json_values:
        raise SubmissionError(f"{shown(name)} holds more than {limits.json_values} values; leave it out")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"{shown(name)} is not JSON; save it again") from error
    base = PurePosixPath(name).name
    if base == "adapter_config.json":
        raise SubmissionError(f"{shown(name)} is half a model, whose base is elsewhere; merge the two and save them")
    if base.endswith("config.json"):
        _check_names_no_code(document, name)


def _check_names_no_code(document: Any, name: str) -> None:
    for key, value in _pairs(document):
        if key in CODE_KEYS and value:
            raise SubmissionError(f"{shown(name)} names code of the checkpoint's own ({key}), which is never run")
        if key in KERNEL_KEYS and isinstance(value, str) and "/" in value:
            raise SubmissionError(f"{shown(name)} names a kernel to be fetched ({key}), and nothing is fetched")


def _pairs(document: Any) -> list[tuple[str, Any]]:
    """Every key with its value, however deep. Without recursion: the depth is the submitter's."""
    found: list[tuple[str, Any]] = []
    waiting = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found += one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def _check_text(path: Path, name: str, limits: Limits) -> None:
    _text_of(path, name, limits)


def _text_of(path: Path, name: str, limits: Limits) -> str:
    if path.stat().st_size > limits.text_bytes:
        raise SubmissionError(
            f"{shown(name)} has more than {limits.text_bytes} bytes; that is no text or settings file"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{shown(name)} is not UTF-8 text; save it as such, or leave it out") from error
    if "\0" in text:
        raise SubmissionError(f"{shown(name)} holds NUL and is no text; leave it out")
    return text


def _check_ctranslate2(path: Path, name: str, limits: Limits) -> None:  # noqa: ARG001
    """CTranslate2's model.bin: numbers behind a table, walked through to the file's last byte.

    It is no pickle, though other frameworks call theirs so. Layout: version, the class's name and revision; a count of
    variables, each with name, rank, dimensions, type and bytes; a count of aliases, each two names.
    """
    with path.open("rb") as stream:
        reader = _Reader(stream, path.stat().st_size)
        try:
            if not 4 <= reader.number("I") <= 6 or not reader.text().endswith(b"Spec\0"):
                raise _MalformedError
            reader.number("I")
            for _ in range(reader.count()):
                reader.text()
                reader.skip(4 * reader.number("B"))
                reader.number("B")
                reader.skip(reader.number("I"))
            for _ in range(reader.count()):
                reader.text()
                reader.text()
            reader.end()
        except _MalformedError as error:
            raise SubmissionError(
                f"{shown(name)} is not a CTranslate2 model; the .bin of another framework is a pickle, which is "
                "refused: convert it with ct2-transformers-converter, or give safetensors"
            ) from error


def _check_sentencepiece(path: Path, name: str, limits: Limits) -> None:
    """A sentencepiece vocabulary: a protobuf message of the fields 1 to 5, each with a length, to the last byte."""
    size = path.stat().st_size
    if size > limits.text_bytes:
        raise SubmissionError(f"{shown(name)} has more than {limits.text_bytes} bytes; that is no vocabulary")
    with path.open("rb") as stream:
        reader = _Reader(stream, size)
        try:
            fields: tuple[int, ...] = (PIECES,)
            for _ in range(MAX_ENTRIES):
                if reader.number("B") not in fields:
                    raise _MalformedError
                reader.skip(reader.varint())
                fields = MESSAGE
                if not reader.left:
                    break
            reader.end()
        except _MalformedError as error:
            raise SubmissionError(f"{shown(name)} is not a sentencepiece vocabulary; save it again") from error


class _MalformedError(Exception):
    """A binary file that is not what its name says."""


class _Reader:
    """Reads little-endian numbers and passes over bytes, never beyond the end."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self.left = size

    def _take(self, count: int) -> bytes:
        self._spend(count)
        return self._stream.read(count)

    def _spend(self, count: int) -> None:
        if count > self.left:
            raise _MalformedError
        self.left -= count

    def number(self, code: str) -> int:
        """An unsigned number: B, H or I, as `struct` has them."""
        return int(struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")))[0])

    def count(self) -> int:
        """A count of entries (32 bits), of which no model has very many."""
        if (count := self.number("I")) > MAX_ENTRIES:
            raise _MalformedError
        return count

    def varint(self) -> int:
        """A number in groups of seven bits, the lowest first."""
        value = 0
        for place in range(5):
            byte = self.number("B")
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        raise _MalformedError

    def text(self) -> bytes:
        """Bytes behind their count (16 bits)."""
        return self._take(self.number("H"))

    def skip(self, count: int) -> None:
        """Pass over bytes."""
        self._spend(count)
        self._stream.seek(count, os.SEEK_CUR)

    def end(self) -> None:
        """Raise unless nothing is left."""
        if self.left:
            raise _MalformedError


FORMATS: Mapping[str, Callable[[Path, str, Limits], None]] = {
    "safetensors": _check_safetensors,
    "ctranslate2": _check_ctranslate2,
    "json": _check_json,
    "text": _check_text,
    "template": _check_text,
    "sentencepiece": _check_sentencepiece,
}
"""How each format is checked; a check raises SubmissionError."""
