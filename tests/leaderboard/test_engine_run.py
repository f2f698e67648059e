"""The pages on a run folder and a store that the engine wrote, not one made for these tests."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions.reported import import_run

TEXTS = {
    "one": "please press one to leave a message",
    "two": "thank you, goodbye!",
    "three": "all lines are busy now; try again",
    "four": "message deleted",
}


def draw(page: str) -> None:
    """What Streamlit runs."""
    import importlib

    importlib.import_module(f"audiometry.leaderboard.views.{page}").show()


@pytest.fixture(scope="module")
def engine_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and a run of the controls on four made recordings."""
    import numpy as np
    import soundfile

    folder = tmp_path_factory.mktemp("engine")
    with (folder / "list.csv").open("w", newline="") as file:
        lines = csv.DictWriter(file, ["audio", "text", "speaker"])
        lines.writeheader()
        for number, (name, text) in enumerate(TEXTS.items()):
            time = np.arange(16_000) / 16_000
            soundfile.write(folder / f"{name}.wav", 0.3 * np.sin(2 * np.pi * (300 + 50 * number) * time), 16_000)
            lines.writerow({"audio": f"{name}.wav", "text": text, "speaker": "tone"})
    words = ["run", "-m", "oracle,silent,shuffled", "-t", f"wer:path={folder / 'list.csv'},language=en", "-q", "--json"]
    words += ["--store", f"sqlite:///{folder / 'store.db'}", "-o", str(folder / "run")]
    environment = os.environ | {"AUDIOMETRY_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "audiometry.benchmark.cli", *words],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", ["ranking", "slices", "samples"])
def test_every_page_draws_a_run_of_the_engine(engine_run: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMETRY_STORE", f"sqlite:///{engine_run / 'store.db'}")
    test = AppTest.from_function(draw, args=(page,), default_timeout=60).run()
    assert not test.exception
    text = "".join(element.body for element in test.html)
    assert "am-error" not in text
    if page == "ranking":
        results = json.loads((engine_run / "run" / "results.json").read_text())["results"]
        values = {r["model"]: r["value"] for r in results if r["metric"] == "wer" and r["slice"] == "all"}
        assert values["oracle"] == 0.0
        assert values["silent"] == 1.0
        assert "0.0 %" in text
        assert "100.0 %" in text
        assert [model for model in values if f"<bdi>{model}</bdi>" not in text] == []
    if page == "samples":
        assert len(test.get("audio")) == 1
        assert "am-align" in text
        (sample,) = [box for box in test.selectbox if box.label.startswith("Sample (")]
        assert len(sample.options) == len(TEXTS)


def test_a_run_of_the_engine_may_be_imported_elsewhere(engine_run: Path, tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'elsewhere.db'}") as store:
        import_run(engine_run / "run", store)
        assert set(store.results()["origin"]) == {"self-reported"}
