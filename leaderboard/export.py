"""A frame as a file to download: CSV for spreadsheets, JSON and Parquet for programs."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "file_name", "to_csv", "to_json", "to_parquet"]


def to_csv(frame: pd.DataFrame) -> bytes:
    """CSV in UTF-8. Lists are joined by semicolons.

    A text that a spreadsheet would take for a formula (it starts with ``=``, ``+``, ``-``, ``@``, a tab or a line
    end) gets an apostrophe before it; JSON and Parquet hold it as it is.
    """
    plain = _plain(frame)
    for name in plain.columns:
        plain[name] = [_no_formula(value) if isinstance(value, str) else value for value in plain[name]]
    return plain.to_csv(index=False).encode()


def to_json(frame: pd.DataFrame) -> bytes:
    """A JSON list of objects; what is undefined or infinite is null."""
    rows = [{name: _json_value(value) for name, value in row.items()} for row in frame.to_dict("records")]
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False).encode()


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Parquet; settings are JSON texts."""
    import io

    sink = io.BytesIO()
    _plain(frame).to_parquet(sink, index=False)
    return sink.getvalue()


FORMATS = {
    "CSV": (to_csv, "csv", "text/csv"),
    "JSON": (to_json, "json", "application/json"),
    "Parquet": (to_parquet, "parquet", "application/vnd.apache.parquet"),
}
"""Name on the page → function, file suffix, media type."""


def file_name(*parts: str, suffix: str) -> str:
    """A file name that every system takes.

    >>> file_name("ranking", "wer-asterisk-en", "../../x", suffix="csv")
    'ranking_wer-asterisk-en_x.csv'
    """
    cleaned = (re.sub(r"[^A-Za-z0-9_-]+", "-", part).strip("-")[:60] for part in parts)
    return "_".join(part for part in cleaned if part) + f".{suffix}"


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{str(name): [_flat(value) for value in frame[name]] for name in _structured(frame)})


def _structured(frame: pd.DataFrame) -> list[Any]:
    return [name for name in frame.columns if any(isinstance(value, list | tuple | dict) for value in frame[name])]


def _flat(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def _json_value(value: Any) -> Any:
    import pandas as pd

    if isinstance(value, list | tuple):
        return [_json_value(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _json_value(part) for name, part in value.items()}
    if pd.isna(value) or (isinstance(value, float) and math.isinf(value)):  # JSON has no word for either
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
