import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import esc50 as module
from audiometry.tasks.corpora.esc50 import esc50

META = """filename,fold,target,category,esc10,src_file,take
1-100032-A-0.wav,1,0,dog,True,100032,A
2-100038-A-14.wav,2,14,chirping_birds,False,100038,A
1-100210-A-36.wav,1,36,vacuum_cleaner,False,100210,A
5-9032-A-0.wav,5,0,dog,True,9032,A
"""


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"all": 4, "fold1": 2}))
    root = tmp_path / "ESC-50-master"
    for sub in ("meta", "audio"):
        (root / sub).mkdir(parents=True)
    (root / "meta" / "esc50.csv").write_text(META)
    for line in META.splitlines()[1:]:
        (root / "audio" / line.partition(",")[0]).write_bytes(tone(0.2))
    return root


def test_every_clip_has_its_class_and_fold(folder):
    corpus = esc50(path=str(folder.parent))
    assert [(row.id, row.events) for row in corpus.rows()] == [
        ("1-100032-A-0", ("dog",)),
        ("2-100038-A-14", ("chirping_birds",)),
        ("1-100210-A-36", ("vacuum_cleaner",)),
        ("5-9032-A-0", ("dog",)),
    ]
    assert [dict(row.slices) for row in corpus.rows()][:3] == [
        {"fold": "1", "group": "animals", "esc10": "true"},
        {"fold": "2", "group": "natural soundscapes and water", "esc10": "false"},
        {"fold": "1", "group": "interior and domestic", "esc10": "false"},
    ]
    assert corpus.classes() == ["dog", "chirping_birds", "vacuum_cleaner"]
    assert read(corpus.rows()[0].audio).seconds == pytest.approx(0.2)


def test_a_fold_is_a_split(folder):
    assert [row.id for row in esc50(path=str(folder), split="fold1").rows()] == ["1-100032-A-0", "1-100210-A-36"]
    assert len(esc50(path=str(folder), split="fold5", partial=True).rows()) == 1


def test_missing_recordings_and_labels_are_counted(folder, tone):
    (folder / "audio" / "5-9032-A-0.wav").unlink()
    (folder / "audio" / "6-1-A-1.wav").write_bytes(tone(0.1))
    with pytest.raises(DataError) as caught:
        esc50(path=str(folder)).rows()
    assert "5 clips found, 4 expected" in str(caught.value)
    assert "1 of 5 recordings missing or empty, first 5-9032-A-0" in str(caught.value)
    assert "1 of 5 recordings without transcript or label, first 6-1-A-1" in str(caught.value)
    assert "run: audiometry data prepare esc50" in str(caught.value)
    assert len(esc50(path=str(folder), split="fold1").rows()) == 2


def test_the_published_count_is_checked(folder, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"all": 2_000}))
    with pytest.raises(DataError, match="4 clips found, 2,000 expected"):
        esc50(path=str(folder)).rows()


@pytest.mark.parametrize("row", ["a.wav,6,0,dog,True,1,A", "a.wav,1,x,dog,True,1,A", "a.wav,1,50,dog,True,1,A",
                                 "a.wav,1,0,,True,1,A", "a.wav,1,0"])  # fmt: skip
def test_a_missing_label_is_refused(folder, row):
    (folder / "meta" / "esc50.csv").write_text(f"{META}{row}\n")
    with pytest.raises(DataError, match="1 of 5 lines are not of the form"):
        esc50(path=str(folder), partial=True).rows()


def test_it_is_fetched_where_there_is_a_network(folder, home, tmp_path, monkeypatch):
    archive = shutil.make_archive(str(tmp_path / "fetched"), "zip", folder.parent, folder.name)
    asked = []

    def answer(url, timeout):
        asked.append(url)
        return Path(archive).open("rb")

    monkeypatch.setattr("urllib.request.urlopen", answer)
    corpus, told = esc50(), []
    corpus.prepare(None, told.append)
    assert asked == ["https://github.com/karolpiczak/ESC-50/archive/master.zip"]
    assert told[-1] == f"esc50/all: 4 clips, in {home / 'corpora' / 'esc50'}"
    assert len(esc50(split="fold1").rows()) == 2
    corpus.prepare(None, told.append)
    assert len(asked) == 1


def test_another_corpus_is_named(tmp_path):
    (tmp_path / "esc50.csv").write_text(META)
    with pytest.raises(DataError, match=r"does not hold ESC-50: it holds 1 entries \(esc50\.csv\)"):
        esc50(path=str(tmp_path)).rows()
