"""How large a submission may be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """The most that a submission may hold; bytes are counted while they are read, whatever a header promises.

    `json_values` bounds what a JSON file holds, as its commas and brackets tell: parsed, a value takes many times its
    bytes in memory. `archive_bytes` is the size of what is uploaded, `total_bytes` and `file_bytes` of what it holds.
    An archive may unpack to `ratio` times its own size, and to `free_bytes` whatever its size: settings in JSON shrink
    well.
    """

    archive_bytes: int = 4 * 2**30
    total_bytes: int = 8 * 2**30
    file_bytes: int = 4 * 2**30
    text_bytes: int = 64 * 2**20
    json_values: int = 4_000_000
    files: int = 1_000
    ratio: float = 100.0
    free_bytes: int = 2**20


DEFAULT_LIMITS = Limits()
