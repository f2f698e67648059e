"""What is told, to whom, and what never is: secrets, forged lines, and an error because a log cannot be written."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark import cli, logs
from audiometry.benchmark.logs import JsonFormatter, TextFormatter, redacted, run_log

log = logging.getLogger("audiometry.somewhere")

Lines = Callable[[], list[dict[str, Any]]]


def record(message: str, *args: object, level: int = logging.WARNING, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("audiometry.x", level, "x.py", 1, message, args, None)
    vars(made).update(fields)
    return made


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    return lambda: [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]


class TestFormats:
    def test_json_holds_the_fields(self) -> None:
        line = JsonFormatter().format(
            record("worker %s", "lost", model="whisper", samples=3, share=0.5, gone=True, _rays=1)
        )
        told = json.loads(line)
        assert told.pop("time").endswith("+00:00")
        assert told == {
            "level": "WARNING", "logger": "audiometry.x", "message": "worker lost", "model": "whisper", "samples": 3,
            "share": 0.5, "gone": True,
        }  # fmt: skip

    def test_fields_that_are_no_json_are_told_all_the_same(self) -> None:
        told = json.loads(
            JsonFormatter().format(
                record(
                    "x", rate=float("nan"), path=Path("a/b"), pairs={1: {2}, "k": (3.5, None)}, level_=1, time="mine"
                )
            )
        )
        assert (told["rate"], told["path"], told["pairs"]) == ("nan", "a/b", {"1": [2], "k": [3.5, None]})
        assert told["field_time"] == "mine"
        assert told["time"] != "mine"

    def test_an_exception_is_one_field(self) -> None:
        try:
            raise ValueError("two\nlines")
        except ValueError:
            made = record("failed")
            made.exc_info = sys.exc_info()
        line = JsonFormatter().format(made)
        assert "\n" not in line
        assert "ValueError: two\nlines" in json.loads(line)["exception"]
        assert "ValueError" in TextFormatter().format(made)

    def test_text_names_the_fields(self) -> None:
        line = TextFormatter().format(record("worker lost", model="whisper", reason="it died: killed", samples=3))
        assert line.endswith('WARNING audiometry.x: worker lost model=whisper reason="it died: killed" samples=3')

    def test_no_message_forges_a_line_or_moves_the_cursor(self) -> None:
        line = TextFormatter().format(record("a\n2026-01-01 ERROR forged\x1b[2J\u2028b", reason="c\r\nd \x9b e"))
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        assert "\x9b" not in line

    @given(st.text(), st.text())
    def test_any_text_is_one_line(self, message: str, field: str) -> None:
        made = record("%s", message, field=field)
        told = JsonFormatter().format(made)
        assert told.isascii()
        assert len(told.splitlines()) == 1
        assert len(TextFormatter().format(made).splitlines()) == 1

    def test_a_huge_message_is_cut(self) -> None:
        assert len(JsonFormatter().format(record("x" * 10**6))) < 10_000


class TestSecrets:
    @pytest.mark.parametrize("name", ["OPENAI_API_KEY", "HF_TOKEN", "aws_secret", "PGPASSWORD", "MY_PASSWORD"])
    def test_values_are_struck_out_everywhere(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, 'sk-"quo\\ted/1')
        made = record(
            "header %s", 'Bearer sk-"quo\\ted/1', url="https://x/?k=sk-%22quo%5Cted%2F1", deep={"a": ['sk-"quo\\ted/1']}
        )
        try:
            raise ValueError('sk-"quo\\ted/1')
        except ValueError:
            made.exc_info = sys.exc_info()
        for formatter in (JsonFormatter(), TextFormatter()):
            line = formatter.format(made)
            assert "quo" not in line.replace("quote", "")
            assert "***" in line

    def test_the_longer_of_two_secrets_goes_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("A_KEY", "secret")
        monkeypatch.setenv("B_KEY", "secret-and-more")
        assert redacted("x secret-and-more y secret z") == "x *** y *** z"

    def test_short_values_and_other_names_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("A_KEY", "abc")
        monkeypatch.setenv("KEYBOARD", "qwerty-layout")
        assert redacted("abc qwerty-layout") == "abc qwerty-layout"

    def test_passwords_in_urls(self) -> None:
        assert redacted("at postgresql+psycopg://me:p%40ss@host:5432/db?x=1") == (
            "at postgresql+psycopg://me:***@host:5432/db?x=1"
        )
        assert redacted("http://host:80/a@b and s3://bucket/key") == "http://host:80/a@b and s3://bucket/key"


class TestRunLog:
    def test_events_reach_the_file_whatever_stderr_shows(self, tmp_path: Path, lines: Lines) -> None:
        with run_log(tmp_path):
            log.info(logs.RUN_STARTED, extra={"models": ["a"]})
            log.debug("too small")
            logging.getLogger("other").warning("not ours")
        log.warning("after the run")
        assert [(line["message"], line["level"]) for line in lines()] == [("run started", "INFO")]

    def test_others_hear_what_they_would_have_heard(
        self, tmp_path: Path, lines: Lines, caplog: pytest.LogCaptureFixture
    ) -> None:
        with run_log(tmp_path):
            log.info("quiet")
            log.warning("loud")
        assert [one.message for one in caplog.records] == ["loud"]
        assert [line["message"] for line in lines()] == ["quiet", "loud"]
        caplog.clear()
        with caplog.at_level(logging.DEBUG), run_log(tmp_path):
            log.debug("both ears open")
        assert [one.message for one in caplog.records] == ["both ears open"]

    def test_the_loggers_are_left_as_they_were(self, tmp_path: Path) -> None:
        ours = logging.getLogger("audiometry")
        before = (ours.level, ours.propagate, list(ours.handlers))
        with pytest.raises(RuntimeError), run_log(tmp_path):
            raise RuntimeError
        assert (ours.level, ours.propagate, list(ours.handlers)) == before

    def test_a_program_that_keeps_our_log_to_itself_is_left_alone(
        self, tmp_path: Path, lines: Lines, caplog: pytest.LogCaptureFixture
    ) -> None:
        logging.getLogger("audiometry").propagate = False
        try:
            with run_log(tmp_path):
                log.warning("here only")
        finally:
            logging.getLogger("audiometry").propagate = True
        assert caplog.records == []
        assert len(lines()) == 1

    def test_a_run_gone_on_with_appends(self, tmp_path: Path, lines: Lines) -> None:
        for number in range(2):
            with run_log(tmp_path):
                log.info("part", extra={"number": number})
        assert [line["number"] for line in lines()] == [0, 1]

    def test_the_file_has_a_limit_and_keeps_the_newest(
        self, tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logs, "MAX_BYTES", 2000)
        with run_log(tmp_path):
            for number in range(200):
                log.info("event", extra={"number": number})
        assert {path.name for path in tmp_path.iterdir()} == {"log.jsonl", "log.jsonl.1"}
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
        assert lines()[-1]["number"] == 199

    def test_a_full_disk_is_told_once_and_never_raises(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Full(io.StringIO):
            def write(self, text: str) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            def close(self) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(logs._RunFile, "_open", lambda self: Full())
        with run_log(tmp_path):
            for _ in range(5):
                log.info("event")
        (told,) = caplog.records
        assert "No space left on device; the run goes on, its log has gaps" in told.message

    def test_a_disk_that_is_really_full(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "log.jsonl").symlink_to("/dev/full")
        with run_log(tmp_path):
            log.info("event")
            log.info("event")
        (told,) = caplog.records
        assert "No space left on device" in told.message

    def test_a_folder_that_is_gone_is_told_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with run_log(tmp_path / "gone"):
            log.info("event")
            log.info("event")
        assert len(caplog.records) == 1


def stderr_of(**environment: str) -> str:
    program = (
        "import logging, audiometry.benchmark.logs as logs\n"
        "logs.configure(); logs.configure()\n"
        "logging.getLogger('audiometry.x').info('told', extra={'n': 1})\n"
        "logging.getLogger('audiometry.x').debug('not told')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


class TestConfigure:
    def test_stderr_as_json_or_text(self) -> None:
        (line,) = stderr_of(AUDIOMETRY_LOG_LEVEL="INFO", AUDIOMETRY_LOG_FORMAT="json").splitlines()
        assert (json.loads(line)["message"], json.loads(line)["n"]) == ("told", 1)
        assert stderr_of(AUDIOMETRY_LOG_LEVEL="info").endswith(" INFO audiometry.x: told n=1\n")
        assert stderr_of() == ""

    @pytest.mark.parametrize(("name", "value"), [("AUDIOMETRY_LOG_LEVEL", "LOUD"), ("AUDIOMETRY_LOG_FORMAT", "xml")])
    def test_nonsense_is_one_line(
        self, name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv(name, value)
        assert cli.main(["ls", "tasks"]) == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith(f"audiometry: {name} is ")
        assert "; give " in said
        assert len(said.splitlines()) == 1
