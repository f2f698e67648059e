"""What a run used: counters that wrap, processes that come and go, and what is said to be missing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audiometry.benchmark import energy
from audiometry.benchmark.energy import CpuTime, EnergyMeter, carbon_intensity, combined, cpu_time
from audiometry.benchmark.errors import SettingError

SPIN = """
import time
end = time.process_time() + 0.5
while time.process_time() < end:
    pass
print("spun", flush=True)
input()
"""


def domain(folder: Path, name: str, label: str, joules: float, *, largest: int = 262_143_328_850) -> Path:
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(label + "\n")
    (path / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
    (path / "max_energy_range_uj").write_text(f"{largest}\n")
    return path


class FakeNvml:
    """NVML's functions as nvidia-ml-py names them, over counters in millijoules; None is a GPU that does not count."""

    class NVMLError(Exception):
        pass

    def __init__(self, millijoules: list[int | None] | None) -> None:
        self.millijoules = millijoules
        self.open = False

    def nvmlInit(self) -> None:
        if self.millijoules is None:
            raise self.NVMLError("NVML Shared Library Not Found")
        self.open = True

    def nvmlShutdown(self) -> None:
        self.open = False

    def nvmlDeviceGetCount(self) -> int:
        assert self.millijoules is not None
        return len(self.millijoules)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        assert self.open
        assert self.millijoules is not None
        value = self.millijoules[handle]
        if value is None:
            raise self.NVMLError("Not Supported")
        return value


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml(None)
    monkeypatch.setattr(energy, "importlib", SimpleNamespace(import_module=lambda name: {"pynvml": fake}[name]))
    monkeypatch.delenv("AUDIOMETRY_CARBON_INTENSITY", raising=False)
    return fake


def started(folder: Path) -> EnergyMeter:
    meter = EnergyMeter(powercap=folder)
    meter.start()
    return meter


class TestProcessorTime:
    def test_joules_are_seconds_times_watts_and_grams_follow(self, tmp_path: Path) -> None:
        meter = started(tmp_path)
        meter.report(CpuTime("elsewhere", 7, 1000.0))
        told = meter.document(cpu_seconds=24.0)
        own = told["cpu_seconds"] - 1024.0
        assert 0 <= own < 5
        assert told["joules"] == pytest.approx(3.5 * (1024.0 + own), abs=0.01)
        assert told["kwh"] == pytest.approx(told["joules"] / 3.6e6, rel=1e-6)
        assert told["grams_co2e"] == pytest.approx(told["kwh"] * 458.0)
        assert told["method"] == "processor time x watts a thread"
        assert "SPECpower" in told["processor"]["watts_source"]
        assert any("idle share" in text for text in told["not_counted"])
        assert any("other machines" in text for text in told["not_counted"])
        assert told["gpu"] is None

    def test_what_was_used_before_does_not_count_and_what_is_used_meanwhile_does(self, tmp_path: Path) -> None:
        assert time.process_time() > 0.3  # importing alone took that: it must not be counted
        meter = started(tmp_path)
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
        assert 0.25 < meter.document()["cpu_seconds"] < 1.0

    def test_children_count_and_stay_counted_when_they_have_ended(self, tmp_path: Path) -> None:
        meter = started(tmp_path)
        with subprocess.Popen([sys.executable, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"spun\n"
            meter._look()
            child.communicate(b"\n")
        first = meter.document()["cpu_seconds"]
        assert first > 0.45
        assert meter.document()["cpu_seconds"] >= first

    def test_a_worker_that_is_seen_and_reports_counts_once(self, tmp_path: Path) -> None:
        meter = started(tmp_path)
        mine = cpu_time()
        assert mine.process == os.getpid()
        meter.report(mine)
        meter.report(CpuTime(mine.host, mine.process, 0.0))  # an older account than what is known
        meter.report(CpuTime(mine.host, 2**30, 10.0))
        meter.report(CpuTime(mine.host, 2**30, 12.0))
        assert 12.0 <= meter.document()["cpu_seconds"] < 14.0

    def test_looking_again_soon_costs_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        meter = started(tmp_path)
        looks: list[int] = []
        monkeypatch.setattr(meter, "_look", lambda: looks.append(1))
        meter.look()
        assert looks == []
        monkeypatch.setattr(energy, "LOOK_SECONDS", 0.0)
        meter.look()
        assert looks == [1]


class TestRapl:
    def test_packages_and_their_memory_are_added_and_parts_of_them_are_not(self, tmp_path: Path) -> None:
        folder = tmp_path
        for at in (100.0, 130.0):
            domain(folder, "intel-rapl:0", "package-0", at)
            domain(folder, "intel-rapl:0:0", "core", at * 3)
            domain(folder, "intel-rapl:0:1", "dram", at / 10)
            domain(folder, "intel-rapl:1", "package-1", at * 2)
            domain(folder, "intel-rapl-mmio:0", "package-0", at)
            domain(folder, "intel-rapl:2", "psys", at * 9)
            if at == 100.0:
                meter = started(folder)
        end = time.process_time() + 0.1  # the system counts in hundredths of a second
        while time.process_time() < end:
            pass
        told = meter.document()
        assert told["processor"]["domains"] == {
            "package-0": 30.0, "dram of intel-rapl:0": 3.0, "package-1": 60.0,
        }  # fmt: skip
        assert told["joules"] == 93.0
        assert told["method"] == "RAPL package and DRAM domains"
        assert 0 < told["processor"]["share_of_busy_time"] <= 1
        assert not any("idle share" in text for text in told["not_counted"])

    def test_a_counter_that_starts_again_loses_nothing(self, tmp_path: Path) -> None:
        largest = 200_000_000  # 200 J
        domain(tmp_path, "intel-rapl:0", "package-0", 190.0, largest=largest)
        meter = started(tmp_path)
        domain(tmp_path, "intel-rapl:0", "package-0", 15.0, largest=largest)
        meter._look()
        domain(tmp_path, "intel-rapl:0", "package-0", 5.0, largest=largest)
        assert meter.document()["joules"] == pytest.approx(25.0 + 190.0)

    def test_workers_elsewhere_are_estimated_beside(self, tmp_path: Path) -> None:
        domain(tmp_path, "intel-rapl:0", "package-0", 100.0)
        meter = started(tmp_path)
        meter.report(CpuTime("elsewhere", 7, 10.0))
        told = meter.document()
        assert told["joules"] == 35.0
        assert told["method"] == "RAPL package and DRAM domains, processor time x watts elsewhere"
        assert told["processor"]["watts_per_thread"] == 3.5

    def test_counters_that_may_not_be_read_are_told_and_time_is_taken(self, tmp_path: Path) -> None:
        path = domain(tmp_path, "intel-rapl:0", "package-0", 100.0)
        (path / "energy_uj").unlink()
        told = started(tmp_path).document()
        assert told["method"] == "processor time x watts a thread"
        assert any("may not be read" in text for text in told["not_counted"])

    def test_counters_that_stop_halfway_are_not_taken_for_the_whole(self, tmp_path: Path) -> None:
        path = domain(tmp_path, "intel-rapl:0", "package-0", 100.0)
        meter = started(tmp_path)
        (path / "energy_uj").unlink()
        told = meter.document(cpu_seconds=100.0)
        assert told["method"] == "processor time x watts a thread"
        assert told["joules"] >= 350.0


class TestGpus:
    def test_each_gpu_counts_from_the_start(self, tmp_path: Path, gpus: FakeNvml) -> None:
        gpus.millijoules = [5_000_000, 7_000_000]
        meter = started(tmp_path)
        gpus.millijoules = [5_250_000, 7_100_000]
        told = meter.document()
        assert told["gpu"] == {"method": "NVML energy counters", "joules": [250.0, 100.0]}
        assert told["method"] == "processor time x watts a thread; NVML energy counters"
        assert told["joules"] == pytest.approx(350.0 + told["processor"]["joules"], abs=0.01)
        assert not gpus.open

    def test_a_gpu_that_does_not_count_is_told(self, tmp_path: Path, gpus: FakeNvml) -> None:
        gpus.millijoules = [None]
        told = started(tmp_path).document()
        assert told["gpu"] is None
        assert "GPU 0 does not tell its energy: Not Supported" in told["not_counted"]

    def test_a_gpu_that_is_lost_is_told(self, tmp_path: Path, gpus: FakeNvml) -> None:
        gpus.millijoules = [1000]
        meter = started(tmp_path)
        gpus.millijoules = [None]
        assert any("stopped telling" in text for text in meter.document()["not_counted"])


class TestCarbonIntensity:
    def test_the_world_by_default(self) -> None:
        assert carbon_intensity() == (458.0, "world average of 2025, life cycle: Ember, Global Electricity Review 2026")

    def test_the_environment_decides(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AUDIOMETRY_CARBON_INTENSITY", "50")
        told = started(tmp_path).document(cpu_seconds=3600.0)
        assert told["carbon_intensity"] == {"grams_per_kwh": 50.0, "source": "AUDIOMETRY_CARBON_INTENSITY"}
        assert told["grams_co2e"] == pytest.approx(told["kwh"] * 50.0)

    @pytest.mark.parametrize("text", ["much", "-1", "nan", "1e9"])
    def test_nonsense_is_refused_before_the_run(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AUDIOMETRY_CARBON_INTENSITY", text)
        with pytest.raises(SettingError, match="give grams of CO2 per kWh"):
            EnergyMeter()


def test_a_run_that_was_gone_on_with_adds_up(tmp_path: Path) -> None:
    first = started(tmp_path).document(cpu_seconds=100.0)
    second: dict[str, Any] = started(tmp_path).document(cpu_seconds=200.0)
    both = combined(first, second)
    assert both["joules"] == pytest.approx(first["joules"] + second["joules"], abs=0.01)
    assert both["kwh"] == pytest.approx(both["joules"] / 3.6e6)
    assert both["method"] == first["method"]
    assert combined(both, second)["parts"] == 3
    assert combined(None, second) is second


def test_processes_that_end_while_they_are_read_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    class Gone(SimpleNamespace):
        def cpu_times(self) -> None:
            raise psutil.NoSuchProcess(1)

    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive: [Gone(pid=1)])
    assert started(tmp_path).document()["cpu_seconds"] >= 0


def test_the_real_libraries_answer_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # nvidia-ml-py itself, whatever this machine has
    meter = EnergyMeter()
    meter.start()
    assert meter.document()["joules"] >= 0
