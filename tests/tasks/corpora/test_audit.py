from __future__ import annotations

import json
import math

import numpy as np
import pytest
import soundfile
import typer
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from typer.testing import CliRunner

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Audio
from audiometry.tasks import commands
from audiometry.tasks.corpora.audit import UNKNOWN, as_rows, audit, effective_numbers
from audiometry.tasks.corpora.utterance import Utterance


def said(name, language="", speaker="", minutes=1.0, **slices):
    seconds = None if minutes is None else 60 * minutes
    return Utterance(name, Audio("a.wav", seconds=seconds), "x", language, speaker, slices=slices)


def test_a_corpus_of_one_language_in_the_main():
    """82 % English and three languages of 6 %: four languages that are as diverse as fewer than two."""
    rows = [said("a", "en", "ann", 41.0), said("b", "en", "bob", 41.0)]
    rows += [said(language, language, "cid", 6.0) for language in ("de", "fr", "it")]
    found = audit(rows)
    language = found.dimensions[0]
    assert (found.utterances, found.minutes, found.unmeasured) == (5, 100.0, 0)
    assert [(group.name, group.share, group.speakers) for group in language.groups[:2]] == [
        ("en", pytest.approx(0.82), 2), ("de", pytest.approx(0.06), 1),
    ]  # fmt: skip
    assert language.largest == pytest.approx(0.82)
    assert language.effective_entropy == pytest.approx(math.exp(-0.82 * math.log(0.82) - 3 * 0.06 * math.log(0.06)))
    assert language.effective_simpson == pytest.approx(1 / (0.82**2 + 3 * 0.06**2))
    assert [one.name for one in found.dimensions] == ["language", "speaker", "gender"]
    assert found.dimensions[2].known == 0.0
    assert math.isnan(found.dimensions[2].largest)


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=30))
def test_effective_numbers_are_between_one_and_all(amounts):
    by_entropy, by_simpson = effective_numbers(amounts)
    assert 1 - 1e-9 <= by_simpson <= by_entropy * (1 + 1e-9) <= len(amounts) * (1 + 2e-9)
    assert by_entropy == pytest.approx(float(np.exp(entropy(amounts))))
    assert effective_numbers([2 * one for one in amounts]) == pytest.approx((by_entropy, by_simpson))


def test_effective_numbers_of_nothing_and_of_bad_amounts():
    assert all(math.isnan(number) for number in effective_numbers([0.0]))
    for bad in ([-1.0], [math.nan], [math.inf]):
        with pytest.raises(DataError, match="at least 0"):
            effective_numbers(bad)


def test_unknown_facts_and_lengths_are_told():
    found = audit([said("a", minutes=3.0, accent="scottish"), said("b", minutes=1.0), said("c", minutes=None)])
    assert (found.minutes, found.unmeasured) == (4.0, 1)
    (accent,) = audit([said("a", minutes=3.0, accent="scottish"), said("b")], by=["accent"]).dimensions
    assert [group.name for group in accent.groups] == ["scottish", UNKNOWN]
    assert accent.known == 0.75
    assert accent.effective_entropy == 1.0
    assert json.loads(json.dumps(as_rows(found)))[1]["largest"] is None


def test_nothing_to_audit():
    with pytest.raises(DataError, match="no utterance"):
        audit([])
    with pytest.raises(DataError, match="they tell: language, speaker, gender"):
        audit([said("a")], by=["shoe size"])


@pytest.fixture
def app():
    made = typer.Typer()
    commands.register(made)
    return made


@pytest.fixture
def listed(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000 * 3), 16000)
    soundfile.write(tmp_path / "b.wav", np.zeros(16000), 16000)
    rows = "".join(f"a.wav,hi,{n},ann,en,room{n}\n" for n in range(12)) + "b.wav,salut,x,bob,fr,\x1b[31mred\n"
    (tmp_path / "list.csv").write_text(f"audio,text,id,speaker,language,room\n{rows}")
    return f"manifest:path={tmp_path / 'list.csv'}"


def test_the_command_prints_a_table(app, listed):
    told = CliRunner().invoke(app, ["corpora", "audit", listed])
    assert told.exit_code == 0
    assert "13 utterances, 0.6 minutes" in told.stdout
    assert "language: known for 100.0% of minutes, largest group 97.3%" in told.stdout
    assert "  and 3 more" in told.stdout
    assert "\x1b" not in told.stdout


def test_the_command_prints_json(app, listed):
    told = CliRunner().invoke(app, ["corpora", "audit", listed, listed, "--by", "speaker", "--json"])
    document = json.loads(told.stdout)
    assert document["utterances"] == 26
    (speaker,) = document["dimensions"]
    assert [group["name"] for group in speaker["groups"]] == ["ann", "bob"]
    assert speaker["groups"][0]["minutes"] == pytest.approx(1.2)
