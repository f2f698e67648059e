"""Folders: what may be submitted, and that looking at one changes and runs nothing."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from audiometry.leaderboard.submissions.checks import FileFact, check_folder, digest_of
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.limits import Limits
from audiometry.models.baselines.saved import weights_file

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a folder with a manifest (changed as told) and the packaged weights of a small detector."""

    def folder(**changes: object) -> Path:
        made = tmp_path / "ckpt"
        made.mkdir()
        shutil.copy(weights_file("lfcc-gmm"), made / "weights.safetensors")
        manifest = {
            "name": "Small but mine", "adapter": "lfcc-gmm", "settings": {"path": "./weights.safetensors"},
            "licence": "Apache-2.0", "training_data": ["LibriSpeech"], "contact": "me@example.org", "suite": "smoke",
        }  # fmt: skip
        (made / "audiometry.yaml").write_text(yaml.safe_dump(manifest | changes))
        return made

    return folder


def refused(folder: Path, limits: Limits | None = None) -> str:
    """The reason; the folder is as it was."""
    before = listing(folder)
    with pytest.raises(SubmissionError) as error:
        check_folder(folder, limits or Limits())
    assert listing(folder) == before
    reason = str(error.value)
    assert reason.isprintable()
    assert str(folder) not in reason
    return reason


def listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.parent.rglob("*"))


def test_a_good_folder_is_described(make: Make) -> None:
    folder = make()
    (folder / "notes").mkdir()
    (folder / "notes" / "README.md").write_text("hello")
    before = listing(folder)
    checked = check_folder(folder)
    assert listing(folder) == before
    assert [file.path for file in checked.files] == ["audiometry.yaml", "notes/README.md", "weights.safetensors"]
    readme = checked.files[1]
    assert (readme.size, readme.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
    assert checked.manifest.name == "Small but mine"
    assert checked.warnings == ()
    assert checked.digest == digest_of(checked.files)
    assert checked.file_documents()[1] == {"path": "notes/README.md", "size": 5, "sha256": readme.sha256}
    (folder / "notes" / "README.md").write_text("hallo")
    assert check_folder(folder).digest != checked.digest


def test_a_digest_tells_a_renamed_file() -> None:
    one, other = FileFact("a", 1, "0" * 64), FileFact("b", 1, "0" * 64)
    assert digest_of([one]) != digest_of([other])


def test_no_folder_and_no_manifest(make: Make, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="there is no folder"):
        check_folder(tmp_path / "absent")
    folder = make()
    (folder / "audiometry.yaml").unlink()
    assert "there is no audiometry.yaml" in refused(folder)


def test_links_are_refused_wherever_they_lead(make: Make, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("outside")
    folder = make()
    for target in ("../outside.txt", str(tmp_path / "outside.txt"), "weights.safetensors", "absent", ".."):
        (folder / "link.txt").symlink_to(target)
        assert "is a symbolic link" in refused(folder)
        (folder / "link.txt").unlink()
    os.link(tmp_path / "outside.txt", folder / "hard.txt")
    assert "is a hard link" in refused(folder)


def test_a_manifest_that_is_a_link_is_refused(make: Make, tmp_path: Path) -> None:
    folder = make()
    (folder / "audiometry.yaml").rename(tmp_path / "outside.yaml")
    (folder / "audiometry.yaml").symlink_to(tmp_path / "outside.yaml")
    assert "is a symbolic link" in refused(folder)


def test_pipes_and_sockets_are_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make()
    os.mkfifo(folder / "pipe.txt")
    assert "is no plain file" in refused(folder)
    (folder / "pipe.txt").unlink()
    monkeypatch.chdir(folder)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket.txt")
        assert "is no plain file" in refused(folder)


def test_sizes_and_counts_are_limited(make: Make) -> None:
    folder = make()
    size = (folder / "weights.safetensors").stat().st_size
    assert f"'weights.safetensors' has {size} bytes; {size - 1} is the most" in refused(
        folder, Limits(file_bytes=size - 1)
    )
    assert f"holds more than {size + 1} bytes" in refused(folder, Limits(total_bytes=size + 1))
    assert "holds more than 1 files" in refused(folder, Limits(files=1))
    for i in range(4):
        (folder / f"empty-{i}").mkdir()
    assert "holds more than 3 folders" in refused(folder, Limits(files=3))


def test_a_file_that_its_adapter_reads_whole_is_limited_further(make: Make) -> None:
    folder = make()
    with (folder / "weights.safetensors").open("r+b") as file:
        file.truncate(256 * 2**20 + 1)  # a hole, which takes no room
    assert "268435456 is the most" in refused(folder)


def test_names_on_disk_are_checked(make: Make) -> None:
    folder = make()
    (folder / ".hidden").write_text("x")
    assert "is hidden" in refused(folder)
    (folder / ".hidden").unlink()
    (folder / "a\nb.txt").write_text("x")
    assert "control or invisible" in refused(folder)
    (folder / "a\nb.txt").unlink()
    (folder / os.fsdecode(b"a\xff.txt")).write_text("x")
    assert "control or invisible" in refused(folder)
    (folder / os.fsdecode(b"a\xff.txt")).unlink()
    (folder / "README.md").write_text("x")
    (folder / "readme.MD").write_text("x")
    assert "collides" in refused(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "extra.pt", "pytorch_model.bin", "notes.txt"])
def test_a_pickle_in_the_folder_is_refused_and_not_run(make: Make, name: str, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "executed",)

    folder = make()
    (folder / name).write_bytes(pickle.dumps(Evil()))
    assert "pickle" in refused(folder)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"adapter": "process", "settings": {"command": "./run"}}, "is not for submissions: it runs a program"),
        ({"adapter": "python", "settings": {"target": "./a.py:X"}}, "it imports Python code"),
        ({"adapter": "openai", "settings": {}}, "it reaches the network"),
        ({"adapter": "outputs", "settings": {"path": "./a.jsonl"}}, "it replays answers"),
        ({"adapter": "spoof-fusion", "settings": {"path": "./a"}}, "name other models"),
        ({"adapter": "front-end", "settings": {"model": "whisper"}}, "it builds the model"),
        ({"adapter": "oracle", "settings": {}}, "it is a control"),
        ({"adapter": "hibari", "settings": {}}, "takes no checkpoint that is checked here"),
        ({"adapter": "wisper"}, "unknown model 'wisper'; did you mean 'whisper'?"),
        ({"settings": {}}, "needs the setting 'path'"),
        ({"settings": {"path": "/etc/passwd"}}, "must be a path inside the folder"),
        ({"settings": {"path": "weights.safetensors"}}, "must be a path inside the folder"),
        ({"settings": {"path": "./../x"}}, "leaves the folder"),
        ({"settings": {"path": "./weights.safetensors", "level": "./x"}}, "'level' of 'lfcc-gmm' is not a path"),
        ({"settings": {"path": "./weights.safetensors", "threads": 99}}, "'threads' is not the submitter's to choose"),
        (
            {"settings": {"path": "./weights.safetensors", "levl": "E4"}},
            "takes no setting 'levl'; did you mean 'level'",
        ),
        ({"settings": {"path": "./weights.safetensors", "level": "E9"}}, "'E9' is not one of"),
        ({"settings": {"path": "./weights.safetensors", "level": "E0"}}, "was trained at level E4, not E0"),
        ({"settings": {"path": "./absent.safetensors"}}, "./absent.safetensors does not exist"),
        ({"adapter": "envelope-trees"}, "holds a detector 'lfcc-gmm', not 'envelope-trees'"),
        ({"adapter": "whisper", "settings": {"model": "openai/whisper-large-v3"}}, "must be a path inside the folder"),
        ({"adapter": "whisper", "settings": {"model": "./"}}, "is of a kind that this adapter does not read"),
        ({"suite": "cores"}, "unknown suite 'cores'; did you mean 'core'"),
    ],
)
def test_adapters_settings_and_suites_are_checked(make: Make, changes: dict[str, object], reason: str) -> None:
    assert reason in refused(make(**changes))


def test_a_model_without_weights_of_its_own_needs_none(make: Make) -> None:
    folder = make(adapter="pocketsphinx", settings={})
    assert "does not read" in refused(folder)
    (folder / "weights.safetensors").unlink()
    assert check_folder(folder).manifest.adapter == "pocketsphinx"


def test_a_checkpoint_of_transformers_is_checked_without_loading_it(make: Make) -> None:
    folder = make(adapter="transformers-asr", settings={"path": "./"})
    assert "config.json" in refused(folder)
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}')
    assert "holds a BertModel" in refused(folder)


@pytest.mark.parametrize(
    ("declared", "suite", "expected"),
    [
        (["LibriSpeech"], "core", None),
        (["asterisk-en"], "core", "asterisk-en, asterisk-en-telephone"),
        (["Asterisk core sounds"], "core", "asterisk-en, asterisk-en-telephone"),
        (["AsteriskEN"], "smoke", "asterisk-en"),
        (["my private speech"], "core", None),
        ([], "core", "no training data declared"),
    ],
)
def test_training_data_is_held_against_the_suite(
    make: Make, declared: list[str], suite: str, expected: str | None
) -> None:
    warnings = check_folder(make(training_data=declared, suite=suite)).warnings
    assert (not warnings) if expected is None else (len(warnings) == 1 and expected in warnings[0])
