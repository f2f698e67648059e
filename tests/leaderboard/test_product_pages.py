"""The pages of detection, bias, spoofing, trials and submissions, as Streamlit draws them, without a browser."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from drawn_pages import bodies, opened, shown
from made_runs import EVIL, SPREAD, add_groups, add_spoof
from streamlit.testing.v1 import AppTest

from audiometry.benchmark.store import Store
from audiometry.leaderboard import sign_in
from audiometry.leaderboard.api import tokens
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.queue import Queue


@pytest.fixture
def spoofs(tmp_path: Path, store_url: str) -> dict[str, Any]:
    return add_spoof(tmp_path / "spoof-run", store_url, SPREAD)


@pytest.fixture
def groups(tmp_path: Path, store_url: str) -> Path:
    add_groups(tmp_path / "group-run", store_url)
    return tmp_path / "group-run"


@pytest.mark.parametrize("page", ["detection", "spoof", "bias"])
def test_an_empty_store_says_what_to_run(page: str, store_url: str) -> None:
    text = bodies(opened(page))
    assert "<code>audiometry run " in text
    assert ("shortcut" in text) == (page != "bias")


def test_a_store_without_detection_offers_none_of_its_tasks(groups: Path) -> None:
    assert "no results of a detection task yet" in shown(opened("detection"))
    assert "no results of spoof detection yet" in shown(opened("spoof"))


def test_operating_points_stand_beside_the_curves(spoofs: dict[str, Any]) -> None:
    test = opened("detection")
    text = shown(test)
    for model, values in spoofs.items():
        assert model in text
        assert f"{100 * values['eer']:.1f} %" in text
        assert f"{values['min_dcf']:.3g}" in text
    (chart,) = test.get("plotly_chart")
    lines = [trace for trace in json.loads(chart.proto.spec)["data"] if trace["mode"] == "lines"]
    assert [trace["name"] for trace in lines] == ["good", "poor", "shortcut"]  # the control always beside
    (link,) = [element.value for element in test.code]
    query = parse_qs(urlsplit(link).query)
    assert query["attack"] == ["all attacks pooled"]
    assert query["model"] == ["good", "poor", "shortcut"]


def test_one_attack_alone_has_its_own_rate_and_interval(spoofs: dict[str, Any]) -> None:
    text = shown(opened("detection", attack="A02", model="good"))
    value = spoofs["good"]["eer-A02"]
    assert f"{100 * value:.1f} %" in text
    assert f"[{100 * max(0, value - 0.05):.1f}, {100 * (value + 0.05):.1f}]" in text
    assert "of 20)" in text
    assert "poor" not in text


def test_a_run_folder_that_is_gone_is_told_on_the_detection_page(spoofs: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "spoof-run" / "scores.parquet").unlink()
    text = shown(opened("detection"))
    assert "good: cannot read" in text
    assert "Operating points" not in text
    assert "mean over attacks" in shown(opened("spoof"))  # whose numbers are in the store


def test_every_attack_stands_beside_the_control(spoofs: dict[str, Any]) -> None:
    test = opened("spoof", model="good")
    text = shown(test)
    assert "spoof-made, equalisation E4 (and tone colour), unseen attacks" in text
    assert "Control: knows nothing of the voice" in text
    assert "better than shortcut" in text
    for metric in ("eer_macro", "eer_worst", "eer", "eer-A01", "eer-A02"):
        for model in ("good", "shortcut"):
            assert f"{100 * spoofs[model][metric]:.1f} %" in text
    assert "poor" not in text
    (chart,) = test.get("plotly_chart")
    assert "A01 (n = 20)" in json.loads(chart.proto.spec)["layout"]["yaxis"]["ticktext"]


def test_without_the_control_the_spoof_page_warns(tmp_path: Path, store_url: str) -> None:
    add_spoof(tmp_path / "spoof-run", store_url, {"good": 3.0})
    text = shown(opened("spoof"))
    assert "The control “shortcut” was not run on these trials" in text
    assert "better than shortcut" not in text


def test_a_trial_is_heard_seen_and_told(spoofs: dict[str, Any]) -> None:
    test = opened("samples", model="good", sample="A01-03")
    text = shown(test)
    assert "spoof: A01" in text
    assert "of all bona fide, scored as low" in text
    assert "0.50 s of sound at 16,000 Hz. Level " in text
    assert "before any change that the task makes" in text
    assert "Half of the energy below" in text  # the picture in numbers
    assert len(test.get("audio")) == 1
    assert [chart for chart in test.get("plotly_chart") if "heatmap" in chart.proto.spec]
    real = shown(opened("samples", model="good", sample="real-03"))
    assert "of all spoofs, scored as high" in real
    assert "bona fide" in real


def test_trials_are_sorted_by_how_wrong_they_are(spoofs: dict[str, Any], tmp_path: Path) -> None:
    test = opened("samples", model="good")
    scores = pd.read_parquet(tmp_path / "spoof-run" / "scores.parquet")
    mine = scores[scores["model"] == "good"]
    against = mine["count.score"].where(mine["count.bona_fide"] == 0, -mine["count.score"])
    (box,) = [element for element in test.selectbox if element.label.startswith("Sample (")]
    assert box.value == mine.loc[against.idxmax(), "sample_id"]


def test_a_failed_trial_is_wrong_at_every_threshold(spoofs: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "spoof-run" / "scores.parquet"
    frame = pd.read_parquet(path)
    frame.loc[(frame["sample_id"] == "A01-03") & (frame["model"] == "good"), "count.failed"] = 1.0
    frame.to_parquet(path)
    test = opened("samples", model="good")
    (box,) = [element for element in test.selectbox if element.label.startswith("Sample (")]
    assert box.value == "A01-03"
    assert "none: failed, so wrong at every threshold" in shown(test)


def test_sound_of_a_run_that_somebody_else_reported_is_not_opened(tmp_path: Path, store_url: str) -> None:
    add_spoof(tmp_path / "spoof-run", store_url, SPREAD)
    from audiometry.benchmark.database import connect, writing
    from audiometry.benchmark.schema import RUNS

    engine = connect(store_url)
    with writing(engine) as connection:
        connection.execute(RUNS.update().values(origin="self-reported"))
    engine.dispose()
    test = opened("samples", model="good")
    assert "Its sound is not opened" in shown(test)
    assert len(test.get("audio")) == 0


def test_gaps_are_told_with_their_tests(groups: Path) -> None:
    test = opened("bias")
    text = shown(test)
    assert "a difference" in text
    assert "no difference shown" in text
    assert "Groups of <bdi>age</bdi>, worst first" in text  # the slice with the smallest p
    after = text.split("Groups of <bdi>age</bdi>")[1]
    assert after.index("old") < after.index("young")
    assert "(n = 40)" in test.get("plotly_chart")[1].proto.spec
    frame = pd.read_parquet(groups / "scores.parquet")
    gap = frame.groupby("slice.age")["count.wrong"].mean().diff().abs().iloc[-1]
    assert f"{100 * gap:.1f} %" in text
    assert len(test.get("plotly_chart")) == 2
    assert "half" in shown(opened("bias", slice="half"))


def test_groups_are_shown_where_gaps_cannot_be(groups: Path) -> None:
    (groups / "run.json").unlink()
    text = shown(opened("bias", model="mine"))
    assert "Gaps and tests cannot be shown: the run's folder" in text
    assert "Groups of <bdi>age</bdi>, worst first" in text


def test_a_task_without_slices_has_no_bias_page(spoofs: dict[str, Any]) -> None:
    assert "This task has no slices." in shown(opened("bias"))


@pytest.mark.parametrize("page", ["detection", "spoof", "samples"])
def test_a_name_from_outside_is_text(page: str, tmp_path: Path, store_url: str) -> None:
    add_spoof(tmp_path / "spoof-run", store_url, {EVIL: 1.0, "x" * 10_000: 1.0})
    test = opened(page)
    assert EVIL not in bodies(test)
    if page != "samples":  # there it stands in the box alone
        assert EVIL in shown(test)
    for chart in test.get("plotly_chart"):
        assert EVIL not in chart.proto.spec
    for element in (*test.markdown, *test.caption, *test.error, *test.warning, *test.info):
        assert EVIL not in element.value


def archive(**files: bytes) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name.replace("__", "."), content)
    packed.seek(0)
    return packed


def press(test: AppTest, label: str) -> AppTest:
    next(button for button in test.button if button.label == label).click()
    return test.run()


def signed_in(store_url: str, role: str) -> AppTest:
    with Store.open(store_url) as store:
        secret = tokens.create(store, f"Ada {EVIL}", role)
    test = opened("submissions")
    test.text_input[0].set_value(secret)
    press(test, "Sign in")
    assert not test.exception
    return test


def test_the_submissions_of_an_empty_store(store_url: str) -> None:
    text = shown(opened("submissions"))
    assert "There are no submissions in this state yet." in text
    assert "Sign in to submit" in text


def test_every_state_is_told_and_who_sent_it_only_to_those_signed_in(store_url: str) -> None:
    with Store.open(store_url) as store:
        queue = Queue(store)
        first = queue.receive(
            EVIL, "Bea", "core", {"warnings": ["trained on what it is tested on"], "contact": "b@x.org"}
        )
        queue.reject(first, f"weights.bin is a pickle {EVIL}")
        second = queue.receive("waits", "Bea", "core", {})
        queue.checked(second, "d" * 64, [])
        queue.queued(second)
        assert queue.lease("worker-1", 60) is not None
        queue.heartbeat(second, "worker-1", 60, 0.25, 200.0)
    text = shown(opened("submissions"))
    assert "weights.bin is a pickle" in text
    assert "25 % of its samples answered, about 3 min left" in text
    assert "trained on what it is tested on" in text
    assert "Bea" not in text
    assert "b@x.org" not in text
    assert EVIL not in bodies(opened("submissions"))
    inside = shown(signed_in(store_url, "viewer"))
    assert "Bea" in inside
    assert "from Bea" not in inside  # details of events are for its submitter and those who may read everything
    assert "from Bea" in shown(signed_in(store_url, "auditor"))
    assert "No submission" not in shown(opened("submissions", state="rejected"))
    assert "waits" not in shown(opened("submissions", state="rejected"))


def test_signing_in_and_out(store_url: str) -> None:
    test = signed_in(store_url, "submitter")
    assert f"Signed in as <b><bdi>Ada {EVIL}" in shown(test)
    assert EVIL not in bodies(test)
    assert len(test.get("file_uploader")) == 1
    press(test, "Sign out")
    assert "Sign in to submit" in shown(test)
    assert "signed-in" not in test.session_state
    test.text_input[0].set_value("am_0000000000000000_wrong")
    press(test, "Sign in")
    assert "Not signed in: this token is wrong" in shown(test)


def test_a_revoked_token_is_signed_out_at_once(store_url: str) -> None:
    test = signed_in(store_url, "submitter")
    with Store.open(store_url) as store:
        tokens.revoke(store, tokens.listing(store)[0].id)
    test.run()
    assert "You were signed out: this token was revoked on" in shown(test)
    assert len(test.get("file_uploader")) == 0


def test_a_viewer_is_offered_no_upload(store_url: str) -> None:
    test = signed_in(store_url, "viewer")
    assert "viewer, may not submit" in shown(test)
    assert len(test.get("file_uploader")) == 0


@pytest.mark.parametrize("refused", ["", f"it holds a pickle {EVIL}"])
def test_what_became_of_an_upload_is_told(store_url: str, monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    def submit(path: Path, **_: object) -> str:
        assert path.read_bytes() == archive(a=b"x").getvalue()
        if refused:
            raise SubmissionError(refused)
        return "20260101-000000-0"

    monkeypatch.setattr(sign_in, "submit_archive", submit)
    test = signed_in(store_url, "submitter")
    test.file_uploader[0].set_value(("model.zip", archive(a=b"x").getvalue(), "application/zip")).run()
    press(test, "Submit")
    assert not test.exception
    assert ("Refused: it holds a pickle" if refused else "Accepted as 20260101-000000-0") in shown(test)
    assert EVIL not in bodies(test)
    assert not test.file_uploader[0].value  # an empty box again
