from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import audioset as module
from audiometry.tasks.corpora.audioset import Segment, audioset, file_names, parse_segment

CLASSES = """index,mid,display_name
0,/m/09x0r,"Speech"
1,/m/03v3yw,"Keys jangling"
2,/m/0k4j,"Car"
3,/t/dd00125,"Water tap, faucet"
"""
COMMENT = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=3, num_segs=3, num_unique_labels=4, num_positive_labels=5
# YTID, start_seconds, end_seconds, positive_labels
"""
EVAL = (
    COMMENT
    + """--4gqARaEJE, 0.000, 10.000, "/m/09x0r"
-0RWZT-miFs, 420.000, 430.000, "/m/03v3yw,/m/0k4j"
_xylo5_IiaM, 20.000, 30.000, "/t/dd00125,/m/09x0r"
"""
)


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"eval": 3}))
    (tmp_path / "class_labels_indices.csv").write_text(CLASSES)
    (tmp_path / "eval_segments.csv").write_text(EVAL)
    for place in ("audio/eval/Y--4gqARaEJE.wav", "audio/eval/-0RWZT-miFs_420.000_430.000.wav",
                  "eval_segments/_xylo5_IiaM.wav"):  # fmt: skip
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(tone(0.2))
    return tmp_path


def test_events_have_their_names(folder):
    corpus = audioset(path=str(folder))
    assert [(row.id, row.events) for row in corpus.rows()] == [
        ("--4gqARaEJE", ("Speech",)),
        ("-0RWZT-miFs", ("Keys jangling", "Car")),
        ("_xylo5_IiaM", ("Water tap, faucet", "Speech")),
    ]
    assert corpus.classes() == ["Speech", "Keys jangling", "Car", "Water tap, faucet"]
    assert read(corpus.rows()[1].audio).seconds == pytest.approx(0.2)
    assert corpus.describe()["clips"] == "3"


@pytest.mark.parametrize("number", range(7))
def test_every_name_is_found(folder, number, tone):
    segment = Segment("-0RWZT-miFs", 420.0, 430.0, ())
    (folder / "audio" / "eval" / "-0RWZT-miFs_420.000_430.000.wav").rename(
        folder / "eval_segments" / f"{file_names(segment)[number]}.wav"
    )
    assert len(audioset(path=str(folder)).rows()) == 3


def test_videos_that_are_gone_are_counted(folder):
    (folder / "eval_segments" / "_xylo5_IiaM.wav").write_bytes(b"")
    with pytest.raises(DataError, match="1 of 3 recordings missing or empty, first _xylo5_IiaM; set partial=true"):
        audioset(path=str(folder)).rows()
    assert len(audioset(path=str(folder), partial=True).rows()) == 2


def test_the_published_count_is_checked(folder, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"eval": 20_371}))
    with pytest.raises(DataError, match="3 clips found, 20,371 expected"):
        audioset(path=str(folder)).rows()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('x, 0.000, 10.000, "/m/0none"', "1 of 4 lines are not of the form .* that class_labels_indices.csv names"),
        ("x, 0.000, 10.000,", "1 of 4 lines are not of the form .*, first line 7"),
        ('x, begin, 10.000, "/m/09x0r"', "1 of 4 lines are not of the form"),
        ('x, 0.000, 10.000, "/m/09x0r', "1 of 4 lines are not of the form"),
        ("x, 0.000", "1 of 4 lines are not of the form"),
        ('--4gqARaEJE, 5.000, 10.000, "/m/09x0r"', "1 entries come more than once, first --4gqARaEJE"),
    ],
)
def test_missing_labels_are_counted(folder, line, message):
    (folder / "eval_segments.csv").write_text(EVAL + line + "\n")
    with pytest.raises(DataError, match=message):
        audioset(path=str(folder), partial=True).rows()


def test_what_is_not_there_is_named(folder, tmp_path_factory):
    with pytest.raises(DataError, match="but not its split 'balanced_train'; there is: eval"):
        audioset(path=str(folder), split="balanced_train").rows()
    (folder / "class_labels_indices.csv").unlink()
    with pytest.raises(DataError, match=r"class_labels_indices\.csv: cannot be read"):
        audioset(path=str(folder)).rows()
    other = tmp_path_factory.mktemp("other")
    (other / "notes.txt").touch()
    with pytest.raises(DataError, match=r"does not hold AudioSet: it holds 1 entries \(notes\.txt\)"):
        audioset(path=str(other)).rows()


def test_a_line_that_is_no_segment_is_none():
    assert parse_segment(["", "0", "1", "/m/0"]) is None
