"""How plain records travel between processes, and become bytes to be hashed: quickly, as there are millions."""

from __future__ import annotations

import json
import operator
from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["by_values", "canonical_json"]

T = TypeVar("T")

_encode = json.JSONEncoder(sort_keys=True).encode  # `json.dumps` makes an encoder for every call that sorts


def canonical_json(value: Any) -> bytes:
    """`value` as JSON, names sorted: the same bytes for the same value, in any process.

    >>> canonical_json({"b": [1, None], "a": "é"})
    b'{"a": "\\\\u00e9", "b": [1, null]}'
    """
    return _encode(value).encode()


def by_values(cls: type[T]) -> type[T]:
    """Let objects of a frozen dataclass travel as its class and their values, in order.

    What dataclasses do themselves asks for the names of the fields each time: with a million samples, seconds.
    """
    values = operator.attrgetter(*(one.name for one in fields(cls)))  # type: ignore[arg-type]  # a dataclass

    def reduce(self: T) -> tuple[type[T], tuple[Any, ...]]:
        return cls, values(self)

    cls.__reduce__ = reduce  # type: ignore[assignment]  # as the protocol of pickle allows
    return cls
