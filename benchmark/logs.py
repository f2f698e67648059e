"""Structured logs: one line an event on stderr, as text or JSON, and in the run's own `log.jsonl`.

``AUDIOMETRY_LOG_LEVEL`` says from which level on stderr is told, ``AUDIOMETRY_LOG_FORMAT`` (``text`` or ``json``) how.
Fields go beside the message, as the standard library has it, so that a program can find them::

    log = logging.getLogger("audiometry.pool")
    log.warning(WORKER_LOST, extra={"model": "whisper", "reason": "the worker died: killed", "samples": 8})

Values of environment variables that hold secrets, and passwords in URLs, are struck out of every line.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

from audiometry.benchmark.errors import UserError

__all__ = [
    "LOG",
    "MODEL_LOADED",
    "MODEL_NOT_LOADED",
    "RAY_STARTED",
    "RUN_FINISHED",
    "RUN_INTERRUPTED",
    "RUN_STARTED",
    "SAMPLE_FAILED",
    "SAMPLE_RETRIED",
    "SAMPLE_TIMED_OUT",
    "WORKER_LOST",
    "JsonFormatter",
    "TextFormatter",
    "configure",
    "redacted",
    "run_log",
]

LOG = "log.jsonl"

RUN_STARTED = "run started"
RUN_FINISHED = "run finished"
RUN_INTERRUPTED = "run interrupted"
RAY_STARTED = "Ray started"
MODEL_LOADED = "model loaded"
MODEL_NOT_LOADED = "model did not load"
WORKER_LOST = "worker lost"
SAMPLE_RETRIED = "sample retried"
SAMPLE_FAILED = "sample failed"
SAMPLE_TIMED_OUT = "sample timed out"

MAX_BYTES = 16 * 2**20
"""How long `log.jsonl` may become. The part before it is kept as `log.jsonl.1`, no more."""
MAX_CHARACTERS = 8000
"""What is kept of one message or field."""
MIN_SECRET = 6
"""Shorter values are not struck out: they would take innocent words along."""

FORMATS = ("text", "json")
SECRET_NAMES = ("_KEY", "_TOKEN", "_SECRET", "PASSWORD")
URL_PASSWORD = re.compile(r"(?<=://)([^\s:/?#@]*):[^\s/?#@]+@")
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
ONE_LINE = CONTROLS | {ord("\n"): "\\n", ord("\t"): "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"}

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure() -> None:
    """Send the process's log to stderr, as the environment says; does nothing where a log is set up already.

    Raises UserError for a level or a format that does not exist.
    """
    level = os.environ.get("AUDIOMETRY_LOG_LEVEL", "WARNING").upper()
    if level not in logging.getLevelNamesMapping():
        raise UserError(f"AUDIOMETRY_LOG_LEVEL is {level!r}; give DEBUG, INFO, WARNING or ERROR")
    kind = os.environ.get("AUDIOMETRY_LOG_FORMAT", "text").lower()
    if kind not in FORMATS:
        raise UserError(f"AUDIOMETRY_LOG_FORMAT is {kind!r}; give text or json")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if kind == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler])


@contextmanager
def run_log(folder: Path) -> Iterator[None]:
    """While it lasts, events of loggers under `audiometry` at INFO and above go to the folder's `log.jsonl` as well.

    What else is set up hears what it would have heard without. The file is appended to, so that a run that was gone
    on with tells all of itself. A file that cannot be written is told once, and the run goes on.
    """
    logger = logging.getLogger("audiometry")
    level, propagates = logger.level, logger.propagate
    file = _RunFile(folder / LOG)
    onward = _Onward(logger.getEffectiveLevel()) if propagates else None
    handlers: list[logging.Handler] = [file] if onward is None else [file, onward]
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
        file.close()


class TextFormatter(logging.Formatter):
    """``time LEVEL logger: message field=value``. No message can begin another line or move a terminal's cursor."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the standard library's name
        """The first line: all but a traceback."""
        secrets = _secrets()
        record.message = _plain(record.message, secrets).translate(ONE_LINE)
        fields = [f"{name}={_value(value, secrets)}" for name, value in _fields(record).items()]
        return " ".join([super().formatMessage(record), *fields]).translate(ONE_LINE)

    def format(self, record: logging.LogRecord) -> str:
        """The whole record; a traceback follows on lines of its own."""
        return redacted(super().format(record)).translate(CONTROLS)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (UTC), `level`, `logger`, `message`, the fields, and `exception` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON; bytes outside ASCII are escaped, so any text can be written."""
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _fields(record).items():
            document[f"field_{name}" if name in document else name] = value
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(_plain(document, _secrets()), allow_nan=False)


def redacted(text: str) -> str:
    """`text` without the values of variables that end in _KEY, _TOKEN, _SECRET or PASSWORD, and without URL passwords.

    >>> redacted("postgresql://me:hunter2@host/db")
    'postgresql://me:***@host/db'
    """
    return _struck(text, _secrets())


class _RunFile(RotatingFileHandler):
    """JSON lines in a file that is opened with the first of them. It never raises; its first failure is told."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=1, encoding="ascii", delay=True)
        self.setLevel(logging.INFO)
        self.setFormatter(JsonFormatter())
        self._told = False
        self._last: tuple[logging.LogRecord | None, str] = (None, "")

    def format(self, record: logging.LogRecord) -> str:
        """The record's line; the base class asks for it twice, to see whether it fits and to write it."""
        if self._last[0] is not record:
            self._last = (record, super().format(record))
        return self._last[1]

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the standard library's name
        """Tell the first failure to whoever else listens."""
        del record
        if self._told:
            return
        self._told = True
        error = sys.exc_info()[1]
        problem = f"cannot write {self.baseFilename}: {error}; the run goes on, its log has gaps"
        logging.getLogger().handle(logging.LogRecord("audiometry.logs", logging.WARNING, "", 0, problem, (), None))

    def close(self) -> None:
        """Close the file; what a full disk did not take is given up."""
        try:
            super().close()
        except OSError:
            self.handleError(logging.makeLogRecord({}))


class _Onward(logging.Handler):
    """Hands on to the root logger what would have reached it before `run_log` listened from INFO on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on what the handler's level lets through."""
        logging.getLogger().handle(record)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave beside the message; Ray puts a field of its own on every record."""
    given = vars(record).items()
    return {name: value for name, value in given if name not in STANDARD and not name.startswith("_")}


def _secrets() -> list[str]:
    """What must not be told, the longest first: one may be a part of another. Read anew for every record."""
    values = {
        value
        for name, value in os.environ.items()
        if name.upper().endswith(SECRET_NAMES) and len(value.strip()) >= MIN_SECRET
    }
    forms: set[str] = set()
    for value in values:  # also as it looks quoted in a URL, in Python and in JSON
        forms |= {value, value.strip(), quote(value, safe=""), repr(value)[1:-1], json.dumps(value)[1:-1]}
    return sorted(forms, key=len, reverse=True)


def _struck(text: str, secrets: list[str]) -> str:
    text = URL_PASSWORD.sub(r"\1:***@", text)
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _value(value: Any, secrets: list[str]) -> str:
    """A field in a line of text: as it is where that is clear, else as JSON."""
    text = _plain(value, secrets)
    if isinstance(text, str) and re.fullmatch(r"[^\s\"'=\x00-\x1f]+", text):
        return text
    return json.dumps(text, ensure_ascii=False, allow_nan=False)


def _plain(value: Any, secrets: list[str]) -> Any:
    """`value` as JSON can hold it, secrets struck out, long texts cut. Whatever is not plain becomes its text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(_plain(str(name), secrets)): _plain(one, secrets) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one, secrets) for one in value]
    text = _struck(str(value), secrets)
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + "…"
