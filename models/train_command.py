"""``audiometry train``: train a spoof detector and write it to a file."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

if TYPE_CHECKING:
    from audiometry.models.baselines.saved import SavedDetector
    from audiometry.tasks.corpora.rows import SpoofingTrial

__all__ = ["TRAINABLE", "register", "train"]

HELP = """Train a spoof detector and write it to a file.

Trainable: aasist, aasist-l, envelope-trees, lfcc-gmm, lfcc-lcnn, shortcut, spoof-fusion, whisper-encoder-head.
Weights are chosen, and scores calibrated, on development trials, whose table of equal error rates is shown at the end.

\b
Examples:
  audiometry train lfcc-lcnn
  audiometry train lfcc-lcnn --level E1 --seed 3 --output mine.safetensors
  audiometry train lfcc-lcnn -s steps=4000 --minutes 120 --resume
  audiometry train lfcc-lcnn -s features=log-filter-bank -s loss=one-class-softmax -s steps=4000
  audiometry train aasist --corpus asvspoof2019-la=/data/LA
  audiometry run -m lfcc-lcnn:path=mine.safetensors,level=E1 -t spoof-embedded:level=E1
"""

PACKAGE = "audiometry.models.baselines"

TRAINABLE: Mapping[str, tuple[str, str]] = {
    "aasist": (f"{PACKAGE}.aasist_training", "fit_aasist"),
    "aasist-l": (f"{PACKAGE}.aasist_training", "fit_aasist_l"),
    "envelope-trees": (f"{PACKAGE}.envelope_trees", "fit"),
    "lfcc-gmm": (f"{PACKAGE}.gaussian_mixture", "fit"),
    "lfcc-lcnn": (f"{PACKAGE}.lcnn", "fit"),
    "spoof-fusion": (f"{PACKAGE}.fusion", "fit"),
    "shortcut": (f"{PACKAGE}.shortcut", "fit"),
    "whisper-encoder-head": (f"{PACKAGE}.encoder_head", "fit"),
}
"""Detectors by name: the module and the function that trains them."""

OFFICIAL = ("asvspoof2019-la", "asvspoof5")
"""Public corpora with trials for training and for development."""

UNCHANGED = "E0"
"""The level that the recordings of a public corpus are nearest to: they are heard as they are."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train", help=HELP)(train)


def train(
    name: Annotated[str, typer.Argument(help="The detector.")],
    corpus: Annotated[
        str | None, typer.Option(help="A public corpus as NAME=DIR, heard as it is. [default: spoof-embedded]")
    ] = None,
    level: Annotated[str | None, typer.Option(help="Level of equalisation, E0 to E4. [default: E4]")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is random.")] = 0,
    minutes: Annotated[float, typer.Option(help="The time that a network's steps may take.")] = 25.0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file. [default: AUDIOMETRY_HOME/detectors/NAME-LEVEL-seedN]"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint beside the file.")] = False,
    setting: Annotated[
        list[str] | None, typer.Option("--setting", "-s", help="A setting of the training as KEY=VALUE; repeat.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-L", help="Use so many trials of each part.")] = None,
) -> None:
    """Train and write."""
    from audiometry.benchmark.errors import SettingError
    from audiometry.benchmark.paths import home
    from audiometry.models.baselines.saved import save
    from audiometry.models.baselines.trial_data import load_trials

    if (limit is not None and limit < 2) or seed < 0:
        raise SettingError("--limit is 2 or more, and --seed 0 or more")
    known = _level(level, corpus)
    work = _prepared(name, setting or [], seed=seed, level=known, minutes=minutes, resume=resume)
    file = output or home() / "detectors" / f"{name}-{known}-seed{seed}.safetensors"
    origin, parts = _trials(corpus, known)
    chosen = [_first(trials, limit) for trials in parts]
    counts = f"{len(chosen[0])} training and {len(chosen[1])} development trials"
    _tell(f"{name}: loading {counts} of {origin['corpus']} at {known}")
    data = [load_trials(trials) for trials in chosen]
    found = work(*data, **_checkpoint(work, file))
    facts = {
        **origin, "level": known, "seed": str(seed),
        "training_trials": str(len(data[0])), "development_trials": str(len(data[1])),
    }  # fmt: skip
    save(file, replace(found, facts={**found.facts, **facts}))
    _tell(f"written to {file}; use it as {name}:path={file},level={known}")


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _level(level: str | None, corpus: str | None) -> str:
    from audiometry.benchmark.errors import SettingError
    from audiometry.tasks.corpora.spoof.equalisation import Level

    if corpus is not None and level not in (None, UNCHANGED):
        raise SettingError(f"--level {level}: a public corpus is heard as it is, which is {UNCHANGED}; leave it out")
    known = level or ("E4" if corpus is None else UNCHANGED)
    if known not in get_args(Level):
        raise SettingError(f"--level {known!r} is not one of {', '.join(get_args(Level))}")
    return known


def _prepared(
    name: str, texts: Sequence[str], *, seed: int, level: str, minutes: float, resume: bool
) -> Callable[..., SavedDetector]:
    """The detector's training with its settings, of which those that it does not take are refused.

    Raises UnknownNameError for a detector that is not there or cannot be trained, SettingError for a bad setting.
    """
    from audiometry.benchmark.errors import SettingError, UnknownNameError
    from audiometry.benchmark.specs import convert_settings

    if name not in TRAINABLE:
        raise UnknownNameError(f"there is no trainable detector {name!r}; trainable: {', '.join(TRAINABLE)}")
    module, function = TRAINABLE[name]
    fit = getattr(importlib.import_module(module), function)
    given: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise SettingError(f"--setting {text!r}: write KEY=VALUE, as in steps=4000")
        given[key.strip().replace("-", "_")] = value.strip()
    taken = inspect.signature(fit).parameters
    own = {"seed", "report", "level", "minutes", "checkpoint", "resume"}
    if own & given.keys():
        raise SettingError(f"--setting {min(own & given.keys())}=…: it has an option of its own, or none")
    if _is_open(fit):
        return functools.partial(fit, seed=seed, report=_tell, level=level, minutes=minutes, resume=resume, **given)
    if resume:
        _tell(f"{name}: its training is short and keeps no checkpoint; it begins anew")
    common = {"seed": seed, "report": _tell, "level": level}
    ready = functools.partial(fit, None, None, **{key: value for key, value in common.items() if key in taken})
    settings = convert_settings(ready, given.items(), f"training of {name!r}")
    return functools.partial(fit, **ready.keywords, **settings)


def _is_open(fit: Callable[..., Any]) -> bool:
    """Whether a training takes settings by any name, as those of the networks do."""
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in inspect.signature(fit).parameters.values())


def _checkpoint(work: Callable[..., Any], file: Path) -> dict[str, Path]:
    return {"checkpoint": file.with_suffix(".checkpoint.safetensors")} if _is_open(work) else {}


def _trials(corpus: str | None, level: str) -> tuple[dict[str, str], list[Sequence[SpoofingTrial]]]:
    """The facts of the corpus, and its trials for training and for development.

    Raises SettingError for a corpus that has none, DataError for one that is not there.
    """
    from audiometry.benchmark.errors import SettingError
    from audiometry.benchmark.registry import CORPORA, Spec
    from audiometry.tasks.corpora.spoof.attacks import PROTOCOL
    from audiometry.tasks.corpora.spoof.embedded import open_embedded
    from audiometry.tasks.corpora.spoof.equalisation import REVISION, Level

    if corpus is None:
        embedded = open_embedded()
        facts = {"corpus": embedded.name, "equalisation": REVISION, "protocol": PROTOCOL}
        return facts, [embedded.trials(split, cast(Level, level)) for split in ("train", "development")]
    name, equals, folder = corpus.partition("=")
    if name not in OFFICIAL or not equals or not folder:
        raise SettingError(f"--corpus {corpus!r}: write NAME=DIR, where NAME is one of {', '.join(OFFICIAL)}")
    parts = [CORPORA.create(Spec(name, (("path", folder), ("split", split)))) for split in ("train", "dev")]
    return {"corpus": name}, [part.rows() for part in parts]


def _first(trials: Sequence[SpoofingTrial], limit: int | None) -> Sequence[SpoofingTrial]:
    """The first trials in a fixed order that knows nothing of the class."""
    if limit is None:
        return trials
    return sorted(trials, key=lambda trial: hashlib.sha256(trial.id.encode()).digest())[:limit]
