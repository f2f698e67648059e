from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import SettingError, UnknownNameError, UserError
from audiometry.benchmark.types import Audio
from audiometry.tasks.conditions import CONDITIONS, apply_condition, conditioned, parse_condition
from audiometry.tasks.corpora.utterance import SpeechCorpus, open_corpus


@pytest.fixture
def listed(tmp_path: Path) -> SpeechCorpus:
    tone = 0.2 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    rows = ["audio,text,speaker"]
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", tone, 16_000)
        rows.append(f"{name}.wav,one two,{name}")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    return open_corpus("manifest", path=str(tmp_path / "list.csv"), language="en")


def test_named_conditions_are_conditions() -> None:
    for name in CONDITIONS:
        assert parse_condition(name, babble="asterisk-en").steps


def test_steps_are_applied_in_order(listed: SpeechCorpus) -> None:
    first, _ = conditioned(listed, "gain/db=-6+gain/db=-14").utterances()
    original = next(iter(listed.utterances()))
    np.testing.assert_allclose(read(first.audio).samples, 0.1 * read(original.audio).samples, atol=1e-6)
    assert (first.id, first.text, first.speaker) == (original.id, original.text, original.speaker)


def test_a_recording_has_one_noise_at_every_ratio(listed: SpeechCorpus) -> None:
    def noise(condition: str, place: int) -> np.ndarray:
        dry = read(list(listed.utterances())[place].audio).samples
        wet = read(list(conditioned(listed, condition).utterances())[place].audio).samples
        return wet - dry

    loud, soft = noise("noise/snr=20", 0), noise("noise/snr=40", 0)
    np.testing.assert_allclose(loud, 10 * soft, atol=1e-5)
    other = noise("noise/snr=20", 1)
    assert abs(np.corrcoef(loud, other)[0, 1]) < 0.05  # another recording draws anew
    same = parse_condition("noise/snr=20")
    audio = next(iter(listed.utterances())).audio
    seeds = [apply_condition(same, audio, key="a", seed=seed).transforms[0].seed for seed in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]


def test_lengths_follow_the_speed() -> None:
    audio = Audio("a.wav", seconds=10.0)
    assert apply_condition(parse_condition("speed/factor=2+tempo/factor=0.5"), audio, key="a").seconds == 10.0
    assert apply_condition(parse_condition("speed/factor=1.25"), audio, key="a").seconds == 8.0
    assert apply_condition(parse_condition("speed/factor=2"), Audio("a.wav"), key="a").seconds is None


def test_what_a_condition_says_of_itself(listed: SpeechCorpus, tmp_path: Path) -> None:
    heard = conditioned(listed, "telephone")
    assert isinstance(heard, SpeechCorpus)
    assert heard.notes == (*listed.notes, "condition: telephone")
    assert heard.describe()["condition"] == "telephone"
    assert (heard.name, heard.language) == ("manifest in telephone", "en")
    assert (heard.licence, heard.citation, heard.synthetic) == (listed.licence, listed.citation, False)
    assert heard.ready()
    told: list[str] = []
    heard.prepare(None, told.append)
    assert "2 recordings" in told[0]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("nois/snr=5", UnknownNameError, "available: babble, band-limit"),
        ("noise", SettingError, "needs the setting 'snr'"),
        ("noise/snr", SettingError, "NAME/key=value"),
        ("noise/snr=5/snr=6", SettingError, "given twice"),
        ("noise/snr=loud", SettingError, "not a number"),
        ("noise/snr=500", SettingError, "-60 to 120 dB"),
        ("noise/snr=5/kind=brown", SettingError, "white, pink, hum"),
        ("noise/snr=5/colour=white", SettingError, "takes no setting 'colour'"),
        ("noise/snr=5++gain/db=3", SettingError, "empty step"),
        ("babble/snr=5", UserError, "corpus=NAME"),
        ("babble/snr=5/corpus=x/digest=1", SettingError, "by itself"),
        ("codec/name=gsm", SettingError, "encoder 'libgsm'"),
        ("codec/name=amr-wb", SettingError, "libvo_amrwbenc"),
        ("codec/name=g722/bitrate=48", SettingError, "one bit rate"),
        ("codec/name=amr-nb/bitrate=5", SettingError, "4.75, 5.15"),
        ("codec/name=opus/bitrate=2", SettingError, "6 to 256"),
        ("band-limit/low=3000/high=300", SettingError, "not below"),
        ("band-limit", SettingError, "low=HZ"),
        ("packet-loss/rate=0.8", SettingError, "bursts of 4 packets"),
        ("reverberation/rt60=0.5/distance=5", SettingError, "0.2 to 3.9 m in a medium room"),
        ("tempo/factor=3", SettingError, "0.5 to 2"),
        ("pitch/semitones=24", SettingError, "-12 to 12"),
        ("clipping/share=1", SettingError, "outside"),
    ],
)
def test_what_is_no_condition_says_how_to_write_one(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as raised:
        parse_condition(text)
    assert "\n" not in str(raised.value)
