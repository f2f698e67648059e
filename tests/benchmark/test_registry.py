from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark import registry
from audiometry.benchmark.errors import (
    DuplicateNameError,
    PluginError,
    SettingError,
    UnknownNameError,
    UserError,
)
from audiometry.benchmark.registry import Entry, Registry, Spec, convert_settings, parse_spec, parse_specs
from audiometry.benchmark.types import Suite


def entry(name: str, factory: object = dict, **more: object) -> Entry[object]:
    return Entry(name=name, factory=factory, summary="", origin="here", **more)  # type: ignore[arg-type]


def test_a_taken_name_is_refused_loudly() -> None:
    things: Registry[object] = Registry("thing", "things")
    things.add(entry("one"))
    with pytest.raises(DuplicateNameError, match="'one' is registered twice: by here and by here; rename one"):
        things.add(entry("one"))


@pytest.mark.parametrize("name", ["", "a:b", "a,b", "a=b", "a b", "a/b"])
def test_names_that_cannot_be_typed_are_refused(name: str) -> None:
    things: Registry[object] = Registry("thing", "things")
    with pytest.raises(UserError, match="may not hold"):
        things.add(entry(name))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    things: Registry[object] = Registry("thing", "things")
    things.add(entry("whisper"))
    things.add(entry("oracle"))
    with pytest.raises(UnknownNameError, match=r"did you mean 'whisper'\? available: oracle, whisper"):
        things.get("whipser")


def test_a_failed_plugin_is_told_when_a_name_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._state, "failures", {"mine (mine.tasks)": ImportError("no module named gold")})
    things: Registry[object] = Registry("thing", "things")
    things.add(entry("one"))
    assert things.get("one").name == "one"
    with pytest.raises(PluginError, match=r"plug-in mine \(mine.tasks\) failed to import: ImportError: no module"):
        things.get("two")


def test_a_plugin_that_fails_is_kept_and_the_others_load(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    points = [
        EntryPoint("bad", "audiometry_no_such_module", registry.GROUP),
        EntryPoint("good", "json", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    monkeypatch.setattr(registry, "_state", {"loaded": False, "failures": {}})
    registry.load_plugins()
    assert list(registry.plugin_failures()) == ["bad (audiometry_no_such_module)"]


def test_a_collision_between_plugins_is_raised_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from importlib.metadata import EntryPoint

    (tmp_path / "collides.py").write_text(
        "from audiometry.benchmark.registry import suite\n"
        "@suite('collision')\ndef a():\n    return ()\n@suite('collision')\ndef b():\n    return ()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry.SUITES, "_entries", {})
    monkeypatch.setattr(registry, "_entry_points", lambda: [EntryPoint("c", "collides", registry.GROUP)])
    monkeypatch.setattr(registry, "_state", {"loaded": False, "failures": {}})
    with pytest.raises(DuplicateNameError, match="collision"):
        registry.load_plugins()
    sys.modules.pop("collides", None)


def test_specs_are_read() -> None:
    assert parse_spec("ctc-asr:checkpoint=./a=b,beam-size=4") == Spec(
        "ctc-asr", (("beam_size", "4"), ("checkpoint", "./a=b"))
    )
    assert [str(spec) for spec in parse_specs(["a,b", "a", "c:x=1"])] == ["a", "b", "c:x=1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:b", "'b' is not a setting"),
        ("a:", "'' is not a setting"),
        ("a:x=1,x=2", "'x' is given twice"),
        (":x=1", "has no name"),
    ],
)
def test_bad_specs_name_the_mend(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_spec(text)


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
values = st.text(st.characters(codec="utf-8", exclude_characters=",", exclude_categories=["Z", "C"]), max_size=9)


@given(names, st.dictionaries(names, values, max_size=4))
def test_a_spec_survives_being_written_and_read(name: str, settings: dict[str, str]) -> None:
    spec = Spec(name, tuple(sorted(settings.items())))
    assert parse_spec(str(spec)) == spec


def factory(
    *, path: str, beam: int = 1, rate: float = 1.0, fast: bool = False, kind: Literal["a", "b"] = "a", n: int | None = 3
) -> None:
    """Take settings of every kind."""


def test_settings_are_converted_by_annotation() -> None:
    texts = {"path": "x", "beam": "4", "rate": "2.5", "fast": "yes", "kind": "b", "n": "none"}
    assert convert_settings(factory, texts.items(), "model 'm'") == {
        "path": "x", "beam": 4, "rate": 2.5, "fast": True, "kind": "b", "n": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "model 'm' needs the setting 'path', as in m:path=…"),
        ({"path": "x", "baem": "1"}, r"takes no setting 'baem'; did you mean 'beam'\? it takes: path, beam"),
        ({"path": "x", "other:path": "y"}, r"takes no setting 'other:path'; give each name .* option of its own"),
        ({"path": "x", "beam": "1.5"}, "'1.5' is not a whole number"),
        ({"path": "x", "rate": "fast"}, "'fast' is not a number"),
        ({"path": "x", "fast": "2"}, "'2' is not true or false"),
        ({"path": "x", "kind": "c"}, "'c' is not one of a, b"),
    ],
)
def test_bad_settings_name_the_mend(settings: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        convert_settings(factory, settings.items(), "model 'm'")


def test_a_missing_extra_says_what_to_install() -> None:
    things: Registry[object] = Registry("thing", "things")

    def heavy() -> None:
        raise ModuleNotFoundError("No module named 'gold'", name="gold")

    things.add(entry("heavy", heavy, needs="asr"))
    things.add(entry("bare", heavy))
    with pytest.raises(UserError, match=r"needs the package 'gold'; install it with: pip install 'audiometry\[asr\]'"):
        things.create(Spec("heavy"))
    with pytest.raises(ModuleNotFoundError):
        things.create(Spec("bare"))


def test_plugin_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist; give the path of a \.py file"):
        registry.load_plugin_file(tmp_path / "none.py")
    (tmp_path / "text.txt").write_text("not python")
    with pytest.raises(UserError, match="is not a Python file"):
        registry.load_plugin_file(tmp_path / "text.txt")
    (tmp_path / "bad.py").write_text("raise RuntimeError('no luck')")
    with pytest.raises(PluginError, match=r"failed to import: RuntimeError: no luck"):
        registry.load_plugin_file(tmp_path / "bad.py")
    (tmp_path / "twice.py").write_text(
        "from audiometry.benchmark.registry import suite\n@suite('core')\ndef core():\n    return None\n"
    )
    with pytest.raises(DuplicateNameError, match="'core' is registered twice"):
        registry.load_plugin_file(tmp_path / "twice.py")
    good = tmp_path / "good.py"
    good.write_text(
        "from audiometry.benchmark.registry import suite\nfrom audiometry.benchmark.types import Suite\n"
        "@suite('mine')\ndef mine():\n    return Suite('1', {'wer': 1.0})\n"
    )
    registry.load_plugin_file(good)
    registry.load_plugin_file(good)
    assert registry.SUITES.create(Spec("mine")) == Suite("1", {"wer": 1.0})
    registry.SUITES._entries.pop("mine")
