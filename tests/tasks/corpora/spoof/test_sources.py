"""What of the packages is taken as bona fide speech, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiometry.tasks.corpora.spoof import sources
from audiometry.tasks.corpora.spoof.sources import PACKS, Recording, recordings


def test_what_is_left_out_is_counted_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.1, 8000 * 5)
    soundfile.write(tmp_path / "long.wav", noise, 8000)
    soundfile.write(tmp_path / "short.wav", noise[:4000], 8000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000 * 5), 8000)
    (tmp_path / "empty.wav").touch()
    pack = PACKS[0]
    files = [Recording(pack, path.stem, path) for path in sorted(tmp_path.glob("*.wav"))]
    monkeypatch.setattr(sources, "PACKS", (pack,))
    monkeypatch.setattr(sources, "LANGUAGES", {})
    monkeypatch.setattr(sources, "_fetched", lambda *_: {pack.package: tmp_path})
    monkeypatch.setattr(sources, "_unpacked", lambda *_: iter(files))
    told: list[str] = []
    kept, left_out = recordings(tmp_path, None, told.append)
    assert [one.prompt for one in kept] == ["long"]
    assert kept[0].speech == pytest.approx(5.0, abs=0.1)
    assert left_out == {"recording cannot be read": 1, "recording too short": 2}
    assert told == ["1 recordings; left out: 1 (recording cannot be read), 2 (recording too short)"]
