from collections import Counter
from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import in_the_wild as module
from audiometry.tasks.corpora.in_the_wild import in_the_wild

META = """file,speaker,label
0.wav,Ann Example,spoof
1.wav,Ann Example,bona-fide
2.wav,"Bob Example, Jr.",bona-fide
"""


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"all": 3}))
    root = tmp_path / "release_in_the_wild"
    root.mkdir()
    (root / "meta.csv").write_text(META)
    for number in range(3):
        (root / f"{number}.wav").write_bytes(tone(0.1 * (number + 1)))
    return root


@pytest.mark.parametrize("above", [False, True])
def test_every_trial_is_listed(folder, above):
    corpus = in_the_wild(path=str(folder.parent if above else folder))
    assert [(row.id, row.label, row.speaker) for row in corpus.rows()] == [
        ("0", "spoof", "Ann Example"),
        ("1", "bona fide", "Ann Example"),
        ("2", "bona fide", "Bob Example, Jr."),
    ]
    assert Counter(row.label for row in corpus.rows()) == {"bona fide": 2, "spoof": 1}
    assert read(corpus.rows()[2].audio).seconds == pytest.approx(0.3)
    assert corpus.describe()["trials"] == "3"


def test_the_published_count_is_checked(folder, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"all": 31_779}))
    with pytest.raises(DataError, match="3 trials found, 31,779 expected"):
        in_the_wild(path=str(folder)).rows()


def test_missing_recordings_and_labels_are_counted(folder, tone):
    (folder / "1.wav").unlink()
    (folder / "7.wav").write_bytes(tone(0.1))
    with pytest.raises(DataError) as caught:
        in_the_wild(path=str(folder)).rows()
    assert "1 of 4 recordings missing or empty, first 1" in str(caught.value)
    assert "1 of 4 recordings without transcript or label, first 7" in str(caught.value)
    assert [row.id for row in in_the_wild(path=str(folder), partial=True).rows()] == ["0", "2"]


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (
            META.replace("bona-fide", "real"),
            "2 of 3 lines are not of the form .*, first line 3: '1.wav,Ann",
        ),
        (META.replace(",label", ",kind"), "has no column 'label'; it has: file, speaker, kind"),
        (META + META.partition("\n")[2], "3 entries come more than once, first 0.wav"),
        (META + "3.wav,Ann", "1 of 4 lines are not of the form 'file,speaker,label'"),
    ],
)
def test_a_list_of_another_form_is_refused(folder, meta, message):
    (folder / "meta.csv").write_text(meta)
    with pytest.raises(DataError, match=message):
        in_the_wild(path=str(folder), partial=True).rows()


def test_another_corpus_is_named(tmp_path):
    (tmp_path / "AudioWAV").mkdir()
    with pytest.raises(DataError, match="does not hold In-the-Wild: it holds 1 entries"):
        in_the_wild(path=str(tmp_path)).rows()
