from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "interval_coverage.py"


@pytest.mark.slow
def test_intervals_cover_and_tests_reject_as_they_say():
    done = subprocess.run([sys.executable, str(SCRIPT), "--quick"], capture_output=True, text=True, check=True)
    rows = {
        cells[0]: [float(cell.rstrip(" ✗")) for cell in cells[1:-1]]
        for line in done.stdout.splitlines()
        if re.match(r"\| .*\d", line) and (cells := [cell.strip() for cell in line.strip("|").split("|")])
    }
    # 400 repeats: the bands of docs/statistics.md with three standard errors of chance (0.9 to 1.1) on either side
    for name in ("WER 10%, 5 speakers", "WER 10%, 20 speakers", "MOS, 20 utterances, ratings each: 8"):
        assert 89.5 <= rows[name][0] <= 99.5, (name, rows[name])
    gap, uncorrected, *_ = rows["4 groups of 10 speakers, equal"]
    assert 89.5 <= gap <= 99.5
    assert uncorrected < 5  # a gap that was picked is never seen as none
    t, permutation, two_intervals = rows["WER, 20 speakers"]
    assert 0.5 <= t <= 10
    assert 0.5 <= permutation <= 10
    assert two_intervals < 1  # intervals that overlap do not test a difference
    assert re.search(r"value [01]\.\d+$", done.stdout)
