"""Bringing our code and the user's plug-ins to the other machines of a Ray cluster.

A cluster's nodes have Python, Ray and the libraries; they need not have Audiometry, and if they have, it may be another
version. So a run takes along what is installed on the machine that it is started from: Audiometry and each package
with an entry point in ``audiometry.plugins``, as the files that their wheels hold, and every ``--plugin`` file. Ray
uploads the folder once for each content, unpacks it on each node and puts it in front of what is installed there.

Why not Ray's own way with wheels (``py_modules: ["x.whl"]``): it runs the node's ``pip install --target``, which
fetches every dependency anew whatever is installed, and it knows a wheel by its name alone, so that a changed build of
one version would meet the old code.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, distributions, entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from audiometry.benchmark.errors import DataError, UserError
from audiometry.benchmark.registry import GROUP

__all__ = ["check_nodes", "runtime_env", "shipped_plugins"]

PLUGIN_FILES = "audiometry_plugin_files"
"""Where ``--plugin`` files are in the folder that is shipped."""

CHECK_SECONDS = 120.0
"""How long a node may take to unpack the code and look for files."""


def runtime_env(folder: str | Path, *, plugins: Sequence[str] = ()) -> dict[str, Any]:
    """Fill the empty `folder` with our code, plug-in packages and the files `plugins`; return Ray's `runtime_env`.

    For a cluster only: on one machine the workers import what the driver does, and an empty folder will do. Workers
    start in their copy of the folder, where `shipped_plugins` names the plug-in files.

    Raises UserError, naming the mend, for a plug-in file that is not there and a package that cannot be gathered.
    """
    place = Path(folder)
    for distribution in _distributions():
        _gather(distribution, place)
    for path, name in zip(plugins, shipped_plugins(plugins), strict=True):
        file = Path(path).expanduser()
        if not file.is_file():
            raise UserError(f"plug-in file {path!r} does not exist; give the path of a .py file")
        (place / name).parent.mkdir(parents=True)
        shutil.copyfile(file, place / name)
    return {"working_dir": str(place)}


def shipped_plugins(plugins: Iterable[str]) -> list[str]:
    """Where each of the files `plugins` is on a worker, relative to the folder that the worker starts in.

    >>> shipped_plugins(["~/mine/model.py", "other/model.py"])
    ['audiometry_plugin_files/0/model.py', 'audiometry_plugin_files/1/model.py']
    """
    return [f"{PLUGIN_FILES}/{number}/{Path(path).name}" for number, path in enumerate(plugins)]


def check_nodes(paths: Iterable[str]) -> None:
    """Make sure that every node of the cluster can run our code and sees each of the local `paths`.

    To be called once Ray is connected, with one file of each task and the folders that workers write to. URLs are
    not looked for. A node that leaves meanwhile is passed over; one that joins later is not checked.

    Raises DataError for a path that a node does not see, UserError for a node that cannot run our code.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    local = [str(Path(path).absolute()) for path in dict.fromkeys(paths) if "://" not in path]
    look = ray.remote(num_cpus=0, max_retries=0)(_missing)
    nodes = _alive()
    asked = {
        node: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(local)
        for node in nodes
    }
    for node, answer in asked.items():
        try:
            missing = ray.get(answer, timeout=CHECK_SECONDS)
        except ray.exceptions.RayError as error:
            if node not in _alive():
                continue
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"node {nodes[node]} of the cluster cannot run Audiometry: {reason[-300:]}; it needs Python "
                f"{sys.version_info.major}.{sys.version_info.minor}, Ray {ray.__version__} and the libraries that "
                "'pip install audiometry' brings"
            ) from error
        if missing:
            raise DataError(
                f"node {nodes[node]} of the cluster does not see {missing[0]}; put it on a disk that every node "
                "mounts at that path, or name it by a URL that fsspec reads (s3://…, https://…)"
            )


def _alive() -> dict[str, str]:
    """Address of each node that is alive, by its id."""
    import ray

    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]  # not annotated


def _missing(paths: Sequence[str]) -> list[str]:
    """Those of `paths` that are not on this machine."""
    return [path for path in paths if not Path(path).exists()]


def _distributions() -> list[Distribution]:
    """Every installed package that brings plug-ins, ours among them, by name."""
    found: dict[str, Distribution] = {}
    for point in entry_points(group=GROUP):
        if point.dist is not None and point.dist.name not in found:
            # without a RECORD it is what a build left in a source folder that happens to be on the path
            named = distributions(name=point.dist.name)
            installed = (other for other in named if other.read_text("RECORD") is not None)
            found[point.dist.name] = next(installed, point.dist)
    return [found[name] for name in sorted(found)]


def _gather(distribution: Distribution, place: Path) -> None:
    """Put the files of a package's wheel into `place`."""
    source = _source(distribution)
    if source is not None:
        _unpack_build(distribution.name, source, place)
        return
    if distribution.files is None:
        raise UserError(
            f"package {distribution.name!r} cannot be brought to the cluster: it has no list of its files; "
            "install it again with pip"
        )
    for file in distribution.files:
        if ".." in file.parts or file.is_absolute() or "__pycache__" in file.parts:
            continue  # commands lie outside of the package's folder, and nodes compile for themselves
        target = place / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(distribution.locate_file(file)), target)


def _source(distribution: Distribution) -> Path | None:
    """The source folder of an editable install (``direct_url.json``, PEP 610); None for any other."""
    told = distribution.read_text("direct_url.json")
    origin = json.loads(told) if told else {}
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(origin["url"]).path))


def _unpack_build(name: str, source: Path, place: Path) -> None:
    """Build the wheel of an editable install, leaving its source folder as it is, and unpack it into `place`."""
    with tempfile.TemporaryDirectory(prefix="audiometry-wheel-") as scratch:
        settings = Path(scratch) / "setup.cfg"  # setuptools would else write beside the source, and reuse what is there
        settings.write_text(f"[build]\nbuild_base = {scratch}/build\n[egg_info]\negg_base = {scratch}\n")
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
        command += ["--disable-pip-version-check", "--wheel-dir", scratch, str(source)]
        environment = {**os.environ, "DIST_EXTRA_CONFIG": str(settings)}
        built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            reason = (built.stderr.strip() or built.stdout.strip()).splitlines()[-1:]
            raise UserError(
                f"package {name!r} is installed from {source} as editable, and its wheel for the cluster cannot be "
                f"built: {' '.join(reason)}; install pip and its build backend here, or install it without --editable"
            )
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)  # a wheel that we built of our own files
