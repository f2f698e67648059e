from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiometry.benchmark.errors import PluginError, SettingError, UserError
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Model, Output, Request
from audiometry.models.adapters import python_class
from audiometry.models.adapters.python_class import PythonModel

GOOD = """
from dataclasses import dataclass
from neighbour import SUFFIX
from audiometry.benchmark.types import Output

@dataclass
class Echo:
    times: int = 1
    mode: str = "plain"
    loud: bool = False
    abilities: frozenset = frozenset({"transcribe", "respond"})
    fingerprint: str = "1"
    deterministic: bool = True
    closed: bool = False

    def generate(self, requests):
        said = [(request.text or "") * self.times for request in requests]
        return [Output(text=(one.upper() if self.loud else one) + SUFFIX) for one in said]

    def close(self):
        self.closed = True


class Needy(Echo):
    def __init__(self, *, weights: str):
        super().__init__()


class Short(Echo):
    def generate(self, requests):
        return []


def make(times: int = 2):
    return Echo(times)


class NoAbilities:
    fingerprint = "1"
    def generate(self, requests): return []


class TextAbilities(NoAbilities):
    abilities = "transcribe"


class EmptyAbilities(NoAbilities):
    abilities = ()


class WrongAbilities(NoAbilities):
    abilities = {"transcribe", "listen"}


class NoFingerprint:
    abilities = {"rate"}
    def generate(self, requests): return []


class NoGenerate:
    abilities = {"rate"}
    fingerprint = "1"


class OddDeterminism(Echo):
    deterministic = "yes"
    def __init__(self): pass


class Bare:
    abilities = ["rate"]
    fingerprint = "1"
    def generate(self, requests): return [Output(score=1.0) for _ in requests]


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "echoes.py").write_text(GOOD, encoding="utf-8")
    (tmp_path / "neighbour.py").write_text("SUFFIX = '!'\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name in ("echoes", "neighbour", "broken", "package", "package.inner") or name.startswith(
            "audiometry_python"
        ):
            del sys.modules[name]


def make(target: str, settings: str = "", label: str = "") -> PythonModel:
    python_class.check(target=target, settings=settings, label=label)
    return python_class.python(target=target, settings=settings, label=label)


def test_it_is_registered_and_asked_for_a_target() -> None:
    assert "align" in MODELS.get("python").abilities
    with pytest.raises(SettingError, match="needs the setting 'target'"):
        MODELS.check(Spec("python"))


@pytest.mark.parametrize("target", ["echoes:Echo", "echoes.py:Echo", "./echoes.py:Echo"])
def test_a_class_is_a_model(folder: Path, target: str) -> None:
    model = make(target, "times=2 loud=yes mode='two words'")
    assert isinstance(model, Model)
    assert model.deterministic
    assert model.abilities == {"transcribe", "respond"}
    assert [output.text for output in model.generate([Request("transcribe", text="ab")])] == ["ABAB!"]
    assert model.held.mode == "two words"
    model.close()
    assert model.held.closed


def test_through_the_registry(folder: Path) -> None:
    model = MODELS.create(Spec("python", (("label", "mine"), ("target", f"{folder}/echoes.py:make"))))
    assert model.name == "mine"
    assert model.generate([Request("respond", text="ab")])[0].text == "abab!"
    assert make("echoes:Echo", "times=2").name == "python:settings=times=2,target=echoes:Echo"


def test_what_it_cannot_do_is_not_asked(folder: Path) -> None:
    model = make("echoes:Echo", label="echo")
    outputs = model.generate([Request("rate"), Request("respond", text="a"), Request("align")])
    assert [output.text for output in outputs] == [None, "a!", None]
    assert outputs[0].error == "echo cannot rate; it can: respond, transcribe"
    assert model.generate([Request("rate")])[0].status == "error"
    short = make("echoes:Short")
    assert short.generate([Request("respond")]) == []
    with pytest.raises(TypeError, match="was asked 1 requests"):
        short.generate([Request("rate"), Request("respond")])


def test_a_class_with_little(folder: Path) -> None:
    model = make("echoes:Bare")
    assert not model.deterministic
    assert model.generate([Request("rate")]) == [Output(score=1.0)]
    model.close()


def test_the_fingerprint_covers_source_settings_and_what_the_class_says(folder: Path) -> None:
    base = make("echoes.py:Echo").fingerprint
    assert len(base) == 64
    assert make("echoes.py:Echo", label="x").fingerprint == base
    assert make("echoes:Echo").fingerprint == base
    assert make("echoes.py:Echo", "times=2").fingerprint != base
    assert make("echoes.py:make", "times=1").fingerprint != base
    (folder / "echoes.py").write_text(GOOD.replace('fingerprint: str = "1"', 'fingerprint: str = "2"'))
    assert make("echoes.py:Echo").fingerprint != base
    (folder / "echoes.py").write_text(GOOD + "# changed\n")
    assert make("echoes.py:Echo").fingerprint != base


def test_a_class_from_another_module_counts_with_its_own_file(folder: Path) -> None:
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("from package.inner import Bare\n")
    inner = folder / "package" / "inner.py"
    text = GOOD.replace("from neighbour import SUFFIX", "SUFFIX = ''")
    inner.write_text(text)
    first = make("package:Bare").fingerprint
    for name in ("package", "package.inner"):
        del sys.modules[name]
    inner.write_text(text + "# changed, and longer\n")
    assert make("package:Bare").fingerprint != first


@pytest.mark.parametrize(
    ("target", "settings", "error"),
    [
        ("Echo", "", "'Echo' names no class; give it as module:Class"),
        ("echoes:", "", "names no class"),
        ("echoes:a-b", "", "names no class"),
        ("nowhere.py:Echo", "", "the file 'nowhere.py' is not there"),
        ("nowhere:Echo", "", "no module 'nowhere' is installed or in"),
        ("nowhere.inner:Echo", "", "No module named 'nowhere'"),
        ("echoes:Ekko", "", "echoes.py has no 'Ekko'; it has: Bare, Echo, "),
        ("echoes.py:Echo", "times", "write settings=beam=4 mode=fast"),
        ("echoes.py:Echo", "'open", "close the quotes"),
        ("echoes.py:Echo", "times=1 times=2", "'times' is given twice"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_imported(
    folder: Path, target: str, settings: str, error: str
) -> None:
    with pytest.raises(SettingError) as raised:
        python_class.check(target=target, settings=settings)
    assert error in str(raised.value)
    assert "echoes" not in sys.modules


@pytest.mark.parametrize(
    ("name", "settings", "error"),
    [
        ("Echo", "tmes=2", "class 'Echo' takes no setting 'tmes'; did you mean 'times'?"),
        ("Echo", "times=two", "class 'Echo', setting 'times': 'two' is not a whole number"),
        ("Needy", "", "class 'Needy' needs the setting 'weights', as in settings=weights=VALUE"),
        ("number", "", "has no class 'number'"),
        ("NoAbilities", "", "class 'NoAbilities' has no 'abilities'; give it a set of some of transcribe"),
        ("TextAbilities", "", "has no 'abilities'"),
        ("EmptyAbilities", "", "has no ability at all"),
        ("WrongAbilities", "", "knows no ability 'listen'"),
        ("NoFingerprint", "", "has no 'fingerprint'; give it a text that changes whenever its answers would"),
        ("NoGenerate", "", "has no method 'generate(requests)'"),
        ("OddDeterminism", "", "'deterministic' is 'yes' and neither True nor False"),
    ],
)
def test_what_a_class_lacks_is_told(folder: Path, name: str, settings: str, error: str) -> None:
    with pytest.raises(UserError) as raised:
        make(f"echoes.py:{name}", settings)
    assert error in str(raised.value)


def test_a_module_that_does_not_import(folder: Path) -> None:
    (folder / "broken.py").write_text("import no_such_package\nclass Model: ...\n")
    with pytest.raises(PluginError, match=r"broken failed to import: ModuleNotFoundError: No module named 'no_such"):
        make("broken:Model")
    (folder / "broken.py").write_text("class Model(: ...\n")
    with pytest.raises(SettingError, match=r"in 'broken.py:Model', invalid syntax"):
        make("broken.py:Model")
    (folder / "broken.py").write_text("def __getattr__(name): raise AttributeError('empty')\n")
    with pytest.raises(SettingError, match=r"broken.py has no class 'Model'"):
        make("broken.py:Model")
