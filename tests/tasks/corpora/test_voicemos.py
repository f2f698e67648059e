from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import voicemos as module
from audiometry.tasks.corpora.rows import rating_columns
from audiometry.tasks.corpora.voicemos import parse_rating, voicemos_bvcc
from audiometry.tasks.metrics.opinion import mean_opinion_scores, read_ratings

LISTENERS = [
    "{}_30-39_bZPQE7w4Zl3g_Female_Valid_1_No",
    "{}_20-29_aQ1_Male_Valid_1_No",
    "{}_60-69_c7_Others_Valid_2_Yes",
]
TEST = [
    f"sys64e2f,sys64e2f-utt9c183cd.wav,4,VDP1ovyrBzg8_1,{LISTENERS[0]}",
    f"sys64e2f,sys64e2f-utt9c183cd.wav,3,VDP1ovyrBzg8_2,{LISTENERS[1]}",
    f"sys64e2f,sys64e2f-uttbbbbbbb.wav,2,VDP1ovyrBzg8_3,{LISTENERS[2]}",
    f"sys0a1b2,sys0a1b2-utt9c183cd.wav,5,VDP1ovyrBzg8_4,{LISTENERS[0]}",
]


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"test": 3, "train": 1}))
    root = tmp_path / "main" / "DATA"
    for sub in ("sets", "wav"):
        (root / sub).mkdir(parents=True)
    (root / "mydata_system.csv").write_text("system_ID,mean\nsys64e2f,3.0\nsys0a1b2,5.0\n")
    (root / "sets" / "TESTSET").write_text("\n".join(TEST) + "\n")
    (root / "sets" / "TRAINSET").write_text(TEST[3].replace("utt9c183cd", "uttddddddd"))
    (root / "sets" / "test_mos_list.txt").write_text("sys64e2f-utt9c183cd.wav,3.5\n")
    for number, name in enumerate(["sys64e2f-utt9c183cd", "sys64e2f-uttbbbbbbb", "sys0a1b2-utt9c183cd",
                                   "sys0a1b2-uttddddddd"]):  # fmt: skip
        (root / "wav" / f"{name}.wav").write_bytes(tone(0.1 * (number + 1)))
    return root


def test_every_listener_s_rating_is_there(folder):
    corpus = voicemos_bvcc(path=str(folder.parent.parent))
    assert [(row.id, row.system, row.utterance, row.mos) for row in corpus.rows()] == [
        ("sys64e2f-utt9c183cd", "sys64e2f", "utt9c183cd", 3.5),
        ("sys64e2f-uttbbbbbbb", "sys64e2f", "uttbbbbbbb", 2.0),
        ("sys0a1b2-utt9c183cd", "sys0a1b2", "utt9c183cd", 5.0),
    ]
    first = corpus.rows()[0]
    assert [(one.rater, one.value) for one in first.ratings] == [("bZPQE7w4Zl3g", 4.0), ("aQ1", 3.0)]
    assert corpus.rows()[1].ratings[0].slices == {"age": "60-69", "gender": "other", "hearing": "impaired"}
    assert read(corpus.rows()[2].audio).seconds == pytest.approx(0.3)
    assert corpus.describe()["utterances"] == "3"
    assert len(voicemos_bvcc(path=str(folder), split="train").rows()) == 1


def test_the_ratings_go_into_the_opinion_metrics(folder):
    table = read_ratings(rating_columns(voicemos_bvcc(path=str(folder)).rows()))
    assert len(table) == 4
    assert {one.system: one.score.value for one in mean_opinion_scores(table)} == {"sys0a1b2": 5.0, "sys64e2f": 3.0}


def test_samples_that_were_not_fetched_are_counted(folder):
    (folder / "wav" / "sys64e2f-uttbbbbbbb.wav").unlink()
    with pytest.raises(DataError, match="1 of 3 recordings missing or empty, first sys64e2f-uttbbbbbbb"):
        voicemos_bvcc(path=str(folder)).rows()
    assert len(voicemos_bvcc(path=str(folder), partial=True).rows()) == 2


def test_the_published_count_is_checked(folder, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"test": 1_066}))
    with pytest.raises(DataError, match="3 utterances found, 1,066 expected"):
        voicemos_bvcc(path=str(folder)).rows()


@pytest.mark.parametrize(
    "line",
    [
        f"sys1,sys1-utt1.wav,,x,{LISTENERS[0]}",
        f"sys1,sys1-utt1.wav,6,x,{LISTENERS[0]}",
        f"sys1,sys2-utt1.wav,3,x,{LISTENERS[0]}",
        "sys1,sys1-utt1.wav,3,x,{}_na",
        "sys1-utt1.wav,3.5",
    ],
)
def test_a_missing_rating_is_refused(folder, line):
    assert parse_rating(line.split(",")) is None
    (folder / "sets" / "TESTSET").write_text("\n".join([*TEST, line]))
    with pytest.raises(DataError, match="1 of 5 lines are not of the form 'system,recording,rating from 1 to 5,-,lis"):
        voicemos_bvcc(path=str(folder), partial=True).rows()


def test_what_is_not_there_is_named(folder, tmp_path_factory):
    with pytest.raises(DataError, match="the ratings of split 'dev' are missing: there is no sets/DEVSET"):
        voicemos_bvcc(path=str(folder), split="dev").rows()
    other = tmp_path_factory.mktemp("other")
    (other / "audios").mkdir()
    with pytest.raises(DataError, match=r"does not hold BVCC \(VoiceMOS Challenge 2022, main track\): it holds 1"):
        voicemos_bvcc(path=str(other)).rows()
