from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import audiocaps as module
from audiometry.tasks.corpora.audiocaps import audiocaps

HEADER = "audiocap_id,youtube_id,start_time,caption\n"
TEST = HEADER + "".join(
    f'{10 * clip + number},{video},{start},"Rain {number}, then {video}"\n'
    for number in range(5)
    for clip, (video, start) in enumerate([("7fmOlUlwoNg", "0"), ("-6cS0FsUM-cQ", "30"), ("_xylo5_IiaM", "20")])
)
TRAIN = HEADER + "91139,r1nicOVtvkQ,130,A woman talks\rnearby as water pours\n58146,UDGBjjwyaqE,20,Multiple clanking\n"


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"test": 3}))
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "test.csv").write_text(TEST)
    (tmp_path / "train.csv").write_text(TRAIN, newline="")
    for place in ("test/7fmOlUlwoNg_0.wav", "test/Y-6cS0FsUM-cQ.wav", "test/12.wav", "audio/train/91139.wav",
                  "audio/train/UDGBjjwyaqE.wav"):  # fmt: skip
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(tone(0.2))
    (tmp_path / "test" / "12.wav").rename(tmp_path / "test" / "42.wav")
    return tmp_path


def test_the_captions_of_a_clip_come_together(folder):
    (folder / "test" / "42.wav").rename(folder / "test" / "22.wav")  # named after one of its captions
    corpus = audiocaps(path=str(folder))
    assert [(row.id, len(row.references)) for row in corpus.rows()] == [
        ("7fmOlUlwoNg", 5), ("-6cS0FsUM-cQ", 5), ("_xylo5_IiaM", 5),
    ]  # fmt: skip
    assert corpus.rows()[1].references[:2] == ("Rain 0, then -6cS0FsUM-cQ", "Rain 1, then -6cS0FsUM-cQ")
    assert [row.audio.path.rpartition("/")[2] for row in corpus.rows()] == [
        "7fmOlUlwoNg_0.wav", "Y-6cS0FsUM-cQ.wav", "22.wav",
    ]  # fmt: skip
    assert read(corpus.rows()[0].audio).seconds == pytest.approx(0.2)


def test_train_has_one_caption_a_clip(folder):
    corpus = audiocaps(path=str(folder), split="train")
    assert [row.references for row in corpus.rows()] == [
        ("A woman talks nearby as water pours",), ("Multiple clanking",),
    ]  # fmt: skip


def test_videos_that_are_gone_are_counted(folder):
    with pytest.raises(DataError, match="1 of 3 recordings missing or empty, first _xylo5_IiaM; set partial=true"):
        audiocaps(path=str(folder)).rows()
    part = audiocaps(path=str(folder), partial=True)
    assert len(part.rows()) == 2
    assert part.notes == ("part of audiocaps/test: 1 of 3 recordings missing or empty, first _xylo5_IiaM",)


def test_clips_without_captions_are_counted(folder):
    (folder / "train.csv").write_text(TRAIN.replace("Multiple clanking", ""))
    with pytest.raises(DataError, match="1 of 2 recordings without transcript or label, first UDGBjjwyaqE"):
        audiocaps(path=str(folder), split="train").rows()


def test_the_published_count_is_checked(folder, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"test": 975}))
    with pytest.raises(DataError, match="3 clips found, 975 expected"):
        audiocaps(path=str(folder)).rows()


def test_another_list_of_that_name_is_refused(folder):
    (folder / "test.csv").write_text("id,text\n1,x\n")
    with pytest.raises(DataError, match="has no column 'audiocap_id'"):
        audiocaps(path=str(folder)).rows()
    with pytest.raises(DataError, match="but not its split 'val'; there is: test, train"):
        audiocaps(path=str(folder), split="val").rows()
