from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.models.adapters.checkpoints import architecture, checkpoint_files, read_json, weight_files


def saved(folder: Path, name: str = "model.safetensors") -> Path:
    path = folder / name
    save_file({"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float16)}, path, {"format": "pt"})
    return path


def config(folder: Path, content: Any) -> Path:
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_the_class_is_the_first_that_the_config_names(tmp_path: Path) -> None:
    assert architecture(config(tmp_path, {"architectures": ["Wav2Vec2ForCTC", "Other"]})) == "Wav2Vec2ForCTC"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        ({}, "names no class under 'architectures'"),
        ({"architectures": []}, "names no class"),
        ({"architectures": [1]}, "names no class"),
        ({"architectures": "Wav2Vec2ForCTC"}, "names no class"),
    ],
)
def test_a_config_that_names_no_class_is_refused(content: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        architecture(config(tmp_path, content))


def test_a_missing_folder_or_config_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="does not exist; give one that save_pretrained wrote"):
        architecture(tmp_path / "none")
    with pytest.raises(DataError, match=r"config\.json does not exist"):
        architecture(tmp_path)


def test_a_giant_settings_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as stream:
        stream.truncate(65 * 2**20)
    with pytest.raises(DataError, match="larger than 64 MiB"):
        read_json(path)


def test_whole_weights_are_found(tmp_path: Path) -> None:
    assert weight_files(saved(tmp_path).parent) == [tmp_path / "model.safetensors"]


def test_weights_in_parts_are_found_by_their_index(tmp_path: Path) -> None:
    parts = [saved(tmp_path, f"model-{part}.safetensors") for part in (1, 2)]
    index = {"weight_map": {"a": parts[1].name, "b": parts[0].name, "c": parts[1].name}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weight_files(tmp_path) == parts
    parts[1].unlink()
    with pytest.raises(DataError, match=r"model-2\.safetensors does not exist, though the index names it"):
        weight_files(tmp_path)


@pytest.mark.parametrize("names", [{}, {"a": "../x.safetensors"}, {"a": "/etc/passwd"}, {"a": 3}, []])
def test_an_index_may_name_only_files_beside_it(names: Any, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(DataError, match="maps no weights to files beside it"):
        weight_files(tmp_path)


def test_pickled_weights_are_refused_and_the_mend_is_named(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(SettingError, match=r"only as pytorch_model\.bin.* convert it to safetensors"):
        weight_files(tmp_path)


def test_no_weights_at_all_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no model\.safetensors"):
        weight_files(tmp_path)


@pytest.mark.parametrize("cut", [0, 4, 8, 60, -1])
def test_weights_that_are_cut_off_are_refused(cut: int, tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="copy it again"):
        weight_files(tmp_path)


def test_weights_with_something_behind_them_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DataError, match="is cut off: its header promises"):
        weight_files(tmp_path)


@pytest.mark.parametrize("header", [b"{", b"[]", b'{"a": 1}', b'{"a": {"data_offsets": [0]}}', b"[" * 100_000])
def test_a_header_that_is_no_safetensors_is_refused(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(DataError, match="has a header that is not safetensors; copy it again"):
        weight_files(tmp_path)


@given(st.binary(max_size=120))
def test_any_bytes_are_refused_or_whole(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    header = json.dumps({"a": {"dtype": "U8", "shape": [len(content)], "data_offsets": [0, len(content)]}}).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)
    assert weight_files(folder) == [path]
    path.write_bytes(content)
    with pytest.raises(UserError):
        weight_files(folder)


def test_the_files_that_decide_the_answer_are_listed_in_order(tmp_path: Path) -> None:
    saved(tmp_path)
    for name in ("vocab.json", "config.json", "spm_char.model", "merges.txt", "README.md", "trainer.pt"):
        (tmp_path / name).write_text("{}")
    names = [file.name for file in checkpoint_files(tmp_path)]
    assert names == ["config.json", "merges.txt", "model.safetensors", "spm_char.model", "vocab.json"]
