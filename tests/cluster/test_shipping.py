"""What is shipped to a cluster: the files of the wheels, whichever way they are installed here."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest
import ray

from audiometry.benchmark import shipping
from audiometry.benchmark.errors import DataError, UserError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "plugin_package"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def own(monkeypatch: pytest.MonkeyPatch, *distributions: Distribution) -> None:
    monkeypatch.setattr(shipping, "_distributions", lambda: list(distributions))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in package, installed for good in a folder of its own."""
    copy = tmp_path_factory.mktemp("source") / "package"
    shutil.copytree(PACKAGE, copy)
    site = tmp_path_factory.mktemp("site")
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([sys.executable, *command, "--target", str(site), str(copy)], check=True, capture_output=True)
    return site


@pytest.mark.slow
def test_an_editable_install_is_built_and_its_source_left_alone(tmp_path: Path) -> None:
    before = {path.name for path in ROOT.iterdir()}
    assert shipping.runtime_env(tmp_path) == {"working_dir": str(tmp_path)}
    assert {path.name for path in ROOT.iterdir()} == before
    files = content(tmp_path)
    for folder in ("benchmark", "tasks", "models"):
        for path in (ROOT / folder).glob("*.py"):
            assert files[f"audiometry/{folder}/{path.name}"] == path.read_bytes()
    (points,) = [text for name, text in files.items() if name.endswith(".dist-info/entry_points.txt")]
    assert b"[audiometry.plugins]" in points
    assert "audiometry/__init__.py" not in files


def test_what_a_build_leaves_in_a_source_folder_is_no_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "audiometry.egg-info"
    left.mkdir()
    (left / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: audiometry\nVersion: 0\n")
    (left / "entry_points.txt").write_text("[audiometry.plugins]\nleft = audiometry.left\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (ours,) = [found for found in shipping._distributions() if found.name == "audiometry"]
    assert ours.version != "0"


def test_installed_plugin_packages_go_along(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_source", lambda _: None)  # ours is not built here: that takes long
    monkeypatch.syspath_prepend(str(installed))
    names = [distribution.name for distribution in shipping._distributions()]
    assert "audiometry" in names
    (ours,) = [one for one in shipping._distributions() if one.name != "audiometry"]
    assert json.loads(ours.read_text("direct_url.json") or "")["dir_info"] == {}  # installed for good
    own(monkeypatch, ours)
    shipping.runtime_env(tmp_path)
    kept = {name: text for name, text in content(installed).items() if "__pycache__" not in name}
    assert content(tmp_path) == kept
    assert any(name.endswith(".py") for name in kept)


def test_plugin_files_of_one_name_stay_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(monkeypatch)
    files = [tmp_path / "a" / "mine.py", tmp_path / "b" / "mine.py"]
    for file in files:
        file.parent.mkdir()
        file.write_text(f"# {file}")
    given = [str(file) for file in files]
    folder = tmp_path / "shipped"
    shipping.runtime_env(folder, plugins=given)
    names = shipping.shipped_plugins(given)
    assert content(folder) == {name: file.read_bytes() for name, file in zip(names, files, strict=True)}


def test_the_same_code_is_the_same_to_ray(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private.runtime_env.packaging import get_uri_for_directory

    (found,) = installed.glob("*.dist-info")
    own(monkeypatch, PathDistribution(found))
    for name in ("one", "two"):
        shipping.runtime_env(tmp_path / name)
    uris = [get_uri_for_directory(str(tmp_path / name), include_gitignore=True) for name in ("one", "two")]
    assert uris[0] == uris[1]
    next((tmp_path / "two").rglob("*.py")).write_text("changed = True")
    assert get_uri_for_directory(str(tmp_path / "two"), include_gitignore=True) != uris[0]


def test_a_plugin_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(monkeypatch)
    with pytest.raises(UserError, match=r"plug-in file '/nowhere/mine\.py' does not exist; give the path"):
        shipping.runtime_env(tmp_path, plugins=["/nowhere/mine.py"])


def test_a_package_without_a_list_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    own(monkeypatch, PathDistribution(info))
    with pytest.raises(UserError, match=r"package 'mine' .* has no list of its files; install it again with pip"):
        shipping.runtime_env(tmp_path / "shipped")


def test_an_editable_package_that_cannot_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text("[build-system]\nrequires = []\nbuild-backend = 'nothing.here'\n")
    info = tmp_path / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (info / "direct_url.json").write_text(json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}}))
    own(monkeypatch, PathDistribution(info))
    with pytest.raises(UserError, match=r"package 'mine' is installed from .*source as editable.*cannot be built: .+"):
        shipping.runtime_env(tmp_path / "shipped")
    assert [path.name for path in source.iterdir()] == ["pyproject.toml"]


def test_nodes_that_see_everything(ray_here: None, tmp_path: Path) -> None:
    shipping.check_nodes([str(tmp_path), "https://host.invalid/sound.wav"])


def test_a_node_that_does_not_see_a_file(ray_here: None, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"node [\d.]+ of the cluster does not see /nowhere/sound\.wav; put it on a disk"
    ):
        shipping.check_nodes([str(tmp_path), "/nowhere/sound.wav"])


def test_a_node_that_cannot_run_us(ray_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_missing", lambda _: importlib.import_module("numpi"))
    with pytest.raises(UserError, match=r"cannot run Audiometry: .*No module named 'numpi'; it needs Python 3") as told:
        shipping.check_nodes([])
    assert "\n" not in str(told.value)


def test_a_node_that_has_left_is_passed_over(ray_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (here,) = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    alive = iter([{here: "here", "e" * 56: "gone"}, {here: "here"}])
    monkeypatch.setattr(shipping, "_alive", lambda: next(alive))
    shipping.check_nodes([])
    assert next(alive, None) is None  # it looked again who is left
