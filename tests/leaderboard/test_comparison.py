"""Two models side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from audiometry.benchmark.errors import DataError, UserError
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Task
from audiometry.leaderboard import comparison, evidence, queries
from audiometry.leaderboard.compare_markup import answer, lines_table, tasks_table, verdict

AddRun = Callable[..., Path]
TASK = {
    "name": "wer-tones", "spec": "wer-tones", "version": "1", "settings": {"normaliser": "none-1"}, "samples": 12,
    "digest": "d1",
}  # fmt: skip
NASTY = "<img src=x onerror=alert(1)>"


def subject(folder: Path, model: str) -> comparison.Subject:
    document = json.loads((folder / "run.json").read_text()) | {"folder": str(folder), "tasks": [TASK]}
    return comparison.subject_of(document, model, "wer-tones")


def test_paired_differences_add_up(installed_task: Task, usual_run: Path) -> None:
    lines, changed = comparison.paired(subject(usual_run, "good:beam=5"), subject(usual_run, "poor"))
    rows = comparison.line_rows(lines)
    scores = pd.read_parquet(usual_run / "scores.parquet")
    wrong = scores[["count.substitutions", "count.deletions", "count.insertions"]].sum(axis=1)
    by_model = wrong.groupby(scores["model"]).sum() / scores.groupby("model")["count.reference"].sum()
    whole = rows.iloc[0]
    assert list(rows["slice"]) == ["all", "duration=long", "duration=short", "voice=made"]
    assert whole["difference"] == pytest.approx(by_model["poor"] - by_model["good:beam=5"])
    assert whole["low"] < whole["difference"] < whole["high"]
    assert whole["verdict"] == "worse"
    assert changed
    assert all(one.change != 0 for one in changed)
    assert "B (poor) is worse than A (good:beam=5)" in verdict(whole.to_dict(), "good:beam=5", "poor")
    html = lines_table(rows)
    assert html.count("am-span") == 4
    assert "duration=short" in html


def test_models_that_cannot_be_told_apart(installed_task: Task, usual_run: Path) -> None:
    side = subject(usual_run, "poor")
    lines, changed = comparison.paired(side, side)
    line = comparison.line_rows(lines).iloc[0].to_dict()
    assert line["difference"] == 0
    assert changed == ()
    assert "do not tell which" in verdict(line, "poor", "poor")


def test_what_cannot_be_compared_says_why(installed_task: Task, usual_run: Path) -> None:
    with pytest.raises(DataError, match="does not name task 'gone'"):
        comparison.subject_of({"id": "r", "folder": "/x", "tasks": []}, "poor", "gone")
    a, b = subject(usual_run, "poor"), subject(usual_run, "oracle")
    other = b._replace(task=json.dumps(TASK | {"digest": "d2"}))
    with pytest.raises(UserError, match="different samples"):
        comparison.paired(a, other)
    with pytest.raises(DataError, match="put the folder back"):
        comparison.paired(a._replace(folder="/nowhere"), b)


def test_a_run_s_plug_in_file_is_not_loaded(installed_task: Task, usual_run: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "evil.py"
    plugin.write_text("raise SystemExit('loaded')")
    document = json.loads((usual_run / "run.json").read_text())
    document |= {"folder": str(usual_run), "tasks": [TASK], "settings": {"plugins": [str(plugin)]}}
    sides = [comparison.subject_of(document, name, "wer-tones") for name in ("also-good", "silent")]
    lines, _ = comparison.paired(sides[0], sides[1])
    assert lines[0].n == 12


def test_side_by_side_by_intervals(usual_run: Path, store_url: str) -> None:
    with Store.open(store_url) as store:
        sides = {name: queries.model_results(store, name) for name in ("good:beam=5", "poor")}
    row = comparison.side_by_side(sides["poor"], sides["good:beam=5"]).iloc[0]
    assert (row["task"], row["metric"], row["told"]) == ("wer-tones", "wer", "B")
    turned = {name: side.assign(direction="higher") for name, side in sides.items()}
    assert comparison.side_by_side(turned["poor"], turned["good:beam=5"])["told"].tolist() == ["A"]
    assert comparison.side_by_side(sides["poor"], sides["poor"])["told"].tolist() == [""]
    assert "B is better" in tasks_table(comparison.side_by_side(sides["poor"], sides["good:beam=5"]))
    assert comparison.side_by_side(sides["poor"], sides["poor"].iloc[:0]).empty


def test_samples_whose_words_changed_most(usual_run: Path) -> None:
    a, b = (evidence.read_samples(str(usual_run), name, "wer-tones") for name in ("oracle", "poor"))
    found = comparison.most_different(a, b, most=3)
    worst = b.set_index("sample_id")["errors"].sort_values(ascending=False)
    assert [one.change for one in found] == worst.head(3).tolist()
    assert comparison.most_different(a.drop(columns="errors"), b) == ()


def test_an_answer_is_text(usual_run: Path, add_run: AddRun) -> None:
    texts: dict[str, Sequence[str]] = {"m": [NASTY] * 12}
    folder = add_run(texts, run_id="nasty", failed=[("m", "clip-01")])
    samples = evidence.read_samples(str(folder), "m", "wer-tones")
    assert "Status error: out of memory" in answer(samples.iloc[1])
    plain = samples.drop(columns=[name for name in samples if str(name).startswith("detail.")]).iloc[0]
    for html in (answer(samples.iloc[0]), answer(plain.copy())):
        assert "<img" not in html
    plain["score"] = 0.25
    assert "0.25" in answer(plain)
