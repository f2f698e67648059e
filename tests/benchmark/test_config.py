from __future__ import annotations

from pathlib import Path

import pytest

from audiometry.benchmark.config import merge, read_config
from audiometry.benchmark.errors import SettingError, UserError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_keys_are_the_flags(tmp_path: Path) -> None:
    text = 'model = "a,b"\ntasks = ["t"]\nbatch-size = 4\nmax_failures = 0.5\nkeep-audio = false\nstore = "sqlite://"\n'
    settings = merge(read_config(written(tmp_path, text)), {"batch_size": 2, "limit": None})
    assert settings.models == ("a,b",)
    assert settings.tasks == ("t",)
    assert (settings.batch_size, settings.max_failures, settings.keep_audio) == (2, 0.5, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limt = 3", r"run\.toml: unknown key 'limt'; did you mean 'limit'\?"),
        ("limit = 'three'", "limit must be a whole number, not 'three'"),
        ("limit = true", "limit must be a whole number, not True"),
        ("keep_audio = 1", "keep_audio must be true or false, not 1"),
        ("tasks = [1]", "tasks must be a text or a list of texts"),
    ],
)
def test_bad_keys_and_values(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        read_config(written(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the configuration"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(UserError, match="is not TOML"):
        read_config(written(tmp_path, "model: whisper"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limit": 0}, "--limit 0 is out of range"),
        ({"max_failures": 1.5}, "--max-failures"),
        ({"models": ()}, "no model is named; give --model NAME"),
        ({"tasks": ()}, "no task is named; give --tasks NAME"),
    ],
)
def test_ranges(given: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        merge({"models": ("a",), "tasks": ("t",)}, given).check()
