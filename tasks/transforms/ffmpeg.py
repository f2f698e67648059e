"""What FFmpeg's libraries, as PyAV brings them, can do here."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from audiometry.benchmark.errors import AudioError

__all__ = ["check_ffmpeg", "ffmpeg_version", "has_decoder", "has_encoder"]


@lru_cache(maxsize=1)
def ffmpeg_version() -> str:
    """Versions of the libraries that decide the samples, as in ``libavcodec 62.28.100, libavfilter 11.14.100``."""
    import av

    names = ("libavcodec", "libavfilter")
    return ", ".join(f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in names)


def check_ffmpeg(planned: str) -> None:
    """Raise AudioError if the libraries here are others than those that were planned with."""
    if planned and planned != ffmpeg_version():
        raise AudioError(f"planned with {planned}; here is {ffmpeg_version()}, which may give other sound")


def has_encoder(name: str) -> bool:
    """Whether an encoder of that name is built in."""
    return _has(name, "w")


def has_decoder(name: str) -> bool:
    """Whether a decoder of that name is built in."""
    return _has(name, "r")


@lru_cache(maxsize=64)
def _has(name: str, mode: Literal["r", "w"]) -> bool:
    import av

    try:
        av.codec.Codec(name, mode)
    except av.codec.codec.UnknownCodecError:
        return False
    return True
