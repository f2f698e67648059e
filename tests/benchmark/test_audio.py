from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from audiometry.benchmark import audio
from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.registry import TRANSFORMS, transform
from audiometry.benchmark.types import Audio, Transform, Waveform

RATE = 16_000


def tone(seconds: float = 1.0, rate: int = RATE, frequency: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(), RATE, subtype="FLOAT")
    return path


def test_a_file_is_read_as_it_is(wav: Path) -> None:
    read = audio.read_file(wav)
    assert read.rate == RATE
    np.testing.assert_array_equal(read.samples, tone())
    assert read.seconds == audio.probe_seconds(wav) == 1.0


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_formats_of_soundfile(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(), RATE)
    read = audio.read_file(path)
    assert read.rate == RATE
    assert np.corrcoef(read.samples[2000:12000], tone()[2000:12000])[0, 1] > 0.95


def test_g722_and_containers_are_read_by_ffmpeg(tmp_path: Path) -> None:
    for suffix, codec, options in (("g722", "g722", {}), ("m4a", "aac", {})):
        path = tmp_path / f"tone.{suffix}"
        with av.open(str(path), "w", format={"g722": "g722", "m4a": "mp4"}[suffix]) as container:
            stream = container.add_stream(codec, rate=RATE, layout="mono", **options)
            frame = av.AudioFrame.from_ndarray(tone()[None, :], format="fltp", layout="mono")
            frame.sample_rate = RATE
            resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE,
                                          frame_size=stream.codec_context.frame_size or 320)  # fmt: skip
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
        read = audio.read_file(path)
        assert read.rate == RATE
        assert read.seconds == pytest.approx(1.0, abs=0.15)
        assert np.abs(np.fft.rfft(read.samples[:RATE])).argmax() == pytest.approx(440, abs=5)
        assert audio.probe_seconds(path) == pytest.approx(read.seconds, abs=0.05)


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(), -tone() / 2], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(audio.read_file(path).samples, tone() / 4, atol=1e-7)


def test_spans_are_cut(wav: Path) -> None:
    np.testing.assert_array_equal(audio.read_file(wav, start=0.25, end=0.5).samples, tone()[4000:8000])
    np.testing.assert_array_equal(audio.read_file(wav, start=0.75).samples, tone()[12000:])
    with pytest.raises(AudioError, match=r"span 0\.5 to 0\.5 s is empty"):
        audio.read_file(wav, start=0.5, end=0.5)
    with pytest.raises(AudioError, match="holds no sound after 7 s"):
        audio.read_file(wav, start=7)


def test_resampling_keeps_the_tone(wav: Path) -> None:
    half = audio.read(Audio(str(wav)), rate=8000)
    assert (half.rate, len(half.samples)) == (8000, 8000)
    np.testing.assert_allclose(half.samples[500:-500], tone(rate=8000)[500:-500], atol=1e-3)
    assert audio.resample(half, 8000) is half


def test_wav_bytes_are_16_bit(wav: Path) -> None:
    content = audio.encode_wav(Waveform(np.array([0.5, 2.0, -2.0], np.float32), RATE))
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getsampwidth(), file.getframerate(), file.getnchannels()) == (2, RATE, 1)
        assert struct.unpack("<3h", file.readframes(3)) == (16384, 32767, -32768)


def test_any_file_system(wav: Path) -> None:
    assert audio.read_file(f"file://{wav}").seconds == 1.0
    with pytest.raises(AudioError, match="cannot be opened"):
        audio.read_file("nosuchscheme://x.wav")


def test_transforms_are_seeded_and_in_order(wav: Path) -> None:
    @transform("test-noise")
    def noise(waveform: Waveform, generator: np.random.Generator, *, level: float) -> Waveform:
        """Add noise."""
        added = level * generator.standard_normal(len(waveform.samples))
        return Waveform((waveform.samples + added).astype(np.float32), waveform.rate)

    try:
        step = Transform("test-noise", (("level", 0.1),), seed=3)
        first = audio.read(Audio(str(wav), transforms=(step,)))
        again = audio.read(Audio(str(wav), transforms=(step,)))
        np.testing.assert_array_equal(first.samples, again.samples)
        assert np.std(first.samples - tone()) == pytest.approx(0.1, rel=0.1)
    finally:
        TRANSFORMS._entries.pop("test-noise")


def riff(*, rate: int = RATE, channels: int = 1, claimed: int | None = None, data: bytes = b"\0" * 3200) -> bytes:
    size = len(data) if claimed is None else claimed
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", min(size + 36, 2**32 - 1), b"WAVE", b"fmt ", 16, 1, channels,
                         rate, rate * channels * 2, channels * 2, 16, b"data", size)  # fmt: skip
    return header + data


NAN = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 40, b"WAVE", b"fmt ", 16, 3, 1, RATE, RATE * 4, 4, 32,
                  b"data", 40) + struct.pack("<10f", *[float("nan")] * 10)  # fmt: skip

CORRUPT = {
    "nothing at all": b"",
    "zero bytes": b"\0" * 5000,
    "text renamed": b"this is a transcript and no sound\n" * 40,
    "header only": riff(data=b""),
    "rate of zero": riff(rate=0),
    "rate of a billion": riff(rate=1_000_000_000),
    "64 channels": riff(channels=64, data=b"\0" * 12800),
    "not numbers": NAN,
    "header cut": riff()[:20],
    "half an ogg": b"OggS" + b"\1" * 300,
    "half a flac": b"fLaC" + b"\0" * 300,
}


@pytest.mark.parametrize("kind", sorted(CORRUPT))
def test_corrupt_files_say_why(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "corrupt.wav"
    path.write_bytes(CORRUPT[kind])
    with pytest.raises(AudioError, match=r"corrupt\.wav: .+"):
        audio.read_file(path)


def test_a_header_that_claims_a_gigabyte_costs_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "liar.wav"
    path.write_bytes(riff(claimed=2**30))
    tracemalloc.start()
    with pytest.raises(AudioError, match="cut off: its header promises 1073741824 bytes of sound, 3200 are there"):
        audio.read_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_a_length_that_was_not_known_is_no_lie(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    path.write_bytes(riff(claimed=0xFFFFFFFF))
    assert audio.read_file(path).seconds == 0.1


@pytest.mark.slow
def test_hundreds_of_damaged_files_are_errors_or_sound_and_never_crash(tmp_path: Path) -> None:
    """Cut and overwritten anywhere: each gives sound or an AudioError with a reason."""
    generator = np.random.default_rng(5)
    for suffix in ("wav", "flac", "ogg", "mp3"):
        whole = tmp_path / f"whole.{suffix}"
        soundfile.write(whole, tone(0.3), RATE)
        content = whole.read_bytes()
        for number in range(75):
            damaged = bytearray(content)
            if number % 3 == 0:
                damaged = damaged[: generator.integers(len(damaged))]
            else:
                place = int(generator.integers(60 if number % 3 == 1 else len(damaged)))
                damaged[place : place + 8] = generator.bytes(8)
            path = tmp_path / f"damaged-{number}.{suffix}"
            path.write_bytes(bytes(damaged))
            try:
                read = audio.read_file(path)
            except AudioError as error:
                reason = str(error)
                assert reason.startswith(str(path)), reason
            else:
                assert np.isfinite(read.samples).all()
                assert read.seconds <= audio.MAX_SECONDS


def test_a_cut_file_is_an_error_or_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, tone(3.0), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError):
        audio.read_file(path)


def test_missing_files_and_video_without_sound(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="cannot be opened: No such file"):
        audio.read_file(tmp_path / "none.wav")
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match="has no audio stream"):
        audio.read_file(path)
