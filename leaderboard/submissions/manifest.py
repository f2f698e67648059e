"""``audiometry.yaml``: what a submission says of itself.

It is read as plain data: no tags, no aliases, no key twice, and nothing but text, numbers and truth values.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import UserError
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.names import INVISIBLE, likeness

__all__ = ["FILE", "Manifest", "from_document", "read_manifest", "spec_of"]

FILE = "audiometry.yaml"

MAX_BYTES = 64 * 2**10
MAX_SETTINGS = 50
MAX_CORPORA = 200
LIMITS = {"name": 10_000, "adapter": 100, "licence": 200, "contact": 320, "suite": 100}
"""The most characters of each text."""

REQUIRED = ("name", "adapter", "licence", "training_data", "contact")
OPTIONAL = ("settings", "suite")

OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what follows them: a name must not rearrange the page around it."""

Value = str | int | float | bool


@dataclass(frozen=True)
class Manifest:
    """What a submission says of itself.

    `settings` are the adapter's; a text that begins with ``./`` is a path inside the folder. `training_data` names the
    corpora that the model was trained on, an empty tuple where none is declared.
    """

    name: str
    adapter: str
    settings: Mapping[str, Value]
    licence: str
    training_data: tuple[str, ...]
    contact: str
    suite: str = "core"

    def as_document(self) -> dict[str, Any]:
        """The manifest as JSON has it; `from_document` reads it back."""
        return {**asdict(self), "settings": dict(self.settings), "training_data": list(self.training_data)}


def read_manifest(path: Path) -> Manifest:
    """Read the manifest at `path`, or in the folder `path`.

    Raises SubmissionError for a file that is missing, a link, larger than 64 KiB or not plain YAML, an unknown or
    missing key, or a value that `from_document` refuses.
    """
    file = path / FILE if path.is_dir() else path
    if file.is_symlink() or not file.is_file():
        raise SubmissionError(f"there is no {FILE} at the top of the folder; write one (see docs/submissions.md)")
    if file.stat().st_size > MAX_BYTES:
        raise SubmissionError(f"{FILE} is larger than {MAX_BYTES // 2**10} KiB; shorten it")
    try:
        document = _parse(file.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{FILE} is not UTF-8 text; save it as such") from error
    for key in document:
        if key not in REQUIRED + OPTIONAL:
            near = difflib.get_close_matches(str(key), REQUIRED + OPTIONAL, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SubmissionError(f"{FILE}: unknown key {_short(key)}; {hint}it takes {', '.join(REQUIRED + OPTIONAL)}")
    return from_document(document)


def from_document(document: Mapping[str, Any]) -> Manifest:
    """A manifest from what `Manifest.as_document` gave; keys that are not a manifest's are passed over.

    Raises SubmissionError for a key that is missing, or a value of another type, empty, too long, or with control
    characters.
    """
    if missing := [key for key in REQUIRED if key not in document]:
        raise SubmissionError(f"{FILE} lacks {', '.join(missing)}; add it")
    return Manifest(
        name=_name(document["name"]),
        **{key: _text(document[key], key) for key in ("adapter", "licence", "contact")},
        settings=_settings(document.get("settings")),
        training_data=_corpora(document["training_data"]),
        suite=_text(document.get("suite", "core"), "suite"),
    )


def spec_of(manifest: Manifest, folder: Path) -> str:
    """The model as the command line has it, ``ADAPTER:key=value,…``, with paths inside `folder`.

    >>> given = Manifest("mine", "whisper", {"model": "./ckpt", "beam": 5}, "MIT", (), "me@example.org")
    >>> spec_of(given, Path("/srv/x"))
    'whisper:beam=5,model=/srv/x/ckpt'

    Raises SubmissionError for a value that a spec cannot hold, and for a path that leaves the folder.
    """
    words = []
    for key, value in sorted(manifest.settings.items()):
        text = _spelled(value)
        if text.startswith("./"):
            if ".." in text.split("/"):
                raise SubmissionError(f"setting {key!r}: {_short(text)} leaves the folder; name a path inside it")
            text = str(folder / text)
        if "," in text or text != text.strip() or _control(text):
            raise SubmissionError(f"setting {key!r}: {_short(text)} may hold no comma and no white space at its ends")
        words.append(f"{key}={text}")
    return f"{manifest.adapter}:{','.join(words)}" if words else manifest.adapter


def _parse(text: str) -> dict[Any, Any]:
    """The mapping that a YAML text holds."""
    try:
        import yaml  # type: ignore[import-untyped]  # PyYAML carries no types
    except ModuleNotFoundError as error:
        raise UserError(
            "reading a submission needs the package 'yaml'; install it with: pip install 'audiometry[server]'"
        ) from error

    class PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
        """Plain data alone, each key once."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            """No alias: a few of them can stand for billions of values."""
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("an alias (*) is not allowed")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            """No key twice: the last one would win in silence."""
            seen: set[str] = set()
            for key in (key.value for key, _ in node.value if isinstance(key.value, str)):
                if key in seen:
                    raise yaml.YAMLError(f"the key {_short(key)} stands there twice")
                seen.add(key)
            return super().construct_mapping(node, deep=deep)

    try:
        document = yaml.load(text, Loader=PlainLoader)  # noqa: S506  (a SafeLoader, narrowed)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SubmissionError(f"{FILE} is not plain YAML: {_short(' '.join(str(error).split()), 200)}") from error
    if not isinstance(document, dict):
        raise SubmissionError(f"{FILE} holds no mapping; write `name: …`, `adapter: …` and so on")
    return document


def _text(value: object, key: str, limit: int | None = None) -> str:
    limit = limit or LIMITS[key]
    if not isinstance(value, str):
        raise SubmissionError(f"{FILE}: {key} must be text, not {_kind(value)}; put it in quotes")
    if not value.strip() or value != value.strip():
        raise SubmissionError(f"{FILE}: {key} is empty, or has white space at an end")
    if len(value) > limit:
        raise SubmissionError(f"{FILE}: {key} has {len(value)} characters; {limit} is the most")
    if _control(value):
        raise SubmissionError(f"{FILE}: {key} holds a line break or another control character; leave it out")
    return value


def _name(value: object) -> str:
    """A name that shows all that it holds: two that differ must not look the same."""
    name = _text(value, "name")
    if any(unicodedata.category(one) in INVISIBLE for one in name) or not likeness(name):
        raise SubmissionError(f"{FILE}: name holds an invisible or unassigned character, or nothing else; leave it out")
    return name


def _settings(value: object) -> dict[str, Value]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > MAX_SETTINGS:
        raise SubmissionError(f"{FILE}: settings must be a mapping of {MAX_SETTINGS} names at most")
    settings: dict[str, Value] = {}
    for key, one in value.items():
        if not isinstance(key, str) or not key.isidentifier() or not key.isascii() or len(key) > 100:
            raise SubmissionError(f"{FILE}: {_short(key)} is not the name of a setting; use letters, digits and _")
        if isinstance(one, str):
            one = _text(one, f"setting {key!r}", 2_000) if one else one  # noqa: PLW2901
        elif not isinstance(one, (bool, int, float)) or (isinstance(one, float) and not math.isfinite(one)):
            raise SubmissionError(f"{FILE}: setting {key!r} must be text, a finite number, true or false")
        elif isinstance(one, int) and abs(one) >= 2**63:
            raise SubmissionError(f"{FILE}: setting {key!r} is too large a number")
        settings[key] = one
    return settings


def _corpora(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or len(value) > MAX_CORPORA:
        raise SubmissionError(
            f"{FILE}: training_data must be a list of {MAX_CORPORA} names of corpora at most; [] declares none"
        )
    return tuple(_text(one, "a name in training_data", 300) for one in value)


def _spelled(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _control(text: str) -> bool:
    return any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") or one in OVERRIDES for one in text)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    return {list: "a list", dict: "a mapping", type(None): "nothing"}.get(type(value), "a date or the like")


def _short(value: object, most: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
