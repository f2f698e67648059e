"""Each change of a waveform has the physical property that its name states, and the same seed gives the same bytes."""

from __future__ import annotations

import dataclasses
import doctest
import hashlib
import importlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import chirp, correlate, welch

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import AudioError, DataError
from audiometry.benchmark.types import Audio, Transform, Waveform
from audiometry.tasks.conditions import apply_condition, parse_condition
from audiometry.tasks.corpora.utterance import load_corpus
from audiometry.tasks.transforms import CHANGES, channel, codecs, ffmpeg, noise, rooms, tempo
from audiometry.tasks.transforms.levels import active_speech_level, add_at_snr, rms_level, within_full_scale

RATE = 16_000
DIGEST = "0" * 64


def bursts(rate: int = RATE, level: float = 0.1) -> Waveform:
    """Two seconds of noise in bursts of half a second: speech with pauses, as far as levels go."""
    rng = np.random.default_rng(5)
    gate = (np.arange(2 * rate) // (rate // 2)) % 2 == 0
    return Waveform((level * gate * rng.normal(size=2 * rate)).clip(-1, 1).astype(np.float32), rate)


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tone(frequency: float, seconds: float = 1.0, rate: int = RATE) -> Waveform:
    return Waveform((0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype("f4"), rate)


def peak_frequency(waveform: Waveform) -> float:
    spectrum = np.abs(np.fft.rfft(waveform.samples * np.hanning(len(waveform.samples))))
    return float(np.fft.rfftfreq(len(waveform.samples), 1 / waveform.rate)[np.argmax(spectrum)])


def added(mixed: Waveform, speech: Waveform) -> np.ndarray:
    """The noise in a mix that was not turned down."""
    return mixed.samples.astype(np.float64) - speech.samples


def p56_step_by_step(samples: np.ndarray, rate: int) -> float:
    """ITU-T P.56 as its clause 7 is written: sample by sample, with thresholds a quarter of a dB apart."""
    decay, hangover = np.exp(-1 / (rate * 0.03)), int(np.ceil(0.2 * rate))
    p = q = 0.0
    envelope = []
    for value in samples:
        p = decay * p + (1 - decay) * abs(float(value))
        q = decay * q + (1 - decay) * p
        envelope.append(q)
    energy = float(np.sum(samples.astype(float) ** 2))
    for threshold in np.arange(-90.0, 0.0, 0.25):
        active, since = 0, hangover
        for value in envelope:
            since = 0 if value >= 10 ** (threshold / 20) else since + 1
            active += since <= hangover if since else 1
        level = 10 * np.log10(energy / active)
        if level - threshold <= 15.9:
            return float(level)
    raise AssertionError


@pytest.mark.parametrize(
    "module", ["conditions", "robustness", "transforms.changes", "transforms.levels", "transforms.rooms"]
)
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"audiometry.tasks.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_active_level_is_p56_s() -> None:
    short = bursts(rate=2000)
    assert active_speech_level(short) == pytest.approx(p56_step_by_step(short.samples, 2000), abs=0.1)


@settings(max_examples=20, deadline=None)
@given(st.floats(-60, 6))
def test_louder_speech_is_as_much_louder(db: float) -> None:
    speech = bursts()
    louder = Waveform((speech.samples.astype(np.float64) * 10 ** (db / 20)).astype(np.float32), RATE)
    assert active_speech_level(louder) - active_speech_level(speech) == pytest.approx(db, abs=1e-3)


def test_pauses_do_not_count() -> None:
    speech = bursts()
    paused = Waveform(np.concatenate([speech.samples, np.zeros(10 * RATE, np.float32)]), RATE)
    assert active_speech_level(paused) == pytest.approx(active_speech_level(speech), abs=0.3)
    assert rms_level(paused.samples) < rms_level(speech.samples) - 7
    with pytest.raises(AudioError, match="silent"):
        active_speech_level(Waveform(np.zeros(100, np.float32), RATE))
    assert rms_level(np.zeros(0)) == -np.inf


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["white", "pink", "hum"]), st.floats(-10, 60), st.integers(0, 2**32))
def test_noise_has_the_ratio_that_was_asked_for(kind: str, snr: float, seed: int) -> None:
    speech = bursts(level=0.01)
    mixed = noise.add_noise(speech, draw(seed), snr=snr, kind=kind)  # type: ignore[arg-type]
    measured = active_speech_level(speech) - rms_level(added(mixed, speech))
    assert measured == pytest.approx(snr, abs=0.05)


def test_a_loud_mix_is_turned_down_and_not_clipped() -> None:
    speech = bursts(level=0.2)
    mixed = noise.add_noise(speech, draw(), snr=-20)
    assert np.max(np.abs(mixed.samples)) == pytest.approx(1, abs=1e-6)
    assert np.count_nonzero(np.abs(mixed.samples) > 0.999) < 5
    sound = noise.white_noise(len(speech.samples), draw())
    whole = np.stack([speech.samples, sound], axis=1)
    parts = np.linalg.lstsq(whole, mixed.samples, rcond=None)[0]
    ratio = active_speech_level(speech) + 20 * np.log10(parts[0]) - rms_level(parts[1] * sound)
    assert ratio == pytest.approx(-20, abs=0.05)
    with pytest.raises(AudioError, match="noise is silent"):
        add_at_snr(speech, np.zeros(len(speech.samples)), 5)


def test_spectra_of_noise() -> None:
    length = 30 * RATE
    for sound, slope in ((noise.white_noise(length, draw()), 0.0), (noise.pink_noise(length, RATE, draw()), -10.0)):
        frequencies, power = welch(sound, RATE, nperseg=4096)
        band = (frequencies > 50) & (frequencies < 7000)
        fitted = np.polyfit(np.log10(frequencies[band]), 10 * np.log10(power[band]), 1)[0]  # dB a decade
        assert fitted == pytest.approx(slope, abs=0.3)
    spectrum = np.abs(np.fft.rfft(noise.hum_noise(RATE, RATE, 60.0, draw()))) / (RATE / 2)
    assert np.flatnonzero(spectrum > 0.01).tolist() == [60 * k for k in range(1, 11)]
    np.testing.assert_allclose(spectrum[60:601:60], 1 / np.arange(1, 11), atol=1e-9)
    assert np.count_nonzero(np.abs(np.fft.rfft(noise.hum_noise(800, 800, 60.0, draw()))) > 1) == 6  # below 400 Hz


@pytest.fixture
def voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Audio]:
    """Five tones as the clips of a prepared corpus called ``tones``."""
    audios = []
    for place, frequency in enumerate((200, 400, 600, 800, 1000)):
        path = tmp_path / f"{place}.wav"
        soundfile.write(path, tone(frequency, 0.4).samples, RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        audios.append(Audio(str(path), seconds=0.4, digest=digest))
    monkeypatch.setattr(noise, "load_corpus", lambda name: [_Utterance(f"{name}/{i}", a) for i, a in enumerate(audios)])
    noise._catalogue.cache_clear()
    yield audios
    noise._catalogue.cache_clear()


@dataclasses.dataclass
class _Utterance:
    id: str
    audio: Audio


def test_babble_is_made_of_other_clips(voices: list[Audio]) -> None:
    condition = parse_condition("babble/snr=10/corpus=tones/talkers=5")
    audio = apply_condition(condition, voices[2], key="tones/2")
    assert dict(audio.transforms[0].settings)["without"] == voices[2].digest
    speech, mixed = read(voices[2]), read(audio)
    babble = added(mixed, speech)
    assert active_speech_level(speech) - rms_level(babble) == pytest.approx(10, abs=0.05)
    assert read(audio).samples.tobytes() == mixed.samples.tobytes()
    power = np.abs(np.fft.rfft(babble * np.hanning(len(babble)))) ** 2
    frequencies = np.fft.rfftfreq(len(babble), 1 / RATE)

    def near(f: float) -> float:
        return power[np.abs(frequencies - f) < 20].sum() / power.sum()

    assert near(600) < 0.01
    assert sum(near(f) for f in (200, 400, 800, 1000)) > 0.9


def test_babble_does_not_outlive_its_corpus(voices: list[Audio]) -> None:
    audio = apply_condition(parse_condition("babble/snr=10/corpus=tones"), voices[0], key="a")
    pinned = dict(audio.transforms[0].settings)
    assert pinned["digest"] == noise.corpus_digest("tones")
    other = dataclasses.replace(audio.transforms[0], settings=tuple(sorted((pinned | {"digest": DIGEST}).items())))
    with pytest.raises(AudioError, match="other recordings"):
        read(dataclasses.replace(audio, transforms=(other,)))
    for voice in voices[1:]:
        soundfile.write(voice.path, tone(300, 0.4).samples, RATE)  # the list stays, the sound does not
    noise._clip.cache_clear()
    with pytest.raises(AudioError, match="has changed"):
        read(audio)
    with pytest.raises(AudioError, match="no other clip"):
        noise.babble_noise(100, RATE, [], 1, draw())


def test_babble_needs_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    noise._catalogue.cache_clear()
    monkeypatch.setattr(noise, "load_corpus", lambda _: [_Utterance("a", Audio("a.wav"))])
    with pytest.raises(DataError, match="prepared corpus"):
        noise.corpus_digest("mine")


@pytest.mark.speech
def test_snr_holds_on_recorded_speech() -> None:
    utterances = load_corpus("asterisk-en")[:3]
    for one in utterances:
        speech = read(one.audio)
        for text in ("noise/kind=pink/snr=15", "babble/snr=15/corpus=asterisk-en"):
            mixed = read(apply_condition(parse_condition(text), one.audio, key=one.id))
            assert active_speech_level(speech) - rms_level(added(mixed, speech)) == pytest.approx(15, abs=0.05)


@pytest.mark.parametrize("rt60", [0.3, 0.5, 0.8, 1.2])
@pytest.mark.parametrize("room", list(rooms.ROOMS))
def test_reverberation_time(rt60: float, room: str) -> None:
    found = [
        rooms.reverberation_time(rooms.room_response(rooms.ROOMS[room], rt60, 1.5, RATE, draw(seed)), RATE)
        for seed in range(5)
    ]
    assert np.mean(found) == pytest.approx(rt60, rel=0.15)


def test_the_direct_sound_weakens_with_distance() -> None:
    ratios = []
    for distance in (0.5, 1.0, 2.0, 3.5):
        responses = [rooms.room_response(rooms.ROOMS["medium"], 0.6, distance, RATE, draw(s)) for s in range(5)]
        assert all(one[0] == pytest.approx(1, abs=0.2) for one in responses)
        ratios.append(np.mean([10 * np.log10(one[0] ** 2 / np.sum(one[1:] ** 2)) for one in responses]))
    # at the critical distance 0.057 √(V / RT60) = 0.68 m both are equal; each doubling takes 6 dB
    assert ratios[0] == pytest.approx(20 * np.log10(0.68 / 0.5), abs=1.5)
    np.testing.assert_allclose(np.diff(ratios)[:2], -6, atol=1)


def test_image_sources_are_where_they_are_in_space() -> None:
    size, mouth, ear = (3.0, 4.0, 2.5), np.array([1.0, 1.5, 1.2]), np.array([2.0, 3.0, 1.4])
    distances, orders = rooms.image_sources(size, mouth, ear, 9.0)
    expected = []
    for cell in np.ndindex(9, 9, 9):
        n = np.array(cell) - 4  # the cell that the image lies in: mirrored in each odd direction
        place = np.where(n % 2 == 0, n * size + mouth, (n + 1) * size - mouth)
        if np.linalg.norm(place - ear) <= 9.0:
            expected.append((np.linalg.norm(place - ear), int(np.abs(n).sum())))
    assert len(distances) == len(expected)
    np.testing.assert_allclose(np.sort(distances), np.sort([d for d, _ in expected]))
    assert sorted(orders.tolist()) == sorted(n for _, n in expected)


def test_reverberation_keeps_length_time_and_level() -> None:
    speech = bursts(level=0.02)
    heard = rooms.add_reverberation(speech, draw(), rt60=0.3, distance=0.3, room="large")
    assert len(heard.samples) == len(speech.samples)
    assert np.argmax(correlate(heard.samples, speech.samples)) == len(speech.samples) - 1
    assert active_speech_level(heard) == pytest.approx(active_speech_level(speech), abs=1.5)


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "g711-mulaw", "g711-alaw", "g722", "amr-nb"])
def test_codecs_keep_length_time_and_most_of_the_sound(name: str) -> None:
    at = np.arange(2 * RATE) / RATE
    sweep = Waveform((0.3 * chirp(at, 300, 2, 3000) * np.hanning(len(at))).astype(np.float32), RATE)
    coded = codecs.apply_codec(sweep, draw(), name=name)  # type: ignore[arg-type]
    assert len(coded.samples) == len(sweep.samples)
    across = correlate(coded.samples.astype(float), sweep.samples.astype(float))
    assert abs(int(np.argmax(across)) - len(sweep.samples) + 1) <= 1  # samples
    likeness = across.max() / np.linalg.norm(coded.samples) / np.linalg.norm(sweep.samples)
    assert likeness > (0.9 if name in ("amr-nb", "opus") else 0.99)
    assert coded.samples.tobytes() == codecs.apply_codec(sweep, draw(1), name=name).samples.tobytes()  # type: ignore[arg-type]


def test_telephone_codecs_have_telephone_bands_and_errors() -> None:
    sound = Waveform((0.1 * draw().normal(size=2 * RATE)).clip(-1, 1).astype(np.float32), RATE)
    for name in ("g711-mulaw", "g711-alaw", "amr-nb"):
        frequencies, power = welch(codecs.apply_codec(sound, draw(), name=name).samples, RATE)  # type: ignore[arg-type]
        assert power[frequencies > 4300].mean() < 1e-4 * power[(frequencies > 500) & (frequencies < 3000)].mean()
    narrow = tone(1013, rate=8000)
    error = codecs.apply_codec(narrow, draw(), name="g711-mulaw").samples - narrow.samples
    assert rms_level(narrow.samples) - rms_level(error) == pytest.approx(38, abs=1.5)  # G.711's 38 dB


def test_fewer_bits_sound_worse() -> None:
    sound = bursts(level=0.05)

    def likeness(bitrate: float) -> float:
        coded = codecs.apply_codec(sound, draw(), name="mp3", bitrate=bitrate)
        return float(np.corrcoef(coded.samples, sound.samples)[0, 1])

    assert likeness(8) < likeness(32) < likeness(128)


def test_a_codec_that_is_missing_is_named() -> None:
    assert "gsm" not in codecs.available_codecs()
    assert ffmpeg.has_decoder("gsm")
    assert not ffmpeg.has_encoder("libgsm")


def test_other_libraries_are_an_error() -> None:
    for name, chosen in (("codec", {"name": "mp3"}), ("tempo", {"factor": 1.1}), ("pitch", {"semitones": 1.0})):
        with pytest.raises(AudioError, match="planned with libavcodec 1"):
            CHANGES[name].apply(tone(300), draw(), **chosen, library="libavcodec 1")


def test_another_version_of_a_change_is_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(300).samples, RATE)
    old = Transform("gain", (("db", -3.0), ("version", "0")))
    with pytest.raises(AudioError, match="version 0 and is 1 here"):
        read(Audio(str(tmp_path / "a.wav"), transforms=(old,)))


def test_band_limit() -> None:
    sound = Waveform((0.1 * draw().normal(size=4 * RATE)).clip(-1, 1).astype(np.float32), RATE)
    heard = channel.limit_band(sound, draw(), low=300, high=3400)
    frequencies, power = welch(heard.samples, RATE, nperseg=4096)
    _, before = welch(sound.samples, RATE, nperseg=4096)
    gain = 10 * np.log10(power / before)
    assert np.abs(gain[(frequencies > 400) & (frequencies < 2800)]).max() < 0.5
    assert gain[(frequencies > 20) & (frequencies < 150)].max() < -40
    assert gain[frequencies > 5000].max() < -40
    edge = np.argmin(np.abs(frequencies - 3400))
    assert gain[edge] == pytest.approx(-6, abs=1)
    assert np.argmax(correlate(heard.samples, sound.samples)) == len(sound.samples) - 1
    same = channel.limit_band(sound, draw(), high=8000)
    assert same.samples.tobytes() == sound.samples.tobytes()
    with pytest.raises(AudioError, match="nothing is left above"):
        channel.limit_band(sound, draw(), low=9000)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.9))
def test_clipping_holds_the_share_asked_for(share: float) -> None:
    sound = tone(313)
    heard = channel.clip(sound, draw(), share=share)
    peak = np.abs(heard.samples).max()
    assert np.mean(np.abs(heard.samples) >= peak * (1 - 1e-6)) == pytest.approx(share, abs=0.002)
    loose = np.abs(heard.samples) < peak * (1 - 1e-6)
    assert (heard.samples[loose] == sound.samples[loose]).all()


def test_clipping_and_gain_say_when_they_cannot() -> None:
    with pytest.raises(AudioError, match="silent"):
        channel.clip(Waveform(np.append(np.zeros(99), 1).astype(np.float32), RATE), draw(), share=0.5)
    with pytest.raises(AudioError, match=r"would clip: the peak would lie at \+9.5 dBFS"):
        channel.change_gain(tone(300), draw(), db=20)
    assert rms_level(channel.change_gain(tone(300), draw(), db=-13).samples) == pytest.approx(
        rms_level(tone(300).samples) - 13, abs=1e-4
    )
    assert within_full_scale(np.zeros(0), RATE).seconds == 0


@pytest.mark.parametrize(("rate", "burst"), [(0.05, 1.0), (0.2, 1.25), (0.2, 3.0), (0.5, 4.0)])
def test_losses_have_their_rate_and_their_bursts(rate: float, burst: float) -> None:
    lost = np.array(channel.lost_packets(200_000, rate, burst, draw()))
    assert lost.mean() == pytest.approx(rate, rel=0.03)
    begins = np.count_nonzero(np.diff(lost.astype(int)) == 1)
    assert lost.sum() / begins == pytest.approx(burst, rel=0.03)


def test_lost_packets_are_silent_or_repeated() -> None:
    sound = Waveform(np.linspace(0.1, 0.9, RATE, dtype=np.float32), RATE)
    silent = channel.lose_packets(sound, draw(3), rate=0.3)
    repeated = channel.lose_packets(sound, draw(3), rate=0.3, conceal="repeat")
    before = sound.samples.reshape(-1, 320)
    lost = (silent.samples.reshape(-1, 320) == 0).all(axis=1)
    assert 0.15 < lost.mean() < 0.45
    assert (silent.samples.reshape(-1, 320)[~lost] == before[~lost]).all()
    place = int(np.flatnonzero(lost & ~np.append(False, lost[:-1]))[1])
    assert (repeated.samples.reshape(-1, 320)[place] == before[place - 1]).all()


@pytest.mark.parametrize("factor", [0.8, 1.25, 1.9])
def test_speed_and_tempo(factor: float) -> None:
    sound = tone(500, 2.0)
    fast, stretched = (
        tempo.change_speed(sound, draw(), factor=factor),
        tempo.change_tempo(sound, draw(), factor=factor),
    )
    assert fast.seconds == pytest.approx(2 / factor, abs=0.001)
    assert stretched.seconds == pytest.approx(2 / factor, abs=0.05)
    assert peak_frequency(fast) == pytest.approx(500 * factor, rel=0.005)
    assert peak_frequency(stretched) == pytest.approx(500, rel=0.005)


@pytest.mark.parametrize("semitones", [-5.0, 3.0, 12.0])
def test_pitch(semitones: float) -> None:
    heard = tempo.change_pitch(tone(500, 2.0), draw(), semitones=semitones)
    assert heard.seconds == 2.0
    assert peak_frequency(heard) == pytest.approx(500 * 2 ** (semitones / 12), rel=0.01)


EVERY = (
    "noise/kind=white/snr=5", "noise/kind=pink/snr=5", "noise/kind=hum/snr=5", "reverberation/rt60=0.4/distance=1",
    "codec/name=opus/bitrate=12", "band-limit/low=300", "clipping/share=0.1", "packet-loss/rate=0.2", "gain/db=-3",
    "speed/factor=1.1", "tempo/factor=1.1", "pitch/semitones=2", "spoof-equalisation/level=E3",
)  # fmt: skip


@pytest.mark.parametrize("text", EVERY)
def test_same_seed_same_bytes(text: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", bursts().samples, RATE)
    condition, audio = parse_condition(text), Audio(str(tmp_path / "a.wav"), digest=DIGEST)
    first, again, other = (read(apply_condition(condition, audio, key=key)) for key in ("a", "a", "b"))
    assert first.samples.tobytes() == again.samples.tobytes()
    assert first.samples.dtype == np.float32
    assert np.abs(first.samples).max() <= 1
    drawn = text.startswith(("noise", "reverberation", "packet-loss", "spoof-equalisation"))
    assert (first.samples.tobytes() != other.samples.tobytes()) == drawn
    assert len(EVERY) - 2 + 1 == len(CHANGES)  # three kinds of noise, and babble on its own above
