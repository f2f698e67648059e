from __future__ import annotations

import logging
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiometry.benchmark.audio import resample
from audiometry.benchmark.errors import UserError
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import Model, Output, Request, Waveform
from audiometry.models.adapters import common
from audiometry.models.adapters.whisper import PACKAGED, locate

WordErrorRate = Callable[[list[str], list[Output]], float]


def texts(outputs: list[Output]) -> list[str | None]:
    return [output.text for output in outputs]


@pytest.fixture(scope="module")
def whisper() -> Model:
    spec = parse_spec("whisper")
    MODELS.check(spec)
    return MODELS.create(spec)


@pytest.mark.speech
def test_real_speech_is_recognised_the_same_in_any_company_on_any_threads(
    whisper: Model, spoken: list[tuple[Request, str]], word_error_rate: WordErrorRate
) -> None:
    requests = [request for request, _ in spoken]
    together = whisper.generate(requests)
    assert {output.status for output in together} == {"ok"}
    assert word_error_rate([text for _, text in spoken], together) < 0.25
    two = MODELS.create(parse_spec("whisper:threads=2"))
    assert texts(two.generate(requests[::-1]))[::-1] == texts(together)
    assert texts(whisper.generate(requests[1:2])) == texts(together)[1:2]
    assert two.fingerprint == whisper.fingerprint
    assert two.name == whisper.name == "whisper"
    two.close()


@pytest.mark.speech
def test_a_recording_longer_than_the_window_is_heard_to_its_end(
    whisper: Model, spoken: list[tuple[Request, str]], word_error_rate: WordErrorRate
) -> None:
    chosen = [(request.waveforms["input"], text) for request, text in spoken[:4]]
    pieces = [part for wave, _ in chosen for part in (resample(wave, 16_000).samples, np.zeros(8_000, np.float32))]
    once = np.concatenate(pieces)
    times = int(np.ceil(31 * 16_000 / len(once)))
    long = Request("transcribe", waveforms={"input": Waveform(np.tile(once, times), 16_000)})
    reference = " ".join([text for _, text in chosen] * times)
    assert word_error_rate([reference], whisper.generate([long])) < 0.3


def test_a_bad_sample_costs_only_itself_and_a_silent_one_is_no_error(
    whisper: Model, sound: Callable[..., Request]
) -> None:
    assert isinstance(whisper, Model)
    assert whisper.deterministic
    bad, short = whisper.generate([Request("transcribe"), sound(0.001)])
    assert (bad.status, bad.error) == ("error", "the request has no sound in the role 'input'")
    assert (short.status, short.text) == ("empty", "")
    assert short.timings["total"] >= 0.0


def test_an_english_model_takes_a_request_in_another_language(whisper: Model, sound: Callable[..., Request]) -> None:
    request = sound(0.5)
    english, french = whisper.generate([request, replace(request, language="fr")])
    assert french.status == english.status
    assert french.text == english.text


def test_settings_stand_in_the_name_and_the_fingerprint(whisper: Model) -> None:
    wide = MODELS.create(parse_spec("whisper:beam=2,language=en"))
    assert wide.name == "whisper:beam=2,language=en"
    assert wide.fingerprint != whisper.fingerprint
    wide.close()


def packaged_copy(folder: Path) -> Path:
    """A CTranslate2 folder with the packaged model's files, the weights linked."""
    copy = folder / "ct2"
    copy.mkdir()
    for file in locate(PACKAGED).iterdir():
        if file.name == "model.bin":
            (copy / file.name).symlink_to(file)
        elif file.is_file():
            shutil.copyfile(file, copy / file.name)
    return copy


def test_a_local_folder_with_the_same_files_answers_alike(whisper: Model, tmp_path: Path) -> None:
    folder = packaged_copy(tmp_path)
    spec = parse_spec(f"whisper:model={folder}")
    MODELS.check(spec)
    local = MODELS.create(spec)
    assert local.fingerprint == whisper.fingerprint
    assert local.name == f"whisper:model={folder}"
    local.close()


def test_a_multilingual_folder_takes_its_languages_and_no_others(tmp_path: Path) -> None:
    folder = packaged_copy(tmp_path)
    tokens = (folder / "vocabulary.txt").read_text(encoding="utf-8")
    (folder / "vocabulary.txt").write_text(tokens + "<|more|>\n", encoding="utf-8")
    MODELS.check(parse_spec(f"whisper:model={folder},language=fr"))
    with pytest.raises(UserError, match="'xx' is not a language of"):
        MODELS.check(parse_spec(f"whisper:model={folder},language=xx"))
    (folder / "vocabulary.txt").unlink()
    (folder / "vocabulary.json").write_text("{not json")
    with pytest.raises(UserError, match=r"vocabulary\.json is not a JSON list"):
        MODELS.check(parse_spec(f"whisper:model={folder},language=fr"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("beam=0", "'beam': 0 is less than 1"),
        ("threads=-1", "'threads': -1 is less than 0"),
        ("beam=two", "'two' is not a whole number"),
        ("compute_type=int4", "'int4' is not one of int8"),
        ("language=fr", "'tiny.en' knows English only; leave out language=fr"),
        ("language=xx", "'xx' is not a language of 'tiny.en'"),
        ("model=./none", r"the folder './none' does not exist; give a CTranslate2 Whisper folder, a hub name"),
        ("model=", "the folder '' does not exist"),
        ("mode=x", "takes no setting 'mode'; did you mean 'model'"),
    ],
)
def test_bad_settings_are_found_before_anything_loads(settings: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        MODELS.check(parse_spec(f"whisper:{settings}"))
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_ctranslate2_whisper_is_refused(tmp_path: Path) -> None:
    spec = parse_spec(f"whisper:model={tmp_path}")
    with pytest.raises(UserError, match=r"has no model\.bin, config\.json, tokenizer\.json, vocabulary\.json; give"):
        MODELS.check(spec)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UserError, match="looks like a transformers checkpoint: use transformers-asr:path=FOLDER"):
        MODELS.check(spec)
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).touch()
    for head in (b"", b"\6\0\0\0\xff\xff", b"\6\0\0\0\x10\0TransformerSpec\0"):
        (tmp_path / "model.bin").write_bytes(head)
        with pytest.raises(UserError, match=r"model\.bin is not a CTranslate2 Whisper"):
            MODELS.check(spec)


def test_a_hub_name_without_a_network_names_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(
        UserError, match=r"cannot be fetched from the hub .*give its folder: whisper:model=FOLDER"
    ) as caught:
        MODELS.check(parse_spec("whisper:model=nobody/audiometry-no-such-model"))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="Invalid model size 'tinny'"):
        MODELS.check(parse_spec("whisper:model=tinny"))


def test_a_hub_name_is_fetched_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    import faster_whisper.utils

    kept: list[bool] = []

    def download(_: str, *, local_files_only: bool = False) -> str:
        if local_files_only and not kept:
            raise FileNotFoundError("not here")
        kept.append(local_files_only)
        return str(locate(PACKAGED))

    monkeypatch.setattr(faster_whisper.utils, "download_model", download)
    with caplog.at_level(logging.INFO):
        assert locate("owner/name") == locate(PACKAGED)
        assert locate("owner/name") == locate(PACKAGED)
    assert kept == [False, True]
    assert "owner/name is not on this machine" in caplog.text


def test_what_the_processor_cannot_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctranslate2

    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda _: {"float32", "int8"})
    with pytest.raises(UserError, match="does not support 'int16'; it supports: float32, int8"):
        MODELS.check(parse_spec("whisper:compute_type=int16"))


def test_the_packages_are_asked_for_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"needs the package 'faster_whisper'; .*audiometry\[asr\]"):
        MODELS.check(parse_spec("whisper"))
