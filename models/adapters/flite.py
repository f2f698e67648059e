"""Flite: unit-selection and statistical voices of US English (Black and Lenzo 2001, "Flite: a small fast run-time
synthesis engine"), as a program on the PATH, or from Debian's packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

from audiometry.benchmark.audio import read_file
from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.paths import home
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request, Segment
from audiometry.models.adapters.common import fingerprint, shown_name
from audiometry.models.adapters.one_by_one import OneByOne, text_of
from audiometry.tasks.corpora.debian import apt_download, unpack_deb

__all__ = ["flite", "phone_segments"]

VERSION = "flite 1"
PACKAGES = ("flite", "libflite1", "libasound2")
LIBRARY = re.compile(r"usr/lib/[^/]+/(libflite\w*|libasound)\.so\.[\d.]+")
SONAME = {"libasound": "libasound.so.2"}
SECONDS = 120.0
"""What one text may take."""

STRETCHES = (0.2, 5.0)
PITCHES = (40.0, 500.0)
Voice = Literal["slt", "rms", "awb", "kal16", "kal"]


def check(*, voice: Voice = "slt", stretch: float = 1.0, pitch: float = 0.0, program: str = "") -> None:  # noqa: ARG001
    """Check the settings; where no Flite is on the PATH, Debian's is fetched here, once.

    Raises SettingError for a value out of range, UserError where there is no Flite and none can be fetched.
    """
    if not STRETCHES[0] <= stretch <= STRETCHES[1]:
        raise SettingError(f"model 'flite', setting 'stretch': {stretch:g} is outside {STRETCHES[0]} to {STRETCHES[1]}")
    if pitch and not PITCHES[0] <= pitch <= PITCHES[1]:
        raise SettingError(
            f"model 'flite', setting 'pitch': {pitch:g} Hz is outside {PITCHES[0]:g} to {PITCHES[1]:g}; "
            "leave it out to keep the voice's own"
        )
    _locate(program)


def identify(*, voice: Voice = "slt", stretch: float = 1.0, pitch: float = 0.0, program: str = "") -> str:
    """The fingerprint of the program, the libraries that come with it, and the settings."""
    where, library = _locate(program)
    files = [where, *(sorted(library.iterdir()) if library else [])]
    return fingerprint(VERSION, files, settings={"voice": voice, "stretch": stretch, "pitch": pitch})


@model("flite", abilities={"synthesize"}, check=check, fingerprint=identify, deterministic=True, waveforms=False)
def flite(*, voice: Voice = "slt", stretch: float = 1.0, pitch: float = 0.0, program: str = "") -> OneByOne:
    """Flite, a small classical synthesiser of US English, with the times of its phonemes."""
    where, library = _locate(program)
    features = [f"duration_stretch={stretch:g}"] if stretch != 1.0 else []
    features += [f"int_f0_target_mean={pitch:g}"] if pitch else []
    options = ["-voice", voice, *(part for one in features for part in ("--setf", one))]

    def answer(request: Request) -> Output:
        if request.language not in (None, "", "en"):
            raise ValueError(f"flite speaks English only, and the request is in {request.language!r}")
        text = text_of(request)
        return _speak([str(where), *options], _environment(library), text) if text else Output(status="empty")

    settings = {"voice": voice, "stretch": stretch, "pitch": pitch, "program": program}
    return OneByOne(
        name=shown_name("flite", flite, settings),
        fingerprint=identify(voice=voice, stretch=stretch, pitch=pitch, program=program),
        abilities=frozenset({"synthesize"}),
        answer=answer,
    )


def phone_segments(printed: str) -> tuple[Segment, ...]:
    """The phonemes that ``flite -psdur`` prints, each with its end in seconds, as segments ``phoneme:…``.

    Pauses (`pau`) make no segment. The names are those of the CMU dictionary, in lower case.

    >>> [(one.start, one.end, one.label) for one in phone_segments("pau:0.2 hh:0.25 ay:0.5 pau:0.6")]
    [(0.2, 0.25, 'phoneme:hh'), (0.25, 0.5, 'phoneme:ay')]

    Raises ValueError for anything but names with times that rise.
    """
    told = [one.rpartition(":") for one in printed.split()]
    ends = [float(time) for _, _, time in told]
    starts = [0.0, *ends][: len(ends)]
    if any(start > end for start, end in zip(starts, ends, strict=True)):
        raise ValueError("flite printed times that do not rise")
    return tuple(
        Segment(start, end, f"phoneme:{name}")
        for (name, _, _), start, end in zip(told, starts, ends, strict=True)
        if name != "pau"
    )


def _speak(command: list[str], environment: Mapping[str, str], text: str) -> Output:
    with tempfile.TemporaryDirectory(prefix="flite-") as folder:
        file = Path(folder) / "said.wav"
        done = subprocess.run(
            [*command, "-psdur", "-t", text, "-o", str(file)], env=dict(environment), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False,
        )  # fmt: skip
        if done.returncode != 0 or not file.is_file():
            said = " ".join(done.stderr.split())[:200] or f"exit status {done.returncode}"
            raise RuntimeError(f"flite made no sound: {said}")
        return Output(audio=read_file(file), segments=phone_segments(done.stdout))


def _environment(library: Path | None) -> dict[str, str]:
    """The process' environment, with the libraries that were unpacked beside the program."""
    own = {} if library is None else {"LD_LIBRARY_PATH": str(library)}
    return {**os.environ, "LC_ALL": "C", **own}


def _locate(program: str) -> tuple[Path, Path | None]:
    """The program, and the folder of its libraries where it does not use the system's.

    Raises SettingError if `program` is not there, UserError where no Flite is found and none can be fetched.
    """
    if program:
        found = shutil.which(Path(program).expanduser())
        if found is None:
            raise SettingError(
                f"model 'flite', setting 'program': {program!r} is no program; leave it out to search PATH"
            )
        return Path(found).resolve(), None
    found = shutil.which("flite")
    return (Path(found).resolve(), None) if found else _unpacked(home())


@lru_cache(maxsize=8)
def _unpacked(base: Path) -> tuple[Path, Path]:
    """Flite under the home folder, fetched with the machine's package client if it is not there yet."""
    folder = base / "programs" / "flite"
    if not (folder / "flite").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".flite-", dir=folder.parent) as scratch:
            fresh = Path(scratch) / "new"
            _fetch(Path(scratch), fresh)
            try:
                fresh.rename(folder)
            except OSError:
                if not (folder / "flite").is_file():  # else another process was first
                    raise
    return folder / "flite", folder / "lib"


def _fetch(scratch: Path, fresh: Path) -> None:
    mend = "install flite (apt-get install flite), or name a program: flite:program=FILE"
    try:
        packages = apt_download(PACKAGES, scratch, lambda _: None, mend)
        for package in packages.values():
            unpack_deb(package, _wanted, fresh)
    except DataError as error:
        raise UserError(f"model 'flite' finds no program flite on the PATH, and {error}") from error
    if not (fresh / "flite").is_file():
        raise UserError(f"model 'flite': the package flite holds no program; {mend}")
    (fresh / "flite").chmod(0o755)


def _wanted(path: PurePosixPath) -> PurePosixPath | None:
    """Where a file of the packages goes: the program, and each library under the name by which it is asked for."""
    if str(path) == "usr/bin/flite":
        return PurePosixPath("flite")
    library = LIBRARY.fullmatch(str(path))
    return PurePosixPath("lib") / SONAME.get(library[1], f"{library[1]}.so.1") if library else None
