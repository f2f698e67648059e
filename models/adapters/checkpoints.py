"""Looking at a folder written by ``save_pretrained`` before anything in it is loaded.

Nothing here runs code from the folder: JSON is parsed, and of the weights only the safetensors headers are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import DataError, SettingError, UserError

__all__ = ["architecture", "checkpoint_files", "load_network", "read_json", "weight_files"]

MAX_JSON_BYTES = 64 * 2**20
MAX_HEADER_BYTES = 100_000_000
"""The limit that the safetensors format itself sets."""

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")


def architecture(folder: Path) -> str:
    """The class that ``config.json`` names first, such as ``WhisperForConditionalGeneration``.

    Raises SettingError if the folder is not there, DataError if it has no config.json that names a class.
    """
    if not folder.is_dir():
        raise SettingError(f"the folder {str(folder)!r} does not exist; give one that save_pretrained wrote")
    config = read_json(folder / "config.json")
    named = config.get("architectures")
    if not isinstance(named, list) or not named or not isinstance(named[0], str):
        raise DataError(f"{folder / 'config.json'} names no class under 'architectures'; save the model again")
    return named[0]


def read_json(path: Path) -> Mapping[str, Any]:
    """The JSON object in `path`.

    Raises DataError if it is missing, larger than 64 MiB, or not a JSON object.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; give a folder that save_pretrained wrote")
    if path.stat().st_size > MAX_JSON_BYTES:
        raise DataError(f"{path} is larger than {MAX_JSON_BYTES // 2**20} MiB; that is no settings file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}; save the model again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a JSON object; save the model again")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold the weights, each checked to be whole.

    Raises SettingError if there are only pickled weights, DataError if there are none or one is missing or cut off.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        files = [whole]
    elif index.is_file():
        parts = read_json(index).get("weight_map")
        names = set(parts.values()) if isinstance(parts, dict) else set()
        if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
            raise DataError(f"{index} maps no weights to files beside it; save the model again")
        files = [folder / name for name in sorted(names)]
    else:
        pickled = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLED)
        if pickled:
            raise SettingError(
                f"{folder} holds its weights only as {pickled[0]}, which may run code when it is read; convert it to "
                "safetensors: model.save_pretrained(FOLDER, safe_serialization=True)"
            )
        raise DataError(f"{folder} holds no model.safetensors; save the model again")
    for file in files:
        _check_whole(file)
    return files


def checkpoint_files(folder: Path) -> list[Path]:
    """Every file that decides what the model answers: weights, settings, vocabulary. Sorted by name."""
    chosen = (".json", ".model", ".txt")
    return sorted([*weight_files(folder), *(file for file in folder.iterdir() if file.suffix in chosen)])


def _check_whole(path: Path) -> None:
    """Check a safetensors file's header against its size (length as uint64, JSON header, then the tensors' bytes)."""
    if not path.is_file():
        raise DataError(f"{path} does not exist, though the index names it; copy the whole folder")
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            raise DataError(f"{path} is not a whole safetensors file; copy it again")
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            promised = 8 + length + max(ends, default=0)
        except (ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise DataError(f"{path} has a header that is not safetensors; copy it again") from error
    if promised != size:
        raise DataError(f"{path} is cut off: its header promises {promised} bytes and {size} are there; copy it again")


def load_network(owner: str, folder: Path, named: str, dtype: str, device: str) -> Any:
    """The network of the transformers class `named` with the weights in `folder`, on `device`, ready to answer.

    Code in the folder is not run, and only safetensors are read. Raises SettingError for a device that is not here,
    UserError if transformers has no such class, DataError if weights are missing or have another shape.
    """
    import torch
    import transformers

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SettingError(f"model {owner!r}, setting 'device': this machine has no {device!r}; leave it out")
    if not hasattr(transformers, named):
        raise UserError(f"model {owner!r}: transformers {transformers.__version__} has no {named}; install a newer one")
    network, report = getattr(transformers, named).from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=getattr(torch, dtype),
        output_loading_info=True,
    )
    absent = sorted(str(key) for sort in ("missing_keys", "mismatched_keys") for key in report[sort])
    if absent:
        raise DataError(
            f"model {owner!r}: {folder} lacks {len(absent)} of the weights that its config.json promises, "
            f"{absent[0]} first; save the model again"
        )
    return network.to(device).eval()
