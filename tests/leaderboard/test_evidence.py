"""What a run kept of every sample comes back, filtered, sorted and with its sound."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
import soundfile

from audiometry.benchmark.errors import AudioError, DataError
from audiometry.leaderboard import evidence

TASK = "wer-tones"


@pytest.fixture
def samples(usual_run: Path) -> pd.DataFrame:
    return evidence.read_samples(str(usual_run), "poor", TASK)


def test_every_sample_comes_with_its_answer_and_its_counts(samples: pd.DataFrame, usual_run: Path) -> None:
    outputs = pd.read_parquet(usual_run / "outputs.parquet")
    mine = outputs[outputs["model"] == "poor"].sort_values("sample_id")
    assert list(samples["sample_id"]) == list(mine["sample_id"])
    assert list(samples["audio"]) == list(mine["audio"])
    row = samples.iloc[0]
    counts = evidence.counts_of(row)
    assert row["errors"] == counts["words substituted"] + counts["words deleted"] + counts["words inserted"]
    assert row["error_rate"] == row["errors"] / counts["words said"]
    assert samples.loc[samples["sample_id"] == "clip-03", "status"].item() == "error"


def test_counts_of_words_stand_before_counts_of_characters_and_any_others(samples: pd.DataFrame) -> None:
    row = samples.iloc[0].copy()
    row["count.another"], row["count.character_hits"], row["count.missing"] = 3.0, 20.0, float("nan")
    assert list(evidence.counts_of(row)) == [
        "words substituted", "words deleted", "words inserted", "words right", "words said", "characters right",
        "another",
    ]  # fmt: skip


def test_slices_are_listed(samples: pd.DataFrame) -> None:
    assert evidence.slices_of(samples) == {"duration": ["long", "short"], "voice": ["made"]}


def test_orders(samples: pd.DataFrame) -> None:
    assert evidence.sorts_of(samples) == ["most errors", "highest error rate", "longest sound", "name"]
    errors = list(evidence.sort_samples(samples, "most errors")["errors"])
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) > 1
    lengths = list(evidence.sort_samples(samples, "longest sound")["audio_seconds"])
    assert lengths == sorted(lengths, reverse=True)
    assert list(evidence.sort_samples(samples, "name")["sample_id"]) == sorted(samples["sample_id"])


def test_a_task_without_word_counts_has_no_error_order(usual_run: Path) -> None:
    for name in ("scores", "outputs"):
        frame = pd.read_parquet(usual_run / f"{name}.parquet")
        frame = frame.drop(columns=[column for column in frame if column.startswith(("count.", "detail."))])
        if name == "outputs":
            frame["score"] = range(len(frame))
        frame.to_parquet(usual_run / f"{name}.parquet")
    samples = evidence.read_samples(str(usual_run), "poor", TASK)
    assert evidence.sorts_of(samples) == ["highest score", "longest sound", "name"]
    assert evidence.counts_of(samples.iloc[0]) == {}


def test_the_sound_is_the_span_that_the_run_names(samples: pd.DataFrame) -> None:
    row = samples.iloc[0].copy()
    whole = evidence.sound_of(row)
    assert whole is not None
    heard, rate = soundfile.read(io.BytesIO(whole))
    assert rate == 16_000
    assert len(heard) == pytest.approx(row["audio_seconds"] * rate, abs=1)
    row["audio_start"], row["audio_end"] = 0.25, 0.5
    part = evidence.sound_of(row)
    assert part is not None
    cut, _ = soundfile.read(io.BytesIO(part))
    assert list(cut) == list(heard[4000:8000])


def test_a_sample_may_have_no_sound(samples: pd.DataFrame) -> None:
    row = samples.iloc[0].copy()
    row["audio"] = None
    assert evidence.sound_of(row) is None


def test_a_sound_that_is_gone_says_so(samples: pd.DataFrame) -> None:
    row = samples.iloc[0]
    Path(row["audio"]).unlink()
    with pytest.raises(AudioError, match="cannot be opened"):
        evidence.sound_of(row)


def test_a_run_folder_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*outputs.parquet: No such file .*; put the run's folder back"):
        evidence.read_samples(str(tmp_path / "gone"), "poor", TASK)


def test_damaged_evidence_says_so(usual_run: Path) -> None:
    (usual_run / "scores.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match=r"cannot read .*scores.parquet: .*; put the run's folder back"):
        evidence.read_samples(str(usual_run), "poor", TASK)


def test_any_file_system_serves(usual_run: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("outputs", "scores"):
        memory.pipe(f"/runs/x/{name}.parquet", (usual_run / f"{name}.parquet").read_bytes())
    assert len(evidence.read_samples("memory://runs/x", "oracle", TASK)) == 12


def test_sound_that_a_model_made_is_found_by_its_hash_alone(
    samples: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path))
    name = f"ab/{'ab' * 32}.wav"
    row = samples.iloc[0].copy()
    assert evidence.answer_of(row) is None
    row["audio_out"] = name
    assert evidence.answer_of(row) is None  # not kept
    place = tmp_path / "artefacts" / name
    place.parent.mkdir(parents=True)
    soundfile.write(place, [0.0] * 1600, 16_000)
    made = evidence.answer_of(row)
    assert made is not None
    assert made.seconds == pytest.approx(0.1)
    for other in (f"../artefacts/{name}", str(place), "ab/x.wav", float("nan")):
        row["audio_out"] = other
        assert evidence.answer_of(row) is None


def test_a_sample_that_is_no_trial_has_no_trial_facts(samples: pd.DataFrame) -> None:
    assert evidence.trial_facts(samples.iloc[0], samples) == {}
