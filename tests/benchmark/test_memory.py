"""What a process keeps of its memory, and when it looks for cycles."""

from __future__ import annotations

import gc
import subprocess
import sys

from audiometry.benchmark.memory import collected_seldom


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
