"""MusicGen and AudioGen (Copet et al. 2023, "Simple and Controllable Music Generation"; Kreuk et al. 2023, "AudioGen:
Textually Guided Audio Generation"), in the environment that ``audiometry env create audiocraft`` makes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import model
from audiometry.models import environments
from audiometry.models.adapters import audiocraft_server, checkpoint_tensors
from audiometry.models.adapters.common import check_at_least, fingerprint, needs_packages, shown_name
from audiometry.models.adapters.process_model import ProcessModel, Starter, start_model
from audiometry.models.adapters.process_program import shared_environment
from audiometry.models.adapters.process_protocol import Hello

__all__ = ["audiocraft"]

VERSION = "audiocraft 1"

Kind = Literal["auto", "musicgen", "audiogen"]

LONGEST = 300.0
"""Seconds of sound at most."""

EXPORT = ("state_dict.bin", "compression_state_dict.bin")
"""What an export holds: the language model and the codec."""

HUB_VARIABLES = ("HF_TOKEN",)
"""Secrets that the library needs to fetch weights."""


def check(
    *,
    model: str = "facebook/musicgen-small",
    kind: Kind = "auto",
    seconds: float = 5.0,
    temperature: float = 1.0,
    top_k: int = 250,
    top_p: float = 0.0,
    guidance: float = 3.0,
    device: str = "cpu",  # noqa: ARG001  (only the other environment's torch knows its devices)
    timeout: float = 500.0,
    start_timeout: float = 3600.0,
    label: str = "",  # noqa: ARG001  (any label will do)
) -> None:
    """Look for the environment and the weights, and check every range, without starting anything.

    Raises DataError with the command that makes the environment, UserError for a package that is missing here (a
    checkpoint is read by this Python's torch), SettingError for the rest.
    """
    _kind(model, kind)
    _whole(model)
    check_at_least("audiocraft", "top_k", top_k, 0)
    for name, value, low, high in (
        ("seconds", seconds, 0.1, LONGEST),
        ("temperature", temperature, 0.0, 100.0),
        ("top_p", top_p, 0.0, 1.0),
        ("guidance", guidance, 0.0, 100.0),
        ("timeout", timeout, 0.001, 1e9),
        ("start_timeout", start_timeout, 0.001, 1e9),
    ):
        if not low <= value <= high:
            raise SettingError(f"model 'audiocraft', setting {name!r}: {value:g} is outside {low:g} to {high:g}")
    environments.check_ready("audiocraft")
    if model != "debug":
        needs_packages("audiocraft", "torch", ("torch", "safetensors"))


@model("audiocraft", abilities={"synthesize"}, check=check)
def audiocraft(
    *,
    model: str = "facebook/musicgen-small",
    kind: Kind = "auto",
    seconds: float = 5.0,
    temperature: float = 1.0,
    top_k: int = 250,
    top_p: float = 0.0,
    guidance: float = 3.0,
    device: str = "cpu",
    timeout: float = 500.0,
    start_timeout: float = 3600.0,
    label: str = "",
) -> ProcessModel:
    """MusicGen or AudioGen, by a hub name or from an export, in an environment of its own."""
    environments.check_ready("audiocraft")
    which = _kind(model, kind)
    settings = {
        "seconds": seconds, "temperature": temperature, "top_k": top_k, "top_p": top_p, "guidance": guidance,
    }  # fmt: skip
    words = [str(environments.interpreter("audiocraft")), "-I", audiocraft_server.__file__]
    words += ["--kind", which, "--model", _place(model), "--device", device]
    for name, value in settings.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    words += ["--python", sys.executable, "--converter", checkpoint_tensors.__file__]

    def identity(hello: Hello) -> str:
        told = {**settings, "kind": which, "version": hello.version, "device": device.partition(":")[0]}
        return fingerprint(VERSION, [audiocraft_server.__file__], settings=told)

    return start_model(
        name=label or shown_name("audiocraft", audiocraft, {**settings, "model": model, "kind": kind}),
        starter=Starter(words, 0, shared_environment(os.environ, HUB_VARIABLES), start_timeout),
        identity=identity,
        rate=None,
        batch=1,
        timeout=timeout,
    )


def _kind(model: str, kind: Kind) -> Literal["musicgen", "audiogen"]:
    """Which of the two families; ``auto`` goes by the name."""
    if kind != "auto":
        return kind
    name = Path(model).name.lower()
    if "audiogen" in name:
        return "audiogen"
    if "musicgen" in name:
        return "musicgen"
    raise SettingError(
        f"model 'audiocraft', setting 'model': {model!r} does not tell its kind; add kind=musicgen or kind=audiogen"
    )


def _place(model: str) -> str:
    """The model as it is found: a path with ``~`` written out, or a hub name."""
    return str(Path(model).expanduser()) if model.startswith("~") else model


def _whole(model: str) -> None:
    """Raise SettingError for a URL, or a path that is no whole export."""
    if "://" in model:
        raise SettingError(
            f"model 'audiocraft', setting 'model': {model!r} is a URL; give a hub name or the folder of an export"
        )
    folder = Path(_place(model))
    missing = [name for name in EXPORT if not (folder / name).is_file()]
    if folder.is_dir():
        if missing:
            raise SettingError(f"model 'audiocraft', setting 'model': {model!r} holds no {missing[0]}; export it again")
    elif folder.exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise SettingError(
            f"model 'audiocraft', setting 'model': {model!r} is no folder; give one that holds an export"
        )
