from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiometry.benchmark.audio import encode_wav
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.model_kinds import ControlModel
from audiometry.benchmark.registry import MODELS, Spec, parse_spec
from audiometry.benchmark.types import Ability, Output, Request, Waveform


def make(folder: Path, content: str, name: str = "answers.csv", **settings: str) -> Any:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    spec = Spec("outputs", tuple(sorted({"path": str(path), **settings}.items())))
    MODELS.check(spec)
    return MODELS.create(spec)


def ask(model: Any, ability: Ability, *names: str) -> list[Output]:
    outputs: list[Output] = model.generate([Request(ability) for _ in names], list(names))
    return outputs


def test_outputs_is_a_ranked_model_that_is_told_the_sample() -> None:
    entry = MODELS.get("outputs")
    assert not entry.control
    assert entry.given == "sample id"


def test_each_ability_has_its_column(tmp_path: Path) -> None:
    model = make(tmp_path, "id,text,score,label,rating\na,hello there,0.5,angry,3\nb, ,-1,,2\n")
    assert isinstance(model, ControlModel)
    assert model.deterministic
    assert model.abilities == {"transcribe", "respond", "detect", "classify", "rate"}
    first, second = ask(model, "transcribe", "a", "b")
    assert (first.status, first.text) == ("ok", "hello there")
    assert (second.status, second.text) == ("empty", "")
    assert [output.text for output in ask(model, "respond", "a", "b")] == ["hello there", ""]
    assert [output.score for output in ask(model, "detect", "b", "a")] == [-1.0, 0.5]
    assert [output.score for output in ask(model, "rate", "a", "b")] == [3.0, 2.0]
    first, second = ask(model, "classify", "a", "b")
    assert first.labels == {"angry": 1.0}
    assert second.status == "empty"
    assert all("total" in output.timings for output in ask(model, "rate", "a"))
    model.close()
    assert ask(model, "transcribe", "a")[0].status == "error"


def test_sound_is_read_and_what_cannot_be_read_is_that_samples_error(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    tone = np.sin(np.arange(800) / 8.0).astype(np.float32) / 2
    (tmp_path / "made" / "a.wav").write_bytes(encode_wav(Waveform(tone, 8_000)))
    (tmp_path / "made" / "b.wav").write_bytes(b"not sound")
    model = make(tmp_path, "id,audio,text\na,made/a.wav,hi\nb,made/b.wav,\n")
    assert model.abilities == {"transcribe", "respond", "synthesize", "convert"}
    good, bad = ask(model, "synthesize", "a", "b")
    assert good.audio.rate == 8_000
    np.testing.assert_allclose(good.audio.samples, tone, atol=1e-4)
    assert bad.status == "error"
    assert "b.wav" in bad.error
    spoken = ask(model, "respond", "a")[0]
    assert (spoken.status, spoken.text) == ("ok", "hi")
    assert spoken.audio is not None


def test_a_spoken_reply_needs_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encode_wav(Waveform(np.zeros(80, np.float32), 8_000)))
    reply = ask(make(tmp_path, "id,audio\na,a.wav\n"), "respond", "a")[0]
    assert (reply.status, reply.text) == ("ok", None)
    assert reply.audio is not None


def test_a_status_is_handed_on(tmp_path: Path) -> None:
    model = make(tmp_path, "id,text,status,error\na,,refused,\nb,,,no memory\nc,late,timeout,\n")
    outputs = ask(model, "transcribe", "a", "b", "c")
    assert [(one.status, one.text, one.error) for one in outputs] == [
        ("refused", "", None),
        ("error", "", "no memory"),
        ("timeout", "late", None),
    ]


def test_a_sample_without_an_answer_and_an_ability_without_a_column_are_errors(tmp_path: Path) -> None:
    model = make(tmp_path, "id,text\na,hello\n")
    missing, found = ask(model, "transcribe", "z", "a")
    assert missing.status == "error"
    assert missing.error == f"no answer for 'z' in {tmp_path / 'answers.csv'}"
    assert found.text == "hello"
    assert "has no column score, which detect needs" in ask(model, "detect", "a")[0].error
    assert "has no column answer to it, which embed needs" in ask(model, "embed", "a")[0].error


def test_an_id_may_leave_out_leading_parts_but_no_others(tmp_path: Path) -> None:
    model = make(tmp_path, "id,text\ndigits/1,one\nset/digits/2,two\nother/3,three\n")
    outputs = ask(model, "transcribe", "set/digits/1", "set/digits/2", "set/digits/3")
    assert [output.text for output in outputs] == ["one", "two", None]
    assert outputs[2].status == "error"


def test_the_whole_id_is_meant_before_a_part_of_it(tmp_path: Path) -> None:
    model = make(tmp_path, "id,text\n1,part\nset/1,whole\n")
    assert ask(model, "transcribe", "set/1")[0].text == "whole"
    assert ask(model, "transcribe", "1")[0].text == "part"


def test_one_answer_is_never_given_to_two_samples(tmp_path: Path) -> None:
    model = make(tmp_path, "id,text\nat,at\n")
    first, second, again = ask(model, "transcribe", "set/digits/at", "set/letters/at", "set/digits/at")
    assert (first.text, again.text) == ("at", "at")
    assert second.status == "error"
    assert "may answer 'set/digits/at' or 'set/letters/at'; add a column id" in second.error


def test_a_sound_files_name_needs_only_its_last_part_and_its_folders_decide(tmp_path: Path) -> None:
    model = make(tmp_path, "file,text\n/data/digits/at.wav,sign\n/data/letters/at.wav,letter\nout/x.wav,ex\n")
    outputs = ask(model, "transcribe", "set/letters/at", "set/digits/at", "set/x", "set/other/at")
    assert [output.text for output in outputs[:3]] == ["letter", "sign", "ex"]
    assert outputs[3].status == "error"
    assert "line 2 and line 3 may both answer 'set/other/at'" in outputs[3].error


def test_the_name_is_the_setting_or_the_label(tmp_path: Path) -> None:
    plain = make(tmp_path, "id,text\na,x\n")
    assert plain.name == f"outputs:path={tmp_path / 'answers.csv'}"
    assert make(tmp_path, "id,text\na,x\n", label="our system").name == "our system"


def test_the_fingerprint_follows_the_file_and_the_sound(tmp_path: Path) -> None:
    first = make(tmp_path, "id,text\na,x\n").fingerprint
    assert make(tmp_path, "id,text\na,x\n").fingerprint == first
    assert make(tmp_path, "id,text\na,xy\n").fingerprint != first
    sound = tmp_path / "a.wav"
    sound.write_bytes(encode_wav(Waveform(np.zeros(80, np.float32), 8_000)))
    first = make(tmp_path, "id,audio\na,a.wav\n").fingerprint
    sound.write_bytes(encode_wav(Waveform(np.ones(81, np.float32), 8_000)))
    assert make(tmp_path, "id,audio\na,a.wav\n").fingerprint != first


def test_a_challenges_score_file(tmp_path: Path) -> None:
    model = make(tmp_path, "LA_E_1 - bonafide 2.5\nLA_E_2 A10 spoof -7.25\n", name="scores.txt")
    assert model.abilities == {"detect"}
    assert [output.score for output in ask(model, "detect", "la/LA_E_2", "la/LA_E_1")] == [-7.25, 2.5]


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ("", SettingError, "needs the setting 'path'"),
        ("path=no.csv", DataError, r"'no\.csv' does not exist"),
        ("path=x,format=xml", SettingError, "'xml' is not one of auto, jsonl"),
    ],
)
def test_bad_settings_are_found_before_anything_loads(settings: str, error: type[Exception], told: str) -> None:
    spec = parse_spec(f"outputs:{settings}" if settings else "outputs")
    with pytest.raises(error, match=told):
        MODELS.check(spec)
