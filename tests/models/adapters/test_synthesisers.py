"""The synthesisers, and what they share."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiometry.benchmark.errors import AudioError, SettingError, UserError
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import Model, Output, Request, Waveform
from audiometry.models.adapters import common, flite
from audiometry.models.adapters.one_by_one import OneByOne, sound_of, text_of

TEXT = "Hello big world, there are twelve dogs."


def say(model: str, *texts: str, **more: Any) -> list[Output]:
    made = MODELS.create(parse_spec(model))
    assert isinstance(made, Model)
    outputs = made.generate([Request("synthesize", text=text, **more) for text in texts])
    made.close()
    return outputs


def same(first: Output, second: Output) -> bool:
    assert first.audio is not None
    assert second.audio is not None
    return np.array_equal(first.audio.samples, second.audio.samples)


@pytest.mark.parametrize("model", ["hibari", "espeak-ng"])
def test_a_text_sounds_alike_whatever_was_said_before(model: str) -> None:
    first, _, again, nothing = say(model, TEXT, "Something else entirely.", TEXT, " ... ")
    assert first.status == "ok"
    assert first.audio is not None
    assert 1.5 < first.audio.seconds < 5.0
    assert 0.05 < np.abs(first.audio.samples).max() <= 1.0
    assert first.timings["total"] > 0
    assert same(first, again)
    assert same(first, say(model, TEXT)[0])
    assert nothing.status == "empty"


def test_hibaris_noise_is_the_seeds() -> None:
    made = MODELS.create(parse_spec("hibari"))
    assert not made.deterministic
    one, same_seed, other = made.generate([Request("synthesize", text=TEXT, seed=seed) for seed in (1, 1, 2)])
    assert same(one, same_seed)
    assert not same(one, other)


def test_settings_change_the_voice_and_the_fingerprint() -> None:
    def seconds(model: str) -> float:
        audio = say(model, TEXT)[0].audio
        assert audio is not None
        return audio.seconds

    assert seconds("hibari:speed=0.5") > 1.5 * seconds("hibari")
    assert seconds("espeak-ng:rate=100") > 1.3 * seconds("espeak-ng")
    assert not same(say("espeak-ng:pitch=90", TEXT)[0], say("espeak-ng", TEXT)[0])
    names = ("hibari", "hibari:speed=0.5", "espeak-ng", "espeak-ng:pitch=90", "espeak-ng:voice=it")
    prints = {MODELS.fingerprint(parse_spec(name)) for name in names}
    assert len(prints) == len(names)
    assert MODELS.create(parse_spec("espeak-ng:pitch=90")).name == "espeak-ng:pitch=90"
    assert MODELS.create(parse_spec("espeak-ng")).fingerprint == MODELS.fingerprint(parse_spec("espeak-ng"))


def test_espeak_tells_when_it_says_what() -> None:
    said = say("espeak-ng", "Hello world.")[0]
    assert said.audio is not None
    words = [one for one in said.segments if one.label.startswith("word:")]
    assert [one.label for one in words] == ["word:Hello", "word:world"]
    assert [one.start for one in said.segments] == sorted(one.start for one in said.segments)
    assert all(0 <= one.start < one.end <= said.audio.seconds for one in said.segments)
    inside = [one for one in said.segments if one.label.startswith("phoneme:") and one.end <= words[0].end]
    assert inside[0].label == "phoneme:h"
    assert len(inside) == 4


def test_espeak_speaks_the_requests_language() -> None:
    english, italian = (say("espeak-ng", "pane", language=language)[0] for language in ("en", "it"))
    assert not same(english, italian)
    assert same(say("espeak-ng:voice=it", "pane", language="en")[0], italian)
    unknown = say("espeak-ng", "pane", language="xx")[0]
    assert unknown.status == "error"
    assert "no voice 'xx'" in str(unknown.error)


@pytest.mark.parametrize("model", ["hibari", "flite"])
def test_english_voices_refuse_other_languages(model: str, flite_program: Path) -> None:
    spec = f"flite:program={flite_program}" if model == "flite" else model
    answer = say(spec, "pane", language="it")[0]
    assert (answer.status, "speaks English only" in str(answer.error)) == ("error", True)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("hibari:voice=nobody", "no voice 'nobody'; there are: emma"),
        ("hibari:speed=3", "'speed': 3 is outside 0.5 to 2"),
        ("hibari:threads=-1", "threads"),
        ("espeak-ng:voice=xx", "no voice 'xx'"),
        ("espeak-ng:voice=en-us+nobody", r"no voice 'en-us\+nobody'"),
        ("espeak-ng:rate=10", "rate: 10 is outside 80 to 450"),
        ("espeak-ng:pitch=101", "pitch: 101 is outside 0 to 100"),
        ("flite:stretch=0.1", "'stretch': 0.1 is outside"),
        ("flite:pitch=2", "'pitch': 2 Hz is outside 40 to 500"),
        ("flite:program=/nowhere/flite", "'/nowhere/flite' is no program"),
    ],
)
def test_bad_settings_are_refused_before_anything_starts(spec: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        MODELS.check(parse_spec(spec))


def test_a_voice_that_cannot_be_fetched_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import hibari.voices

    def offline(*_: object, **__: object) -> str:
        raise RuntimeError("could not download it")

    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    monkeypatch.setattr(hibari.voices, "download", offline)
    with pytest.raises(SettingError, match=r"'emma' is not in the package and cannot be fetched .could not download"):
        MODELS.check(parse_spec("hibari:voice=emma"))


@pytest.mark.parametrize(("model", "extra"), [("hibari", "synthetic"), ("espeak-ng", "text")])
def test_the_packages_are_asked_for(model: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=rf"audiometry\[{extra}\]"):
        MODELS.check(parse_spec(model))


def test_a_request_without_text_or_sound_is_that_samples_error() -> None:
    model = OneByOne("x", "x", frozenset({"synthesize"}), lambda request: Output(text=text_of(request)))
    without, with_text = model.generate([Request("synthesize"), Request("synthesize", text=" hi ")])
    assert (without.status, without.error) == ("error", "ValueError: the request has no text to say")
    assert with_text.text == "hi"
    sound = Waveform(np.zeros(8, np.float32), 8000)
    assert sound_of(Request("rate", waveforms={"input": sound}), "candidate", "input") is sound
    with pytest.raises(AudioError, match="no sound in the role 'voice'"):
        sound_of(Request("rate", waveforms={"input": sound}), "voice")


PROGRAM = """#!/bin/sh
# writes the sound that lies beside it, prints the times of its phonemes; fails for one text
while [ $# -gt 0 ]; do
  case "$1" in -t) text="$2"; shift;; -o) out="$2"; shift;; esac
  shift
done
[ "$text" = "fail" ] && { echo "no such luck" >&2; exit 3; }
cp "$(dirname "$0")/sound.wav" "$out"
echo "pau:0.100 hh:0.250 ay:0.400 pau:0.500 "
"""


@pytest.fixture
def flite_program(tmp_path: Path) -> Path:
    """A program that behaves as Flite does on the command line."""
    import soundfile

    soundfile.write(tmp_path / "sound.wav", np.full(8000, 0.1), 16000)
    program = tmp_path / "flite"
    program.write_text(PROGRAM)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_flite_is_a_program_that_tells_its_phonemes(flite_program: Path) -> None:
    said, failed, nothing = say(f"flite:program={flite_program},pitch=120,stretch=1.5", "Hi.", "fail", " ")
    assert said.audio is not None
    assert (said.audio.rate, said.audio.seconds) == (16000, 0.5)
    assert [(one.label, one.start, one.end) for one in said.segments] == [
        ("phoneme:hh", 0.1, 0.25), ("phoneme:ay", 0.25, 0.4),
    ]  # fmt: skip
    assert (failed.status, failed.error) == ("error", "RuntimeError: flite made no sound: no such luck")
    assert nothing.status == "empty"


@pytest.mark.parametrize("printed", ["hh", "hh:0.2 ay:0.1", "hh:x"])
def test_times_that_make_no_sense_are_an_error(printed: str) -> None:
    with pytest.raises(ValueError, match=r"could not convert|do not rise"):
        flite.phone_segments(printed)
    assert flite.phone_segments(" \n") == ()


def test_flite_on_the_path_is_taken(flite_program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{flite_program.parent}:/usr/bin:/bin")
    assert flite._locate("") == (flite_program, None)
    assert say("flite", "Hi.")[0].status == "ok"


def package(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """A Debian package as an `ar` archive of a tar."""
    import io
    import tarfile

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(f"./{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    content = data.getvalue()
    header = f"{'data.tar':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}".encode() + b"`\n"
    path = folder / f"{name}_1_all.deb"
    path.write_bytes(b"!<arch>\n" + header + content)
    return path


def test_without_one_debians_is_unpacked_once(
    flite_program: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def download(packages: tuple[str, ...], folder: Path, *_: object) -> dict[str, Path]:
        asked.append(tuple(packages))
        held = {
            "flite": {"usr/bin/flite": flite_program.read_bytes(), "usr/bin/flite_time": b"x"},
            "libflite1": {"usr/lib/x86_64-linux-gnu/libflite_cmulex.so.2.2": b"lex", "usr/share/doc/x": b"x"},
            "libasound2": {"usr/lib/x86_64-linux-gnu/libasound.so.2.0.0": b"alsa"},
        }
        return {name: package(folder, name, files) for name, files in held.items()}

    monkeypatch.setattr(flite, "apt_download", download)
    monkeypatch.setattr(flite.shutil, "which", lambda _: None)
    for _ in range(2):
        MODELS.check(parse_spec("flite"))
    program, library = flite._locate("")
    assert asked == [flite.PACKAGES]
    assert library is not None
    assert program.is_relative_to(home)
    assert sorted(file.name for file in library.iterdir()) == ["libasound.so.2", "libflite_cmulex.so.1"]
    (program.parent / "sound.wav").write_bytes((flite_program.parent / "sound.wav").read_bytes())
    assert subprocess.run([program, "-t", "x", "-o", tmp_path / "o.wav"], check=True).returncode == 0
    assert flite._environment(library)["LD_LIBRARY_PATH"] == str(library)


def test_where_there_is_none_the_message_says_how_to_get_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        UserError, match=r"no program flite on the PATH, and this machine has no apt-get.*install flite"
    ):
        MODELS.check(parse_spec("flite"))
