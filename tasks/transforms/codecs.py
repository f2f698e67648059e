"""`codec`: sound as it is after a speech or music codec, by FFmpeg's own encoders and decoders."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import resample
from audiometry.benchmark.errors import AudioError, SettingError
from audiometry.benchmark.types import Audio, FloatArray, Waveform
from audiometry.tasks.transforms.changes import Settings, change
from audiometry.tasks.transforms.ffmpeg import check_ffmpeg, ffmpeg_version, has_decoder, has_encoder
from audiometry.tasks.transforms.levels import within_full_scale

__all__ = ["CODECS", "Codec", "apply_codec", "available_codecs"]

Name = Literal["mp3", "opus", "aac", "g711-mulaw", "g711-alaw", "g722", "amr-nb", "amr-wb", "gsm"]


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoder, its decoder, the container between them, and the rate in Hz at which the codec works.

    `bitrates` are in kbit/s: those that the codec has, or the lowest and the highest of a range (`steps` false); the
    `usual` one is taken where none is given; empty for a codec with one rate. `delay` is what encoder and decoder
    together add in samples at the codec's rate and the container does not tell (measured; a test holds it).
    """

    encoder: str
    decoder: str
    container: str
    rate: int
    sample_format: str
    bitrates: tuple[float, ...] = ()
    usual: float = 0.0
    steps: bool = True
    delay: int = 0


MP3_RATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""MPEG-2 layer III, which is what 16 kHz is."""

AMR_RATES = (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)
AMR_WIDE_RATES = (6.6, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05, 23.85)

CODECS = {
    "mp3": Codec("libmp3lame", "mp3float", "mp3", 16_000, "s16p", MP3_RATES, 32),
    "opus": Codec("libopus", "libopus", "ogg", 48_000, "s16", (6, 256), 16, steps=False),
    "aac": Codec("aac", "aac", "ipod", 16_000, "fltp", (8, 96), 24, steps=False),
    "g711-mulaw": Codec("pcm_mulaw", "pcm_mulaw", "wav", 8_000, "s16"),
    "g711-alaw": Codec("pcm_alaw", "pcm_alaw", "wav", 8_000, "s16"),
    "g722": Codec("g722", "g722", "g722", 16_000, "s16", delay=22),
    "amr-nb": Codec("libopencore_amrnb", "libopencore_amrnb", "amr", 8_000, "s16", AMR_RATES, 12.2, delay=40),
    "amr-wb": Codec("libvo_amrwbenc", "amrwb", "amr", 16_000, "s16", AMR_WIDE_RATES, 12.65),
    "gsm": Codec("libgsm", "gsm", "gsm", 8_000, "s16"),
}


def available_codecs() -> list[str]:
    """The codecs that FFmpeg's libraries have here, by the names used here."""
    return [name for name, codec in CODECS.items() if not _missing(codec)]


def _missing(codec: Codec) -> list[str]:
    missing = [] if has_encoder(codec.encoder) else [f"encoder {codec.encoder!r}"]
    return missing if has_decoder(codec.decoder) else [*missing, f"decoder {codec.decoder!r}"]


def _check(*, name: str, bitrate: float = 0.0) -> None:
    codec = CODECS[name]
    missing = _missing(codec)
    if missing:
        raise SettingError(
            f"codec {name!r} needs FFmpeg's {' and '.join(missing)}, which PyAV has not here ({ffmpeg_version()}); "
            f"build PyAV on an FFmpeg that has it, or choose one of: {', '.join(available_codecs())}"
        )
    if not bitrate:
        return
    low, high = (codec.bitrates[0], codec.bitrates[-1]) if codec.bitrates else (0.0, 0.0)
    if not codec.bitrates:
        raise SettingError(f"codec {name!r} has one bit rate; leave out bitrate={bitrate:g}")
    if (codec.steps and bitrate not in codec.bitrates) or not low <= bitrate <= high:
        known = ", ".join(f"{one:g}" for one in codec.bitrates) if codec.steps else f"{low:g} to {high:g}"
        raise SettingError(f"codec {name!r} has no bit rate of {bitrate:g} kbit/s; it has: {known}")


def _pin(_: Settings, __: Audio) -> Settings:
    return {"library": ffmpeg_version()}


@change("codec", version="1", check=_check, pin=_pin, own=frozenset({"library"}))
def apply_codec(
    waveform: Waveform,
    generator: np.random.Generator,  # noqa: ARG001
    *,
    name: Name,
    bitrate: float = 0.0,
    library: str = "",
) -> Waveform:
    """Encoded and decoded again, at the rate and length that it had, without the codec's delay.

    `bitrate` is in kbit/s, 0 for the codec's usual one. Sound above half of the codec's sampling rate is lost, as on
    the line. What decodes to beyond full scale is turned down as a whole.
    """
    check_ffmpeg(library)
    codec = CODECS[name]
    narrow = resample(waveform, codec.rate)
    decoded = _decode(_encode(narrow.samples, codec, bitrate or codec.usual), codec)[codec.delay :]
    if len(decoded) == 0:
        raise AudioError(f"{waveform.seconds:g} s are too short for {name}")
    wide = resample(Waveform(decoded, codec.rate), waveform.rate).samples.astype(np.float64)
    length = len(waveform.samples)
    return within_full_scale(np.pad(wide[:length], (0, max(length - len(wide), 0))), waveform.rate)


def _encode(samples: NDArray[np.float32], codec: Codec, bitrate: float) -> bytes:
    """The file that the encoder makes. Half a second of silence pushes out what it holds back."""
    import av

    whole = np.concatenate([samples, np.zeros(codec.rate // 2, np.float32)])
    pcm = np.round(within_full_scale(whole, codec.rate).samples * 32767.0).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=codec.container) as container:
        stream: Any = container.add_stream(codec.encoder, rate=codec.rate)
        stream.layout, stream.format = "mono", codec.sample_format
        if bitrate:
            stream.bit_rate = round(bitrate * 1000)
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts = codec.rate, 0
        for part in (frame, None):
            for packet in stream.encode(part):
                container.mux(packet)
    return buffer.getvalue()


def _decode(data: bytes, codec: Codec) -> NDArray[np.float32]:
    import av

    parts: list[Any] = []
    options = {"sample_rate": str(codec.rate)} if codec.container in ("g722", "gsm") else {}
    with av.open(io.BytesIO(data), "r", format=_demuxer(codec.container), options=options) as container:
        parts += [_as_float(frame.to_ndarray()) for frame in container.decode(audio=0)]
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)


def _demuxer(container: str) -> str:
    return {"ipod": "mp4"}.get(container, container)


def _as_float(data: NDArray[Any]) -> FloatArray:
    scale = 32768.0 if np.issubdtype(data.dtype, np.integer) else 1.0
    return data.reshape(-1).astype(np.float64) / scale
