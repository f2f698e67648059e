"""The worker without Ray: decoding, halving, checks, artefacts."""

from __future__ import annotations

import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiometry.benchmark import registry, rows
from audiometry.benchmark.errors import AudiometryError
from audiometry.benchmark.plan import Batch, Item
from audiometry.benchmark.registry import Spec
from audiometry.benchmark.types import Audio, Metric, Output, Request, Sample, Score, Segment, Task, Waveform
from audiometry.benchmark.worker import Evaluator, checked

PLUGIN = str(Path(__file__).with_name("faulty.py"))


def evaluator(model: str, task: str = "echo", **more: object) -> Evaluator:
    made = Evaluator(registry.parse_spec(model), None, [Spec(task)], plugins=[PLUGIN], **more)  # type: ignore[arg-type]
    assert made.load().error is None
    return made


def items(count: int) -> tuple[Item, ...]:
    return tuple(
        Item(i, Sample(f"s{i:03d}", Request("respond", text=f"word{i:03d}"), f"word{i:03d}")) for i in range(count)
    )


def test_rows_come_back_in_order_with_counts_and_time() -> None:
    made = evaluator("faulty")
    rows, spent = made.evaluate([Batch(0, items(2)), Batch(0, items(3)[2:])])
    assert [(row.position, row.status, row.counts["wrong"]) for row in rows] == [(i, "ok", 0.0) for i in range(3)]
    assert spent.busy > 0
    assert spent.decode > 0
    assert all(row.output["total_seconds"] > 0 for row in rows)
    made.close()
    made.close()


@pytest.mark.parametrize(("fault", "reason"), [("raise", "RuntimeError: a poisonous sample (faulty.py:"),
                                               ("few", "the model returned 0 outputs for 1 requests"),
                                               ("type", "the model returned str in place of an Output"),
                                               ("nan", "that is not a finite number")])  # fmt: skip
def test_halving_finds_the_poison(fault: str, reason: str) -> None:
    rows, _ = evaluator(f"faulty:fault={fault},at=005").evaluate([Batch(0, items(9))])
    assert [row.status for row in rows] == ["error" if i == 5 else "ok" for i in range(9)]
    assert reason in rows[5].output["error"]
    assert rows[5].counts == {"wrong": 1.0, "asked": 1.0}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Output(text="a", timings={"total": -0.5}), "a time below 0 (-0.5 s)"),
        (Output(text="a", timings={"first": -0.5}), "a time below 0 (-0.5 s)"),
        (Output(segments=(Segment(2.0, 1.0, "a"),)), "a segment that ends before it starts (2 to 1 s)"),
        (Output(segments=(Segment(-1.0, 1.0, "a"),)), "a time below 0 (-1 s)"),
        (Output(segments=(Segment(None, 1.0, "a"),)), "a segment without a start or an end"),  # type: ignore[arg-type]
        (Output(segments=(Segment(0.0, 1.0, 7),)), "a segment with a label of type int"),  # type: ignore[arg-type]
    ],
)
def test_numbers_that_no_task_could_score_cost_that_sample(answer: Output, reason: str) -> None:
    assert checked(answer, 0.25) == Output(
        status="error", error=f"the model returned {reason}", timings={"total": 0.25}
    )


def test_times_that_touch_are_kept() -> None:
    answer = Output(segments=(Segment(0.0, 0.0, "a"),), timings={"first": 0.0, "total": 0.0})
    assert checked(answer, 0.25) == answer


def test_the_worker_tells_its_peak_where_the_machine_is_the_tasks_own() -> None:
    (row, broken), _ = evaluator("faulty:fault=raise,at=001", "alone").evaluate([Batch(0, items(2))])
    assert row.output["peak_bytes"] > 2**20
    assert (broken.status, broken.output["peak_bytes"]) == ("error", row.output["peak_bytes"])
    back = rows.restored_output(row.status, row.output, None)
    assert back.peak_bytes == row.output["peak_bytes"]
    (beside,), _ = evaluator("faulty").evaluate([Batch(0, items(1))])
    assert "peak_bytes" not in beside.output


def test_a_model_does_not_tell_its_peak_itself() -> None:
    assert checked(Output(text="a", peak_bytes=1.0), 0.25).peak_bytes is None


def test_a_load_error_is_one_line() -> None:
    made = Evaluator(Spec("stillborn"), None, [Spec("echo")], plugins=[PLUGIN])
    assert re.fullmatch(r"OSError: the weights are damaged \(faulty\.py:\d+\)", made.load().error or "")


def test_undecodable_sound_is_that_samples_error(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    soundfile.write(good, np.zeros(800), 16000)
    bad.write_text("no sound")
    batch = Batch(
        0,
        tuple(
            Item(i, Sample(f"s{i}", Request("respond", {"input": Audio(str(path))}, text="x0"), "x0"))
            for i, path in enumerate((good, bad))
        ),
    )
    (first, second), _ = evaluator("faulty").evaluate([batch])
    assert first.status == "ok"
    assert second.status == "error"
    assert "bad.wav: cannot be decoded" in second.output["error"]
    assert first.digests == {str(good): hashlib.sha256(good.read_bytes()).hexdigest()}
    (tmp_path / "good.wav").unlink()
    (gone, _), _ = evaluator("faulty").evaluate([batch])
    assert "good.wav: cannot be opened" in gone.output["error"]


def test_sound_is_not_decoded_for_models_that_do_not_want_it(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    asked = Sample("s", Request("respond", {"input": Audio(str(bad))}, text="x0"), "x0")
    (row,), _ = evaluator("faulty", decodes=False).evaluate([Batch(0, (Item(0, asked),))])
    assert row.status == "ok"


def test_outputs_become_columns_and_artefacts(tmp_path: Path) -> None:
    output = Output(
        audio=Waveform(np.zeros(160, np.float32), 16000),
        embedding=np.arange(3, dtype=np.float32),
        labels={"a": 0.5},
        segments=(Segment(0.0, 1.0, "word"),),
        score=0.25,
        timings={"total": 1.5, "first": 0.5},
    )
    columns = rows.output_columns(output, str(tmp_path))
    assert (tmp_path / columns["audio_out"]).read_bytes().startswith(b"RIFF")
    np.testing.assert_array_equal(np.load(tmp_path / columns["embedding"]), [0, 1, 2])
    assert columns["labels"] == {"a": 0.5}
    assert (columns["total_seconds"], columns["timings"]) == (1.5, {"first": 0.5})
    assert columns["segments"] == [[0.0, 1.0, "word", None]]
    assert rows.output_columns(output, str(tmp_path)) == columns
    assert "audio_out" not in rows.output_columns(output, None)
    back = rows.restored_output("ok", columns, str(tmp_path))
    assert (back.labels, back.segments, back.score, back.timings) == (
        output.labels, output.segments, output.score, output.timings,
    )  # fmt: skip
    assert back.audio is not None
    assert back.audio.seconds == 0.01
    np.testing.assert_array_equal(back.embedding, output.embedding)
    assert rows.restored_output("empty", {}, str(tmp_path)) == Output(status="empty")


def test_counts_must_be_finite() -> None:
    def score(sample: Sample, _: Output) -> Score:
        return Score(sample.id, {"errors": float("nan")})

    task = Task("t", "1", "respond", lambda: [], score, lambda _, w: {"m": w}, (Metric("m"),))
    with pytest.raises(AudiometryError, match="task 't', sample 's000': count 'errors' is nan"):
        rows.make_row(0, task, items(1)[0], Output())


def test_the_workers_folder_is_the_drivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inner = tmp_path / "inner"
    inner.mkdir()
    evaluator("faulty", folder=str(inner), threads=3)
    assert Path.cwd() == inner


class _Meeting:
    """Answers once two calls are in it at a time, or says after a while that it was alone."""

    name = fingerprint = "meeting"
    abilities = frozenset({"respond"})
    deterministic = True

    def __init__(self, patience: float) -> None:
        self._both, self._patience = threading.Barrier(2), patience

    def generate(self, requests: list[Request]) -> list[Output]:
        try:
            self._both.wait(self._patience)
        except threading.BrokenBarrierError:
            return [Output(text="alone")] * len(requests)
        return [Output(text=request.text) for request in requests]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("concurrent", "patience"), [(True, 30.0), (False, 0.1)])
def test_only_a_concurrent_model_is_asked_two_batches_at_once(
    monkeypatch: pytest.MonkeyPatch, concurrent: bool, patience: float
) -> None:
    registry.load_plugins()
    monkeypatch.setattr(registry.MODELS, "_entries", dict(registry.MODELS._entries))
    registry.model("meeting", abilities={"respond"}, concurrent=concurrent)(lambda: _Meeting(patience))
    made = evaluator("meeting")
    with ThreadPoolExecutor(2) as pool:
        answered = list(pool.map(lambda part: made.evaluate([Batch(0, (part,))]), items(2)))
    wrong = [row.counts["wrong"] for rows_, _ in answered for row in rows_]
    assert wrong == ([0.0, 0.0] if concurrent else [1.0, 1.0])
    spent = sum(one.model for _, one in answered)
    assert 0.0 <= spent < 30.0
    if not concurrent:
        assert spent >= patience  # one waited in vain; the barrier then turned the other away at once
