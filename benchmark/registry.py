"""Names of tasks, models, corpora, suites and transforms, and the plug-ins that bring them.

A plug-in is a module named under the entry-point group ``audiometry.plugins``, or a single file given on the command
line. Importing it runs its decorators::

    @task("wer-mine")
    def wer_mine() -> Task: ...

    @model("my-asr", abilities={"transcribe"})
    def my_asr(*, checkpoint: str, beam: int = 1) -> Model: ...

The decorated object is a factory. What is heavy is imported inside it, so that listing names stays quick. Its keyword
arguments are the settings that users may give; their annotations (`int`, `float`, `bool`, `str`) convert the text.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from audiometry.benchmark.errors import DuplicateNameError, PluginError, UnknownNameError, UserError
from audiometry.benchmark.model_kinds import Answer
from audiometry.benchmark.specs import Spec, convert_settings, parse_spec, parse_specs
from audiometry.benchmark.types import Ability, Model, Suite, Task

__all__ = [
    "CORPORA",
    "MODELS",
    "PLUGIN_FILES",
    "SUITES",
    "TASKS",
    "TRANSFORMS",
    "Entry",
    "Registry",
    "Resources",
    "Spec",
    "convert_settings",
    "corpus",
    "load_plugin_file",
    "load_plugins",
    "model",
    "parse_spec",
    "parse_specs",
    "plugin_failures",
    "suite",
    "takes",
    "task",
    "transform",
]

GROUP = "audiometry.plugins"

T = TypeVar("T")


@dataclass(frozen=True)
class Resources:
    """What one worker of a model needs: CPUs (also its thread count), GPUs, and memory in bytes."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered factory and what is known of it without calling it.

    `check` receives the settings and raises a UserError for bad ones (a missing file, say) without loading anything
    heavy: it runs on the driver before any worker starts.
    """

    name: str
    factory: Callable[..., T]
    summary: str
    origin: str
    abilities: frozenset[Ability] = frozenset()
    control: bool = False
    given: Answer | None = None
    resources: Resources = Resources()
    check: Callable[..., None] | None = None
    fingerprint: Callable[..., str] | None = None
    """The model's fingerprint from its settings, without loading it; lets a cached run do without workers."""
    deterministic: bool = False
    """Whether a model whose fingerprint is known without loading it answers alike whatever the seed."""
    waveforms: bool = True
    """Whether requests must reach the model with their sound decoded."""
    waits: bool = False
    """Whether it is a `WaitingModel`: it works elsewhere, and is asked from one process with an event loop."""
    concurrent: bool = False
    """Whether several threads may ask one model at once; it then computes no more at a time than its threads allow."""
    able: Callable[..., Iterable[Ability]] | None = None
    """Which of the abilities the model has with given settings; by default all."""
    needs: str | None = None
    """The extra to install for it, as in ``pip install 'audiometry[asr]'``."""
    facts: Mapping[str, str] = field(default_factory=dict)


class Registry(Generic[T]):
    """Names of one kind. A duplicate raises at once; an unknown name is answered with the nearest ones."""

    def __init__(self, kind: str, plural: str) -> None:
        self.kind = kind
        self.plural = plural
        self._entries: dict[str, Entry[T]] = {}

    def add(self, entry: Entry[T]) -> None:
        """Register `entry`.

        Raises DuplicateNameError if the name is taken by another origin.
        """
        taken = self._entries.get(entry.name)
        if taken is not None:
            raise DuplicateNameError(
                f"{self.kind} {entry.name!r} is registered twice: by {taken.origin} and by {entry.origin}; "
                "rename one of them"
            )
        if not entry.name or any(c in entry.name for c in ":,= \t\n/"):
            raise UserError(f"{self.kind} name {entry.name!r} may not hold ':', ',', '=', '/' or white space")
        self._entries[entry.name] = entry

    def get(self, name: str) -> Entry[T]:
        """Return the entry called `name`.

        Raises PluginError where a plug-in that failed to import may have held it, UnknownNameError otherwise.
        """
        load_plugins()
        if name in self._entries:
            return self._entries[name]
        failures = plugin_failures()
        if failures:
            where, error = next(iter(failures.items()))
            raise PluginError(
                f"unknown {self.kind} {name!r}, and plug-in {where} failed to import: "
                f"{type(error).__name__}: {_one_line(error)}"
            ) from error
        near = difflib.get_close_matches(name, self._entries, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownNameError(f"unknown {self.kind} {name!r}; {hint}available: {', '.join(sorted(self._entries))}")

    def names(self) -> list[str]:
        """Every registered name, sorted."""
        load_plugins()
        return sorted(self._entries)

    def entries(self) -> list[Entry[T]]:
        """Every entry, sorted by name."""
        return [self._entries[name] for name in self.names()]

    def create(self, spec: Spec) -> T:
        """Call the factory of ``spec.name`` with the spec's settings, converted by its annotations."""
        entry = self.get(spec.name)
        settings = convert_settings(entry.factory, spec.settings, f"{self.kind} {spec.name!r}")
        try:
            return entry.factory(**settings)
        except ModuleNotFoundError as error:
            if entry.needs is None:
                raise
            raise UserError(
                f"{self.kind} {spec.name!r} needs the package {error.name!r}; "
                f"install it with: pip install 'audiometry[{entry.needs}]'"
            ) from error

    def fingerprint(self, spec: Spec) -> str | None:
        """The fingerprint of what `create` would make, if it can be told without making it."""
        entry = self.get(spec.name)
        if entry.fingerprint is None:
            return None
        return entry.fingerprint(**convert_settings(entry.factory, spec.settings, f"{self.kind} {spec.name!r}"))

    def abilities(self, spec: Spec) -> frozenset[Ability]:
        """What the model can do with the spec's settings."""
        entry = self.get(spec.name)
        if entry.able is None:
            return entry.abilities
        return frozenset(entry.able(**convert_settings(entry.factory, spec.settings, f"{self.kind} {spec.name!r}")))

    def check(self, spec: Spec) -> Entry[T]:
        """Check a spec's name and settings without building anything heavy."""
        entry = self.get(spec.name)
        settings = convert_settings(entry.factory, spec.settings, f"{self.kind} {spec.name!r}")
        if entry.check is not None:
            entry.check(**settings)
        return entry


TASKS: Registry[Task] = Registry("task", "tasks")
MODELS: Registry[Model] = Registry("model", "models")
CORPORA: Registry[Any] = Registry("corpus", "corpora")
SUITES: Registry[Suite] = Registry("suite", "suites")
TRANSFORMS: Registry[Any] = Registry("transform", "transforms")


def _entry(name: str, factory: Callable[..., T], **more: Any) -> Entry[T]:
    summary = (inspect.getdoc(factory) or "").strip().split("\n")[0]
    return Entry(name=name, factory=factory, summary=summary, origin=factory.__module__, **more)


def takes(entry: Entry[Any], setting: str) -> bool:
    """Whether the entry's factory takes a setting of that name."""
    return setting in inspect.signature(entry.factory).parameters


def task(
    name: str, *, check: Callable[..., None] | None = None, needs: str | None = None
) -> Callable[[Callable[..., Task]], Callable[..., Task]]:
    """Register a factory of a Task under `name`; its docstring's first line is its summary."""

    def register(factory: Callable[..., Task]) -> Callable[..., Task]:
        TASKS.add(_entry(name, factory, check=check, needs=needs))
        return factory

    return register


def model(
    name: str,
    *,
    abilities: Iterable[Ability],
    control: bool = False,
    given: Answer | None = None,
    resources: Resources = Resources(),
    check: Callable[..., None] | None = None,
    fingerprint: Callable[..., str] | None = None,
    deterministic: bool = False,
    waveforms: bool = True,
    waits: bool = False,
    concurrent: bool = False,
    able: Callable[..., Iterable[Ability]] | None = None,
    needs: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a factory of a Model under `name`.

    `control` models are shown and never ranked. `given` says what a control is handed beside the requests. The other
    arguments are the fields of `Entry`.
    """

    def register(factory: Callable[..., Any]) -> Callable[..., Any]:
        MODELS.add(
            _entry(
                name, factory, abilities=frozenset(abilities), control=control, given=given,
                resources=resources, check=check, fingerprint=fingerprint, deterministic=deterministic,
                waveforms=waveforms, waits=waits, concurrent=concurrent, able=able, needs=needs,
            )
        )  # fmt: skip
        return factory

    return register


def corpus(name: str, *, needs: str | None = None, **facts: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Register a factory of a corpus under `name`; `facts` (language, licence, …) are listed with it."""

    def register(factory: Callable[..., T]) -> Callable[..., T]:
        CORPORA.add(_entry(name, factory, needs=needs, facts=facts))
        return factory

    return register


def suite(name: str) -> Callable[[Callable[[], Suite]], Callable[[], Suite]]:
    """Register a function that returns a Suite."""

    def register(factory: Callable[[], Suite]) -> Callable[[], Suite]:
        SUITES.add(_entry(name, factory))
        return factory

    return register


def transform(name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Register a change of a waveform: ``(waveform, generator, **settings) -> Waveform``."""

    def register(factory: Callable[..., T]) -> Callable[..., T]:
        TRANSFORMS.add(_entry(name, factory))
        return factory

    return register


PLUGIN_FILES = "audiometry_plugin_"
"""How the modules of plug-in files are called; `Entry.origin` begins with it."""

_state: dict[str, Any] = {"loaded": False, "failures": {}}
_loading = threading.RLock()


def plugin_failures() -> Mapping[str, BaseException]:
    """Plug-ins that failed to import, by entry point, with the error that each raised."""
    return dict(_state["failures"])


def load_plugins() -> None:
    """Import every module of the entry-point group, once. An error is kept and raised when a name is asked for.

    Raises DuplicateNameError at once: which of two plug-ins is meant cannot be guessed.
    """
    with _loading:  # another thread waits until all is there
        if _state["loaded"]:
            return
        _state["loaded"] = True
        for point in _entry_points():
            try:
                importlib.import_module(point.value)
            except DuplicateNameError:
                _state["loaded"] = False
                raise
            except Exception as error:  # a stranger's module may raise anything; it is kept, not hidden
                _state["failures"][f"{point.name} ({point.value})"] = error


def load_plugin_file(path: str | Path) -> None:
    """Import one Python file as a plug-in.

    Raises UserError if it is not there or fails to import. A file that is already loaded is not loaded again.
    """
    load_plugins()
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise UserError(f"plug-in file {str(path)!r} does not exist; give the path of a .py file")
    # by content: on every machine and in every process the same, so that objects of its classes can travel
    name = f"{PLUGIN_FILES}{file.stem}_{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in file {str(path)!r} is not a Python file; give the path of a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except DuplicateNameError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        raise PluginError(
            f"plug-in file {str(path)!r} failed to import: {type(error).__name__}: {_one_line(error)}"
        ) from error


def _entry_points() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda point: (point.value, point.name))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"
