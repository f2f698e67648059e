"""Every pin has hashes, and the script that looks after them finds what is wrong, without a network."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ZERO, ONE = 64 * "0", 64 * "1"


@pytest.fixture(scope="module")
def lock() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audiometry_lock", ROOT / ".ci" / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(**digests: str) -> dict[str, Any]:
    """What pip tells of packages."""
    return {
        "install": [
            {
                "metadata": {"name": name.title(), "version": "1"},
                "download_info": {"url": "x.whl", "archive_info": {"hashes": {"sha256": digest}}},
            }
            for name, digest in digests.items()
        ]
    }


def test_the_lock_of_this_tree_is_whole(lock: ModuleType) -> None:
    pins, locked = (ROOT / "constraints.txt").read_text(), (ROOT / "requirements.lock").read_text()
    assert lock.check(pins, locked) == []
    assert len(lock.read_lock(locked)) == len(pins.split())
    assert "://" not in locked
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "lock.py"), "check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("pins", "locked", "problems"),
    [
        ("a==1\nb_c.d==2", f"A==1 --hash=sha256:{ZERO}\nb-c-d==2 --hash=sha256:{ONE}", []),
        ("a==1", f"a==1 \\\n    --hash=sha256:{ZERO} \\\n    --hash=sha256:{ONE}\n", []),
        ("a==1\n# a remark\n\n", f"# made\na==1 --hash=sha256:{ZERO}", []),
        ("a==1", "", ["a==1 is not in requirements.lock"]),
        ("a==1", "a==1", ["a==1 has no hash"]),
        (
            "a==2",
            f"a==1 --hash=sha256:{ZERO}",
            ["a==2 is not in requirements.lock", "a==1 is not in constraints.txt"],
        ),
        ("a==1\nA==2", "", ["constraints.txt, line 2: A is pinned twice; leave one"]),
        ("a>=1", "", ["constraints.txt, line 1: 'a>=1' is no pin; write NAME==VERSION"]),
        ("a==1", "a==1 --hash=sha256:0", ["requirements.lock: 'a==1' is no pin with hashes; make it again"]),
        ("a==1", f"a==1 --hash=md5:{ZERO}", ["requirements.lock: 'a==1' is no pin with hashes; make it again"]),
        ("a==1", f"a==1 --hash=sha256:{ZERO}0", ["requirements.lock: 'a==1' is no pin with hashes; make it again"]),
        ("a==1", "--pre", ["requirements.lock: '--pre' is no pin with hashes; make it again"]),
        (
            "a==1",
            f"a==1 --hash=sha256:{ZERO}\na==1 --hash=sha256:{ONE}",
            ["requirements.lock: a is there twice; make it again"],
        ),
    ],
)
def test_what_is_wrong_is_told(lock: ModuleType, pins: str, locked: str, problems: list[str]) -> None:
    assert lock.check(pins, locked) == problems


def test_a_lock_is_made_of_what_pip_tells(lock: ModuleType) -> None:
    made = lock.make("b==1\na==1", "", report(a=ZERO, b=ONE, other=ZERO))
    assert lock.check("a==1\nb==1", made) == []
    assert [line for line in made.splitlines() if not line.startswith("#")] == [
        "a==1 \\", f"    --hash=sha256:{ZERO}", "b==1 \\", f"    --hash=sha256:{ONE}",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"pip told no SHA-256 of c==1"):
        lock.make("c==1", "", report(a=ZERO))


def test_hashes_of_other_platforms_stay_with_their_pin(lock: ModuleType) -> None:
    before = lock.make("a==1\nb==1", "", report(a=ZERO, b=ZERO))
    after = lock.read_lock(lock.make("a==1\nb==2", before, report(a=ONE, b=ONE)))
    assert after == {("a", "1"): [ZERO, ONE], ("b", "2"): [ONE]}


def test_the_command(lock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(lock, "PINS", tmp_path / "constraints.txt")
    monkeypatch.setattr(lock, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(lock, "ask_pip", lambda: report(a=ZERO))
    lock.PINS.write_text("a==1\n")
    assert lock.main(["check"]) == 1
    assert "make the lock again with: python .ci/lock.py make" in capsys.readouterr().err
    assert lock.main(["make"]) == 0
    assert lock.main(["check"]) == 0
    assert lock.main([]) == 2


def test_lint_checks_the_lock() -> None:
    makefile = (ROOT / "Makefile").read_text()
    lint = re.search(r"^lint:.*?\n\n", makefile, re.DOTALL | re.MULTILINE)
    assert lint is not None
    assert "$(BIN)/python .ci/lock.py check" in lint[0]
