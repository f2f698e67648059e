"""How much energy a run took, and the greenhouse gas that goes with it: an estimate that names its method.

The best source that this machine offers is taken. The processor: RAPL's counters where they may be read, else processor
time × watts. NVIDIA GPUs: the energy counters of NVML. What neither sees stands in the document under `not_counted`.
"""

from __future__ import annotations

import importlib
import math
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import SettingError

__all__ = ["CpuTime", "EnergyMeter", "carbon_intensity", "combined", "cpu_time"]

WORLD_GRAMS_PER_KWH = 458.0
WORLD_SOURCE = "world average of 2025, life cycle: Ember, Global Electricity Review 2026"

WATTS_PER_THREAD = 3.5
WATTS_SOURCE = (
    "average of a hardware thread at full load: Cloud Carbon Footprint (AWS, MAX_WATTS_AVG), SPECpower_ssj2008"
)

POWERCAP = Path("/sys/class/powercap")
LOOK_SECONDS = 5.0
"""How often counters and the tree of processes are read: a process that dies loses at most this much of its time."""

JOULES_PER_KWH = 3.6e6

MEMORY = "memory (outside RAPL's DRAM domains), disks, network, cooling, losses of the power supply"


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Processor seconds that one process has used since it began, over all its threads."""

    host: str
    process: int
    seconds: float


def cpu_time() -> CpuTime:
    """The processor time of the process that calls; a worker sends it with its answers.

    >>> cpu_time().seconds > 0
    True
    """
    return CpuTime(socket.gethostname(), os.getpid(), time.process_time())


def carbon_intensity() -> tuple[float, str]:
    """Grams of CO2-equivalent per kWh, and where the figure is from: ``AUDIOMETRY_CARBON_INTENSITY``, or the world's.

    Raises SettingError if the variable is not a number from 0 to 5000.
    """
    text = os.environ.get("AUDIOMETRY_CARBON_INTENSITY")
    if not text:
        return WORLD_GRAMS_PER_KWH, WORLD_SOURCE
    try:
        grams = float(text)
    except ValueError:
        grams = math.nan
    if not 0 <= grams <= 5000:
        raise SettingError(f"AUDIOMETRY_CARBON_INTENSITY is {text!r}; give grams of CO2 per kWh, 0 to 5000")
    return grams, "AUDIOMETRY_CARBON_INTENSITY"


@dataclass
class _Rapl:
    """Energy counters of processor packages and their memory, in joules since `find`."""

    folder: Path
    joules: dict[str, float] = field(default_factory=dict)
    problem: str | None = None
    _last: dict[str, int] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def find(self) -> None:
        """Look for counters and take their first reading."""
        for domain in sorted(self.folder.glob("intel-rapl:*")):  # AMD's too; intel-rapl-mmio counts the same again
            name = _read(domain / "name")
            if name is not None and (name.startswith("package") or name == "dram"):
                self._names[domain.name] = name if name != "dram" else f"dram of {domain.name.rpartition(':')[0]}"
        if not self._names:
            self.problem = "no RAPL counters here (none in /sys/class/powercap)"
        self.look()

    def look(self) -> None:
        """Add what was used since the last reading. A counter starts again at zero when it reaches its range."""
        if self.problem is not None:
            return
        for domain, name in self._names.items():
            text = _read(self.folder / domain / "energy_uj")
            if text is None:
                self.problem = f"RAPL's counter {domain} may not be read by this user"
                return
            now = int(text)
            used = now - self._last.get(domain, now)
            if used < 0:
                used += int(_read(self.folder / domain / "max_energy_range_uj") or 0)
            self._last[domain] = now
            self.joules[name] = self.joules.get(name, 0.0) + max(used, 0) / 1e6


@dataclass
class _Gpus:
    """Energy counters of NVIDIA GPUs, in joules since `find`."""

    joules: list[float] = field(default_factory=list)
    problem: str | None = None
    _nvml: Any = None
    _first: list[tuple[Any, int]] = field(default_factory=list)

    def find(self) -> None:
        """Look for GPUs and take the first reading of those that count energy."""
        nvml = importlib.import_module("pynvml")
        try:
            nvml.nvmlInit()
        except nvml.NVMLError:
            return  # no NVIDIA driver: no GPU to count
        self._nvml = nvml
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                self._first.append((handle, nvml.nvmlDeviceGetTotalEnergyConsumption(handle)))
            except nvml.NVMLError as error:
                self.problem = f"GPU {index} does not tell its energy: {error}"

    def look(self) -> None:
        """Read the counters; they never start again while the driver is loaded."""
        if not self._first:
            return
        try:
            read = self._nvml.nvmlDeviceGetTotalEnergyConsumption
            self.joules = [(read(handle) - first) / 1e3 for handle, first in self._first]
        except self._nvml.NVMLError as error:
            self.problem = f"a GPU stopped telling its energy: {error}"

    def close(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml, self._first = None, []


class EnergyMeter:
    """Measures from `start` to `document`. It has no thread: `look` is called now and then, and is quick.

    >>> meter = EnergyMeter()
    >>> meter.start()
    >>> meter.document()["carbon_intensity"]["grams_per_kwh"] > 0
    True
    """

    def __init__(self, *, powercap: Path = POWERCAP) -> None:
        """Raises SettingError as `carbon_intensity` does."""
        self._grams, self._grams_source = carbon_intensity()
        self._host = socket.gethostname()
        self._rapl = _Rapl(powercap)
        self._gpus = _Gpus()
        self._cpu: dict[tuple[str, int], float] = {}
        self._before: dict[tuple[str, int], float] = {}
        self._began = self._looked = 0.0
        self._busy_before = 0.0

    def start(self) -> None:
        """Begin: what this process and its children used before does not count."""
        self._began = time.monotonic()
        self._rapl.find()
        self._gpus.find()
        self._look_at_processes()
        self._before = dict(self._cpu)
        self._busy_before = _busy_seconds()
        self._looked = time.monotonic()

    def look(self, *, now: bool = False) -> None:
        """Read the counters if that was last done `LOOK_SECONDS` ago; at once where processes are about to be ended."""
        if now or time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look()

    def report(self, used: CpuTime) -> None:
        """Take a worker's own account, wherever it runs. A process that is seen here as well counts once."""
        key = (used.host, used.process)
        self._cpu[key] = max(self._cpu.get(key, 0.0), used.seconds)

    def document(self, *, cpu_seconds: float = 0.0) -> dict[str, Any]:
        """What was used since `start`, for `run.json`. `cpu_seconds` are added for processes that nobody reported."""
        self._look()
        self._gpus.close()
        local = sum(self._used(key) for key in self._cpu if key[0] == self._host)
        elsewhere = sum(self._used(key) for key in self._cpu if key[0] != self._host) + cpu_seconds
        processor = self._processor(local, elsewhere)
        gpu = {"method": "NVML energy counters", "joules": [round(one, 3) for one in self._gpus.joules]}
        joules = processor["joules"] + sum(self._gpus.joules)
        methods = [processor["method"]] + ([gpu["method"]] if self._gpus.joules else [])
        return {
            "method": "; ".join(methods),
            "seconds": round(time.monotonic() - self._began, 3),
            "cpu_seconds": round(local + elsewhere, 3),
            **_amounts(joules, self._grams),
            "carbon_intensity": {"grams_per_kwh": self._grams, "source": self._grams_source},
            "processor": processor,
            "gpu": gpu if self._gpus.joules else None,
            "not_counted": self._not_counted(elsewhere),
        }

    def _processor(self, local: float, elsewhere: float) -> dict[str, Any]:
        by_time = {"watts_per_thread": WATTS_PER_THREAD, "watts_source": WATTS_SOURCE}
        if self._rapl.problem is not None:
            joules = (local + elsewhere) * WATTS_PER_THREAD
            return {"method": "processor time x watts a thread", "joules": round(joules, 3), **by_time}
        joules = sum(self._rapl.joules.values()) + elsewhere * WATTS_PER_THREAD
        busy = max(_busy_seconds() - self._busy_before, local, 1e-9)
        method = "RAPL package and DRAM domains" + (", processor time x watts elsewhere" if elsewhere else "")
        return {
            "method": method,
            "joules": round(joules, 3),
            "domains": {name: round(used, 3) for name, used in self._rapl.joules.items()},
            "share_of_busy_time": round(local / busy, 4),
            **(by_time if elsewhere else {}),
        }

    def _not_counted(self, elsewhere: float) -> list[str]:
        missing = [MEMORY]
        if self._rapl.problem is not None:
            missing.append(f"the idle share of the processor: {self._rapl.problem}")
        missing += [] if self._gpus.problem is None else [self._gpus.problem]
        if elsewhere:
            missing.append("GPUs, idle share and Ray's own processes on other machines")
        return missing

    def _used(self, key: tuple[str, int]) -> float:
        return max(self._cpu[key] - self._before.get(key, 0.0), 0.0)

    def _look(self) -> None:
        self._rapl.look()
        self._gpus.look()
        self._look_at_processes()
        self._looked = time.monotonic()

    def _look_at_processes(self) -> None:
        """This process and all below it: Ray's workers and daemons too, where Ray was started here."""
        import psutil

        me = psutil.Process()
        for process in [me, *me.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.Error:  # it ended while we looked; what it had used at the look before stays
                continue
            self.report(CpuTime(self._host, process.pid, times.user + times.system))


def combined(before: Mapping[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """The account of a run that was stopped and gone on with: what both parts used, with the later part's methods.

    >>> first = {"joules": 3.6e6, "grams_co2e": 400.0, "seconds": 5.0, "cpu_seconds": 4.0, "method": "RAPL"}
    >>> both = combined(first, first | {"method": "time", "grams_co2e": 100.0})
    >>> both["kwh"], both["grams_co2e"], both["method"], both["parts"]
    (2.0, 500.0, 'RAPL; time', 2)
    """
    if not before:
        return now
    added = {name: round(before[name] + now[name], 3) for name in ("joules", "grams_co2e", "seconds", "cpu_seconds")}
    methods = dict.fromkeys([*before["method"].split("; "), *now["method"].split("; ")])
    return {
        **now, **added, "kwh": added["joules"] / JOULES_PER_KWH, "method": "; ".join(methods),
        "parts": before.get("parts", 1) + 1,
    }  # fmt: skip


def _amounts(joules: float, grams_per_kwh: float) -> dict[str, float]:
    kwh = joules / JOULES_PER_KWH
    return {"joules": round(joules, 3), "kwh": kwh, "grams_co2e": kwh * grams_per_kwh}


def _busy_seconds() -> float:
    """Processor seconds of the whole machine that were not idle."""
    import psutil

    times = psutil.cpu_times()
    return float(
        sum(times[:8]) - times.idle - getattr(times, "iowait", 0.0)
    )  # what follows is in user and nice already


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None
