"""Each page as Streamlit draws it, without a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from drawn_pages import bodies, box, draw, opened, shown
from streamlit.testing.v1 import AppTest

from audiometry.benchmark.store import Store
from audiometry.leaderboard import app, board

AddRun = Callable[..., Path]
PAGES = ("ranking", "slices", "samples")
NASTY = ("<script>alert(1)</script>", "[x](javascript:alert(1))", "**bold** $x^2$ :material/home: :red[y]")


def test_the_app_opens_at_the_ranking(usual_run: Path) -> None:
    test = AppTest.from_file(str(app.__file__), default_timeout=60).run()
    assert not test.exception
    assert "<h1>Leaderboard</h1>" in bodies(test)
    assert "also-good" in bodies(test)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_store_says_what_to_type(page: str, store_url: str) -> None:
    text = bodies(opened(page))
    assert "There are no results yet." in text
    assert "<code>make demo</code>" in text
    assert "<code>audiometry run " in text


@pytest.mark.parametrize("page", PAGES)
def test_a_store_that_cannot_be_opened_says_why(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDIOMETRY_STORE", f"sqlite:///{tmp_path}")
    assert "is a folder; name a file in it" in shown(opened(page))


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_its_link_its_downloads_and_what_limits_its_numbers(page: str, usual_run: Path) -> None:
    test = opened(page)
    (link,) = [element.value for element in test.code]
    query = parse_qs(urlsplit(link).query)
    assert query["task"] == ["wer-tones"]
    assert query["run"] == ["latest"]
    assert [button.label for button in test.get("download_button")] == [
        "Download CSV",
        "Download JSON",
        "Download Parquet",
    ]
    assert "these speakers only" in bodies(test)


def test_the_ranking_shows_the_numbers_of_the_store(usual_run: Path, store_url: str) -> None:
    text = shown(opened("ranking"))
    with Store.open(store_url) as store:
        rows = board.ranking(store.results(metric="wer", slice="all"))
    for row in board.records(rows):
        assert board.format_value(row["value"], row["unit"]) in text
        assert board.format_interval(row["low"], row["high"], row["unit"]) in text
    assert "Word error rate" in text
    assert "Lower is better" in text
    assert "12 samples, version 1, normaliser none-1" in text


def test_oracle_and_silence_stand_among_the_controls(usual_run: Path) -> None:
    controls = shown(opened("ranking")).split("Controls, never ranked")[1]
    assert "oracle" in controls
    assert "0.0 %" in controls
    assert "silent" in controls
    assert "100.0 %" in controls


def test_the_plot_can_show_the_controls_too(usual_run: Path) -> None:
    test = opened("ranking")

    def names() -> list[str]:
        (chart,) = test.get("plotly_chart")
        ticks: list[str] = json.loads(chart.proto.spec)["layout"]["yaxis"]["ticktext"]
        return ticks

    assert "oracle" not in names()
    test.toggle[0].set_value(True).run()
    assert "oracle" in names()
    assert "poor" in names()


def test_a_link_opens_the_same_view_again(usual_run: Path) -> None:
    test = opened("ranking", metric="cer")
    assert box(test, "Metric").value == "cer"
    assert "Character error rate" in shown(test)
    box(test, "Metric").set_value("wer").run()
    assert test.query_params["metric"] == "wer"
    assert "metric=wer" in test.code[0].value


def test_a_link_to_something_that_is_not_here_says_so(usual_run: Path) -> None:
    test = opened("ranking", task="<b>gone</b>")
    assert "The link asks for task “<b>gone</b>”, which is not here." in shown(test)
    assert "<b>gone</b>" not in bodies(test)
    assert test.query_params["task"] == "wer-tones"


def test_one_run_can_be_looked_at_alone(add_run: AddRun, usual_texts: dict[str, Sequence[str]]) -> None:
    add_run(usual_texts, run_id="first")
    later = {"poor": ["nothing right"] * 12}
    add_run(later, run_id="second", created="2026-11-23T00:00:00+00:00", finished=None)
    test = opened("ranking")
    assert box(test, "Runs").options == ["latest of each model", "second", "first"]
    assert "also-good" in bodies(test)  # from the first run, the latest that it took part in
    test = opened("ranking", run="second")
    assert "also-good" not in bodies(test)
    assert "poor" in bodies(test)


def test_numbers_of_other_samples_are_kept_apart(
    add_run: AddRun, usual_texts: dict[str, Sequence[str]], store_url: str
) -> None:
    add_run(usual_texts, run_id="whole")
    part = {"name": "wer-tones", "version": "1", "settings": {}, "notes": [], "samples": 5, "digest": "d2"}
    add_run({"quick": usual_texts["poor"]}, run_id="part", limit=5, tasks=[part], created="2026-11-23T00:00:00+00:00")
    test = opened("ranking")
    assert "quick" not in bodies(test)
    measured = box(test, "Measured on")
    assert measured.options == ["12 samples, version 1, normaliser none-1", "5 samples (a part, by --limit), version 1"]
    with Store.open(store_url) as store:
        (other,) = set(store.protocols()["protocol"]) - {measured.value}
    measured.set_value(other).run()
    assert "quick" in bodies(test)
    assert "also-good" not in bodies(test)


def test_slices_show_each_group_and_what_cannot_be_told_apart(usual_run: Path) -> None:
    test = opened("slices")
    assert box(test, "Slice by").options == ["duration", "voice"]
    assert "long" in bodies(test)
    assert test.multiselect[0].value == ["also-good", "good:beam=5", "poor"]  # ranked models, best first
    box(test, "Slice by").set_value("voice").run()
    assert "same samples as all" in bodies(test)
    assert test.query_params["slice"] == "voice"


def test_slices_of_the_models_that_the_link_names(usual_run: Path) -> None:
    test = opened("slices", model=["oracle", "poor"])
    assert set(test.multiselect[0].value) == {"oracle", "poor"}
    test.multiselect[0].set_value([]).run()
    assert "Choose a model." in bodies(test)


def test_a_task_without_slices_says_so(usual_run: Path, store_url: str) -> None:
    from audiometry.benchmark.database import connect, writing
    from audiometry.benchmark.schema import RESULTS

    engine = connect(store_url)
    with writing(engine) as connection:
        connection.execute(RESULTS.delete().where(RESULTS.c.slice != "all"))
    engine.dispose()
    assert "This task has no slices." in bodies(opened("slices"))


def test_a_sample_is_heard_and_read(usual_run: Path) -> None:
    test = opened("samples", model="poor", sample="clip-04")
    scores = pd.read_parquet(usual_run / "scores.parquet").set_index(["model", "sample_id"])
    row = scores.loc[("poor", "clip-04")]
    text = shown(test)
    for name in ("reference", "hypothesis", "reference_normalised", "hypothesis_normalised"):
        assert row[f"detail.{name}"] in text
    assert 'class="am-align" role="group"' in text
    assert text.count("<small>") - 3 >= row["count.substitutions"] + row["count.deletions"] + row["count.insertions"]
    (audio,) = test.get("audio")
    assert audio.proto.url.endswith(".wav")


def test_samples_are_filtered_and_sorted(usual_run: Path) -> None:
    test = opened("samples", model="poor")
    scores = pd.read_parquet(usual_run / "scores.parquet")
    mine = scores[scores["model"] == "poor"].set_index("sample_id")
    errors = mine[["count.substitutions", "count.deletions", "count.insertions"]].sum(axis="columns")
    listed = [option.split()[0] for option in box(test, "Sample (").options]
    assert [errors[name] for name in listed] == sorted(errors, reverse=True)
    box(test, "Status").set_value("error").run()
    assert box(test, "Sample (").options[0].startswith("clip-03")
    assert "Status error: out of memory" in shown(test)
    box(test, "Slice").set_value("duration=long").run()
    assert "No sample is left" in bodies(test)
    box(test, "Status").set_value("any").run()
    assert len(box(test, "Sample (").options) == 6


def test_previous_and_next_step_through_the_list(usual_run: Path) -> None:
    test = opened("samples", model="poor", order="name")
    assert box(test, "Sample (").value == "clip-00"

    def press(label: str) -> None:
        next(button for button in test.button if button.label == label).click().run()

    press("Next")
    assert test.query_params["sample"] == "clip-01"
    press("Previous")
    press("Previous")
    assert test.query_params["sample"] == "clip-11"  # round the end


def test_a_sample_beyond_the_listed_ones_can_still_be_linked(usual_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiometry.leaderboard.views import samples

    monkeypatch.setattr(samples, "LISTED", 3)
    test = opened("samples", model="poor", order="name", sample="clip-09")
    assert box(test, "Sample (12 of this choice, the first 3 listed)").value == "clip-09"


def test_a_sound_that_is_gone_is_told(usual_run: Path) -> None:
    outputs = pd.read_parquet(usual_run / "outputs.parquet")
    Path(outputs["audio"][0]).unlink()
    test = opened("samples", model="poor", sample="clip-00")
    assert "This sound cannot be played" in shown(test)
    assert "Counts" in bodies(test)


def test_a_run_folder_that_is_gone_is_told(usual_run: Path) -> None:
    (usual_run / "scores.parquet").unlink()
    assert "put the run's folder back, or run it again" in shown(opened("samples"))


def test_a_task_of_scores_without_texts_or_sound(usual_run: Path) -> None:
    for name in ("scores", "outputs"):
        frame = pd.read_parquet(usual_run / f"{name}.parquet")
        frame = frame.drop(columns=[column for column in frame if column.startswith("detail.")])
        if name == "outputs":
            frame = frame.assign(score=0.25, audio=None)
        frame.to_parquet(usual_run / f"{name}.parquet")
    text = shown(opened("samples", model="poor", sample="clip-00"))
    assert "This sample has no sound." in text
    assert "0.25" in text
    assert "answer, as it is" in text


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", NASTY)
def test_a_name_from_outside_is_text_everywhere(
    page: str, name: str, add_run: AddRun, usual_texts: dict[str, Sequence[str]]
) -> None:
    """Own HTML holds it escaped; it reaches neither Markdown nor a label, which Streamlit would read as Markdown."""
    add_run({name: [name] * 12, "oracle": usual_texts["oracle"]}, notes=[name])
    test = opened(page)
    assert name in shown(test)
    if "<" in name:
        assert name not in bodies(test)
    for element in (*test.markdown, *test.caption, *test.error, *test.warning, *test.info):
        assert name not in element.value
    for widget in (*test.selectbox, *test.button, *test.expander):
        assert name not in widget.label


def test_no_page_breaks_when_the_reader_walks_through_them(usual_run: Path) -> None:
    """What one page keeps in the session is no trouble for the next."""
    test = opened("samples", model="poor", sample="clip-04", order="name")
    kept = {name: test.session_state[name] for name in test.session_state.keys() if name.startswith("kept:")}  # noqa: SIM118
    for page in PAGES:
        after = AppTest.from_function(draw, args=(page,), default_timeout=60)
        for name, value in kept.items():
            after.session_state[name] = value
        after.run()
        assert not after.exception
        assert "which is not here" not in bodies(after)
        if page == "samples":
            assert box(after, "Sample (").value == "clip-04"


def test_a_dark_page_gets_a_dark_plot(usual_run: Path) -> None:
    colours = []
    for theme in ("light", "dark"):
        test = AppTest.from_function(draw, args=("ranking",), default_timeout=60)
        test.context["theme"] = theme
        test.run()
        (chart,) = test.get("plotly_chart")
        colours.append(json.loads(chart.proto.spec)["layout"]["font"]["color"])
    assert len(set(colours)) == 2
