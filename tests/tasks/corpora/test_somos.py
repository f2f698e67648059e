from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import somos as module
from audiometry.tasks.corpora.rows import rating_columns
from audiometry.tasks.corpora.somos import somos
from audiometry.tasks.metrics.opinion import read_ratings

FULL = """systemId,utteranceId,choice,listenerId
015,novel_2007_0098_015.wav,4,KEXM49572020611127
015,novel_2007_0098_015.wav,2,ABCD
000,novel_2007_0098_000.wav,5,ABCD
000,novel_2007_0098_000.wav,4,ABCD
"""


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"full-test": 2}))
    root = tmp_path / "somos"
    for kind, text in {"full": FULL, "clean": "\n".join(FULL.splitlines()[:2])}.items():
        (root / "training_files" / "split1" / kind).mkdir(parents=True)
        (root / "training_files" / "split1" / kind / "TESTSET").write_text(text)
    (root / "audios").mkdir()
    for number, name in enumerate(("novel_2007_0098_015", "novel_2007_0098_000", "wiki_1_001")):
        (root / "audios" / f"{name}.wav").write_bytes(tone(0.1 * (number + 1)))
    return root


def test_every_listener_s_rating_is_there(folder):
    corpus = somos(path=str(folder.parent), split="full-test")
    assert [(row.id, row.system, row.utterance, row.mos, dict(row.slices)) for row in corpus.rows()] == [
        ("novel_2007_0098_015", "015", "novel_2007_0098", 3.0, {"speech": "synthetic"}),
        ("novel_2007_0098_000", "000", "novel_2007_0098", 4.5, {"speech": "natural"}),
    ]
    assert [one.rater for one in corpus.rows()[0].ratings] == ["KEXM49572020611127", "ABCD"]
    assert read(corpus.rows()[1].audio).seconds == pytest.approx(0.2)
    table = read_ratings(rating_columns(corpus.rows()))
    assert (table.systems, table.rating.tolist()) == (("000", "015"), [4.0, 2.0, 4.5])


def test_clean_is_the_default(folder):
    (row,) = somos(path=str(folder)).rows()
    assert (row.id, len(row.ratings)) == ("novel_2007_0098_015", 1)


def test_a_half_copied_corpus_is_told_with_counts(folder):
    (folder / "audios" / "novel_2007_0098_000.wav").unlink()
    with pytest.raises(DataError, match="1 of 2 recordings missing or empty, first novel_2007_0098_000"):
        somos(path=str(folder), split="full-test").rows()
    assert len(somos(path=str(folder), split="full-test", partial=True).rows()) == 1


def test_the_published_count_is_checked(folder, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"full-test": 3_000}))
    with pytest.raises(DataError, match="2 utterances found, 3,000 expected"):
        somos(path=str(folder), split="full-test").rows()


@pytest.mark.parametrize("line", ["015,x_015.wav,0,ABCD", "015,x_015.wav,,ABCD", "015,x_015.wav,3,", "015,x_015.wav"])
def test_a_missing_rating_is_refused(folder, line):
    (folder / "training_files" / "split1" / "full" / "TESTSET").write_text(f"{FULL}{line}\n")
    with pytest.raises(DataError, match="1 of 5 lines are not of the form 'systemId,utteranceId,choice"):
        somos(path=str(folder), split="full-test", partial=True).rows()


def test_what_is_not_there_is_named(folder, tmp_path_factory):
    with pytest.raises(DataError, match=r"clean/VALIDSET: cannot be read: No such file"):
        somos(path=str(folder), split="clean-valid").rows()
    other = tmp_path_factory.mktemp("other")
    (other / "sets").mkdir()
    (other / "sets" / "DEVSET").touch()
    with pytest.raises(DataError, match=r"does not hold SOMOS: it holds 1 entries \(sets\)"):
        somos(path=str(other)).rows()
