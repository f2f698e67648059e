"""What a process keeps of its memory, when it looks for cycles, and how much it has held."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiometry.benchmark import memory
from audiometry.benchmark.memory import collected_seldom, peak_bytes


def test_freed_memory_is_not_faulted_in_again() -> None:
    code = (
        "import resource, sys\nimport numpy as np\nfrom audiometry.benchmark.memory import keep_freed_memory\n"
        "if sys.argv[1] == 'keep':\n    keep_freed_memory()\n"
        "for _ in range(2):\n    np.ones(64 * 2**20, np.uint8)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\nnp.ones(64 * 2**20, np.uint8)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    faults = [
        int(subprocess.run([sys.executable, "-c", code, how], check=True, capture_output=True, text=True).stdout)
        for how in ("plain", "keep")
    ]
    assert faults[1] < 100
    assert faults[0] > 10 * max(faults[1], 1)


def test_cycles_are_looked_for_as_before_once_the_block_ends() -> None:
    before = gc.get_threshold()
    with collected_seldom():
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before


def test_the_peak_stays_when_the_memory_is_given_back() -> None:
    before = peak_bytes()
    block = mmap.mmap(-1, 300 * 2**20)
    for place in range(0, len(block), mmap.PAGESIZE):
        block[place] = 1
    block.close()
    after = peak_bytes()
    assert before is not None
    assert after is not None
    assert after >= before
    assert after > 300 * 2**20


def test_processes_below_count() -> None:
    program = "b = bytearray(100 * 2**20); b[::4096] = bytes(len(b[::4096])); print('held', flush=True); input()"
    alone = peak_bytes(os.getpid()) or 0
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert (peak_bytes() or 0) > alone + 100 * 2**20
        assert 100 * 2**20 < (peak_bytes(child.pid) or 0) < 200 * 2**20
        child.communicate(b"\n")
    assert peak_bytes(child.pid) is None


def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert peak_bytes() is None
