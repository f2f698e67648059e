from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import audiometry.models.adapters.common as module
from audiometry.benchmark.errors import AudioError, SettingError, UserError
from audiometry.benchmark.types import Output, Request
from audiometry.models.adapters.common import (
    Recogniser,
    answer_one,
    check_at_least,
    file_digest,
    fingerprint,
    needs_packages,
    shown_name,
    speech,
    text_output,
    thread_count,
)


def test_the_digest_is_the_sha256_of_the_bytes_and_follows_a_change(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"one")
    assert file_digest(file) == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"three")
    assert file_digest(file) == hashlib.sha256(b"three").hexdigest()


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"first")
    before = file.stat()
    first = file_digest(file)
    file.write_bytes(b"other")  # the same size, and the time of change put back: the cache cannot know
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_digest(file) == first


def test_the_fingerprint_changes_with_each_of_its_parts_and_not_with_the_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "model.bin", tmp_path / "b" / "model.bin"
    for file in (first, second):
        file.parent.mkdir()
        file.write_bytes(b"weights")
    changed = tmp_path / "model.bin"
    changed.write_bytes(b"Weights")
    base = fingerprint("whisper 1", [first], settings={"beam": 1}, packages=["numpy"])
    assert len(base) == 64
    assert fingerprint("whisper 1", [second], settings={"beam": 1}, packages=["numpy"]) == base
    others = {
        fingerprint("whisper 2", [first], settings={"beam": 1}, packages=["numpy"]),
        fingerprint("whisper 1", [changed], settings={"beam": 1}, packages=["numpy"]),
        fingerprint("whisper 1", [first], settings={"beam": 2}, packages=["numpy"]),
        fingerprint("whisper 1", [first], settings={"beam": 1}, packages=["scipy"]),
        fingerprint("whisper 1", [first, first], settings={"beam": 1}, packages=["numpy"]),
    }
    assert len(others | {base}) == 6


def test_the_fingerprint_follows_a_package_version(monkeypatch: pytest.MonkeyPatch) -> None:
    base = fingerprint("x", (), settings={}, packages=["numpy"])
    monkeypatch.setattr(module, "version", lambda _: "99")
    assert fingerprint("x", (), settings={}, packages=["numpy"]) != base


def test_a_package_without_a_version_is_told_as_unknown() -> None:
    assert fingerprint("x", (), settings={}, packages=["no-such-package"]) == fingerprint(
        "x", (), settings={}, packages=["no-such-package"]
    )


def test_the_shown_name_holds_what_was_changed() -> None:
    def factory(*, beam: int = 1, language: str | None = None) -> None: ...

    assert shown_name("w", factory, {"beam": 1, "language": None}) == "w"
    assert shown_name("w", factory, {"language": "fr", "beam": 4}) == "w:beam=4,language=fr"


@pytest.mark.parametrize(
    ("told", "environment", "expected"),
    [(3, "8", 3), (0, "8", 8), (0, None, 1), (0, "", 1), (0, "0", 1), (0, "many", 1), (0, "4,2", 1)],
)
def test_threads_come_from_the_setting_or_else_the_environment(
    told: int, environment: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if environment is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
    assert thread_count(told) == expected


def test_a_number_below_its_least_is_refused() -> None:
    check_at_least("whisper", "beam", 1, 1)
    with pytest.raises(SettingError, match=r"'beam': 0 is less than 1; give 1 or more"):
        check_at_least("whisper", "beam", 0, 1)


def test_a_missing_package_is_told_with_its_extra() -> None:
    needs_packages("whisper", "asr", ("numpy",))
    with pytest.raises(UserError, match=r"'no_such_module'; install it with: pip install 'audiometry\[asr\]'"):
        needs_packages("whisper", "asr", ("numpy", "no_such_module"))


def test_speech_is_resampled_and_a_request_without_sound_is_an_error(sound: Callable[..., Request]) -> None:
    samples = speech(sound(1.0, rate=8_000), 16_000)
    assert samples.dtype == np.float32
    assert abs(len(samples) - 16_000) <= 1
    with pytest.raises(AudioError, match="role 'input'"):
        speech(Request("transcribe"), 16_000)


@pytest.mark.parametrize(("text", "status"), [(" a b\n", "ok"), ("", "empty"), (" \t\n", "empty")])
def test_white_space_is_no_answer(text: str, status: str) -> None:
    output = text_output(text)
    assert (output.status, output.text) == (status, text.strip())


def test_an_answer_is_timed() -> None:
    output = answer_one(lambda: Output(text="yes"))
    assert output.text == "yes"
    assert output.timings["total"] >= 0.0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AudioError("x.wav: cut off"), "x.wav: cut off"),
        (RuntimeError("two\nlines"), "RuntimeError: two lines"),
        (KeyError(), "KeyError: no message"),
    ],
)
def test_what_is_raised_becomes_the_status(error: Exception, told: str) -> None:
    def fail() -> Output:
        raise error

    output = answer_one(fail)
    assert (output.status, output.error) == ("error", told)
    assert "total" in output.timings


def test_a_recogniser_hands_on_requests_and_releases_what_it_holds() -> None:
    released: list[bool] = []
    recogniser = Recogniser(
        "mine", "0" * 64, lambda requests: [Output(text="x") for _ in requests], lambda: released.append(True)
    )
    assert [output.text for output in recogniser.generate([Request("transcribe")] * 2)] == ["x", "x"]
    recogniser.close()
    assert released == [True]
    Recogniser("mine", "0" * 64, lambda _: []).close()
