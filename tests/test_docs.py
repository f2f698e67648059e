"""Nothing is registered or typed that the pages do not explain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from audiometry.benchmark.cli import build
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.registry import CORPORA, MODELS, SUITES, TASKS
from audiometry.tasks.corpora import asterisk

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
BUILT_IN = "audiometry."


def commands() -> list[str]:
    names = []
    root = typer.main.get_command(build())
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        names += [f"{name} {one}" for one in inner] or [name]
    return names


@pytest.mark.parametrize("name", commands())
def test_every_command_is_documented(name: str) -> None:
    assert f"audiometry {name}" in TEXT


@pytest.mark.parametrize("registry", [TASKS, MODELS, CORPORA, SUITES], ids=lambda registry: registry.plural)
def test_everything_registered_is_documented(registry: object) -> None:
    for entry in registry.entries():  # type: ignore[attr-defined]
        if not entry.origin.startswith(BUILT_IN):
            continue
        plain = re.sub(r"-(en|es|fr|it|ru)(?=-|$)", "-{language}", entry.name)
        assert f"`{entry.name}`" in TEXT or f"`{plain}`" in TEXT, entry.name
        assert entry.summary.endswith("."), entry.name


def test_pages_link_to_files_that_are_there() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_languages_are_the_documented_ones() -> None:
    assert sorted(asterisk.LANGUAGES) == ["en", "es", "fr", "it", "ru"]


def test_the_demo_configuration_is_valid() -> None:
    from audiometry.benchmark.config import merge, read_config

    settings = merge(read_config(ROOT / "demo.toml"))
    assert isinstance(settings, RunSettings)
    settings.check()
