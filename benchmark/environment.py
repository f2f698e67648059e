"""What a run needs to be repeated: versions and hardware."""

from __future__ import annotations

import os
import platform
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

__all__ = ["hardware", "versions"]


def versions() -> dict[str, str]:
    """Python's version and that of every installed distribution."""
    found = {dist.metadata["Name"]: dist.version for dist in distributions() if dist.metadata["Name"]}
    return {"python": platform.python_version(), **dict(sorted(found.items(), key=lambda pair: pair[0].lower()))}


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in bytes and operating system."""
    import psutil

    return {
        "processor": _processor(),
        "machine": platform.machine(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
