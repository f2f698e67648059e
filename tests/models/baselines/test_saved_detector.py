from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from audiometry.benchmark.errors import DataError
from audiometry.models.baselines import saved
from audiometry.models.baselines.saved import (
    SavedDetector,
    calibration_of,
    find_weights,
    load,
    load_for,
    save,
    weights_file,
)
from audiometry.tasks.corpora.spoof.attacks import PROTOCOL
from audiometry.tasks.corpora.spoof.equalisation import REVISION

FACTS = {"level": "E0", "seed": "3", "corpus": "made", "slope": "2.5", "offset": "-1"}
DETECTOR = SavedDetector("tried", {"b": np.arange(6.0).reshape(2, 3).T, "a": np.array([7], np.int64)}, FACTS)

ONE_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from audiometry.models.baselines.saved import SavedDetector, save
save(Path(sys.argv[1]), SavedDetector("tried", {"b": np.ones(3), "a": np.zeros(2)}, dict.fromkeys("zyxwvuts", "1")))
"""


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "one.safetensors"
    save(path, DETECTOR)
    found = load(path, kind="tried")
    assert found.kind == "tried"
    assert dict(found.facts) == FACTS
    assert {name: array.tolist() for name, array in found.arrays.items()} == {
        "a": [7],
        "b": [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]],
    }
    assert found.arrays["a"].dtype == np.int64


@given(facts=st.dictionaries(st.text(min_size=1).filter(lambda name: name != "kind"), st.text()))
def test_any_fact_comes_back(tmp_path_factory: pytest.TempPathFactory, facts: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("facts") / "one.safetensors"
    save(path, SavedDetector("tried", {"a": np.zeros((0, 2), np.float32)}, facts))
    assert load(path, kind="tried").facts == facts


def test_the_library_itself_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save(path, DETECTOR)
    assert np.array_equal(load_file(path)["b"], DETECTOR.arrays["b"])
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"] == {"kind": "tried", **FACTS}


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for number in range(3):
        path = tmp_path / f"{number}.safetensors"
        subprocess.run([sys.executable, "-c", ONE_PROCESS, str(path)], check=True)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused_on_the_way_out_and_in(tmp_path: Path, value: float) -> None:
    path = tmp_path / "one.safetensors"
    with pytest.raises(DataError, match="array 'weights' holds NaN"):
        save(path, SavedDetector("tried", {"weights": np.array([1.0, value])}, FACTS))
    save_file({"weights": np.array([1.0, value])}, path, {"kind": "tried"})
    with pytest.raises(DataError, match="array 'weights' holds NaN"):
        load(path, kind="tried")


def test_a_fact_may_not_hide_the_kind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="may not be called 'kind'"):
        save(tmp_path / "one.safetensors", SavedDetector("tried", {}, {"kind": "other"}))


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save(path, DETECTOR)
    with pytest.raises(DataError, match=r"holds a detector 'tried', not 'other'.*audiometry train other"):
        load(path, kind="other")
    save_file({"a": np.zeros(2)}, path)
    with pytest.raises(DataError, match="no detector of this project"):
        load(path, kind="other")


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"text that is long enough to be a header", b"\xff" * 64])
def test_other_files_are_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "one.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a whole safetensors file"):
        load(path, kind="tried")


def test_a_file_that_is_cut_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save(path, DETECTOR)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="not a whole safetensors file"):
        load(path, kind="tried")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist.*audiometry train tried"):
        load(tmp_path / "none", kind="tried")


def test_weights_are_found_by_name_level_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "weights" / "tried-E0.safetensors"
    monkeypatch.setattr(saved, "weights_file", lambda name, level: tmp_path / "weights" / f"{name}-{level}.safetensors")
    with pytest.raises(DataError, match=r"without weights for level E0.*audiometry train tried --level E0"):
        find_weights("tried", "E0")
    with pytest.raises(DataError, match=r"setting 'path': own does not exist.*audiometry train tried"):
        find_weights("tried", "E0", "own")
    save(shipped, DETECTOR)
    assert find_weights("tried", "E0") == shipped
    assert load_for("tried", "E0").facts == FACTS
    own = tmp_path / "own.safetensors"
    save(own, SavedDetector("tried", {}, {**FACTS, "seed": "4"}))
    assert load_for("tried", "E0", str(own)).facts["seed"] == "4"
    with pytest.raises(DataError, match="was trained at level E0, not E4; give level=E0"):
        load_for("tried", "E4", str(own))


def trained_on(tmp_path: Path, **facts: str) -> str:
    path = tmp_path / "own.safetensors"
    save(path, SavedDetector("tried", {}, {**FACTS, "corpus": "spoof-embedded", **facts}))
    return str(path)


def test_weights_of_another_equalisation_are_refused_where_it_is_heard(tmp_path: Path) -> None:
    for level in ("E3", "E4"):
        path = trained_on(tmp_path, level=level, equalisation="1", protocol="1")
        with pytest.raises(
            DataError, match=rf"trained on equalisation 1, and {level} .* is equalisation {REVISION} here"
        ):
            load_for("tried", level, path)
        with pytest.raises(DataError, match=rf"does not tell its equalisation.*audiometry train tried --level {level}"):
            load_for("tried", level, trained_on(tmp_path, level=level))
        load_for("tried", level, trained_on(tmp_path, level=level, equalisation=REVISION, protocol=PROTOCOL))
        for corpus in ("asvspoof2019-la", "made"):
            load_for("tried", level, trained_on(tmp_path, level=level, corpus=corpus))
    for level in ("E0", "E1", "E2"):
        load_for("tried", level, trained_on(tmp_path, level=level))
        load_for("tried", level, trained_on(tmp_path, level=level, equalisation="1"))


def test_weights_of_another_protocol_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="trained on protocol 0 of spoof-embedded, and here is 1"):
        load_for("tried", "E0", trained_on(tmp_path, protocol="0"))


SHIPPED_FILES = sorted(weights_file("tried").parent.glob("*.safetensors"))


@pytest.mark.parametrize("file", SHIPPED_FILES, ids=lambda file: file.stem)
def test_shipped_weights_tell_what_they_were_trained_on(file: Path) -> None:
    kind, _, level = file.stem.partition("-E")
    facts = load_for(kind, f"E{level or 4}").facts  # type: ignore[arg-type]
    assert (facts["corpus"], facts["equalisation"], facts["protocol"]) == ("spoof-embedded", "2", "1")


def test_the_packages_weights_lie_beside_the_module() -> None:
    assert weights_file("aasist").parent == Path(saved.__file__).parent / "weights"


def test_the_calibration_is_read_from_the_facts() -> None:
    assert calibration_of(DETECTOR)([0.0, 2.0]).tolist() == [-1.0, 4.0]
    for name, value in (("slope", "steep"), ("offset", "nan"), ("slope", "inf")):
        with pytest.raises(DataError, match=f"no number '{name}'"):
            calibration_of(SavedDetector("tried", {}, {**FACTS, name: value}))
    with pytest.raises(DataError, match="no number 'slope'"):
        calibration_of(SavedDetector("tried", {}, {}))
