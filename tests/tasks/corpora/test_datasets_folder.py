import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import CORPORA, Spec
from audiometry.tasks.corpora.datasets_folder import DatasetsFolder, datasets_folder
from audiometry.tasks.corpora.utterance import SpeechCorpus

FEATURES = {"info": {"features": {"gender": {"names": ["male", "female"], "_type": "ClassLabel"}, "x": None}}}
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path / "home"))


@pytest.fixture
def table(tone):
    """Three rows with the bytes of WAV files."""

    def make(first=0, count=3, **columns):
        numbers = range(first, first + count)
        sounds = [{"bytes": tone(0.5 + number), "path": f"{number}.wav" if number else None} for number in numbers]
        made = {
            "audio": pa.array(columns.pop("audio", sounds), AUDIO),
            "sentence": [f"Sentence {number}." for number in numbers],
            "gender": pa.array([number % 2 for number in numbers], pa.int64()),
            "speaker_id": [7] * count,
        } | columns
        return pa.table(made).replace_schema_metadata({"huggingface": json.dumps(FEATURES)})

    return make


def save(folder, tables, split="test"):
    folder.mkdir(parents=True)
    names = [f"data-{number:05d}-of-{len(tables):05d}.arrow" for number in range(len(tables))]
    for name, one in zip(names, tables, strict=True):
        with pa.OSFile(str(folder / name), "wb") as out, pa.ipc.new_stream(out, one.schema) as stream:
            stream.write_table(one, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": n} for n in names], "_split": split}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def fails(corpus, *texts):
    with pytest.raises(DataError) as caught:
        corpus.utterances()
    assert "\n" not in str(caught.value)
    for text in texts:
        assert text in str(caught.value)
    assert not corpus.ready()
    assert corpus.describe()["prepared"] == f"no: {caught.value}"
    return str(caught.value)


def check(corpus):
    assert isinstance(corpus, SpeechCorpus)
    assert corpus.ready()
    rows = list(corpus.utterances())
    assert [row.text for row in rows] == ["Sentence 0.", "Sentence 1.", "Sentence 2."]
    assert [row.gender for row in rows] == ["male", "female", "male"]
    assert [row.audio.seconds for row in rows] == [0.5, 1.5, 2.5]
    assert rows[1].slices == {"language": "en", "gender": "female", "duration": "01-03 s"}
    assert rows[0].speaker == f"{corpus.name}-7"
    assert corpus.describe()["utterances"] == "3"
    return rows


def test_saved_to_disk(tmp_path, table):
    save(tmp_path / "saved", [table(0, 2), table(2, 1)])
    corpus = CORPORA.create(Spec("datasets", (("language", "en"), ("path", str(tmp_path / "saved")))))
    rows = check(corpus)
    assert [row.id for row in rows] == [f"datasets/saved/test/000000{number}" for number in range(3)]
    assert read(rows[1].audio).seconds == 1.5
    assert rows[1].audio.digest == hashlib.sha256(Path(rows[1].audio.path).read_bytes()).hexdigest()
    assert rows[1].audio.path.startswith(str(tmp_path / "home" / "corpora" / "datasets-audio"))
    assert rows == list(corpus.utterances())


def test_a_dict_of_splits(tmp_path, table):
    save(tmp_path / "saved" / "test", [table()])
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    check(datasets_folder(path=str(tmp_path / "saved"), language="en"))
    assert fails(datasets_folder(path=str(tmp_path / "saved"), split="dev"), "has no split 'dev'; it has: train, test")
    assert fails(datasets_folder(path=str(tmp_path / "saved"), split="train"), "has no state.json", "copied in part")


@pytest.mark.parametrize(
    "names",
    [
        ("data/test-00000-of-00002.parquet", "data/test-00001-of-00002-0af3.parquet"),
        ("test/0000.parquet", "test/0001.parquet"),
    ],
)
def test_parquet(tmp_path, table, names):
    for name, one in zip(names, (table(0, 2), table(2, 1)), strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        parquet.write_table(one, tmp_path / name)
    check(datasets_folder(path=str(tmp_path), language="en"))
    assert fails(datasets_folder(path=str(tmp_path), split="dev"), "has no split 'dev'; it has: test")


def test_half_copied_parquet(tmp_path, table):
    parquet.write_table(table(), tmp_path / "test-00001-of-00003.parquet")
    corpus = datasets_folder(path=str(tmp_path))
    assert fails(corpus, "2 of 3 files of split 'test' are missing, first test-00000-of-00003")
    file = tmp_path / "dev.parquet"
    parquet.write_table(table(), file)
    file.write_bytes(file.read_bytes()[:-100])
    assert fails(datasets_folder(path=str(tmp_path), split="dev"), "dev.parquet: is damaged or cut off")
    file.write_bytes(b"")
    assert fails(
        datasets_folder(path=str(tmp_path), split="dev"), "1 of 1 files are missing or empty, first dev.parquet"
    )


def test_half_copied_arrow(tmp_path, table):
    folder = save(tmp_path / "saved", [table(0, 2), table(2, 1)])
    file = folder / "data-00001-of-00002.arrow"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    assert fails(datasets_folder(path=str(folder)), "data-00001-of-00002.arrow: is damaged or cut off")
    file.unlink()
    assert fails(
        datasets_folder(path=str(folder)), "1 of 2 files are missing or empty, first data-00001-of-00002.arrow"
    )


def test_rows_without_recording_or_transcript(tmp_path, table, tone):
    sounds = [{"bytes": None, "path": None}, None, {"bytes": tone(0.5), "path": "a.wav"}]
    parquet.write_table(table(audio=sounds, sentence=["a", "b", " "]), tmp_path / "test.parquet")
    corpus = datasets_folder(path=str(tmp_path))
    assert fails(corpus, "2 of 3 rows without recording, first row 0; 1 of 3 rows without transcript, first row 2")
    parquet.write_table(table(count=0), tmp_path / "test.parquet")
    assert fails(corpus, "split 'test': no rows")


def test_paths_beside_the_folder(tmp_path, table, write_sound):
    write_sound(tmp_path / "clips" / "a.flac", 0.5)
    sounds = [{"bytes": None, "path": "clips/a.flac"}, {"bytes": None, "path": "clips/b.flac"}]
    parquet.write_table(table(count=2, audio=sounds), tmp_path / "test.parquet")
    assert fails(datasets_folder(path=str(tmp_path)), "1 of 2 rows without recording, first row 1")
    write_sound(tmp_path / "clips" / "b.flac", 0.5)
    parquet.write_table(
        pa.table({"file": ["clips/a.flac", "clips/b.flac"], "words": ["a", "b"]}), tmp_path / "dev.parquet"
    )
    for corpus in (
        datasets_folder(path=str(tmp_path)),
        datasets_folder(path=str(tmp_path), split="dev", audio="file", text="words"),
    ):
        assert [row.audio.seconds for row in corpus.utterances()] == [0.5, 0.5]
        assert not (tmp_path / "home").exists()


def test_columns_and_splits_of_other_names(tmp_path, table):
    folder = save(tmp_path / "saved", [table()], split="train")
    assert fails(datasets_folder(path=str(folder)), "holds the split 'train', not 'test'; set split=train")
    corpus = datasets_folder(path=str(folder), split="train", audio="sound")
    assert fails(
        corpus, "has no column sound; it has: audio, sentence, gender, speaker_id; name the right one with audio=COLUMN"
    )
    assert fails(datasets_folder(path=str(folder), split="train", text="words"), "has no column words", "text=COLUMN")
    assert fails(datasets_folder(path=str(folder), split="train", speaker="who"), "has no column who", "speaker=COLUMN")
    told = list(datasets_folder(path=str(folder), split="train", text="sentence", speaker="gender").utterances())
    assert [row.speaker.rpartition("-")[2] for row in told] == ["male", "female", "male"]


def test_another_folder(tmp_path, table):
    assert fails(datasets_folder(path=str(tmp_path / "gone")), "no folder")
    (tmp_path / "songs").mkdir()
    assert fails(datasets_folder(path=str(tmp_path / "songs")), "holds no Arrow or Parquet files")
    for name in ("en", "de"):
        (tmp_path / "two" / name).mkdir(parents=True)
        parquet.write_table(table(), tmp_path / "two" / name / "test-00000-of-00001.parquet")
    assert fails(
        datasets_folder(path=str(tmp_path / "two")), "split 'test' is in 2 folders: de, en; name one with path=DIR"
    )
    (tmp_path / "songs" / "state.json").write_text("[]")
    assert fails(datasets_folder(path=str(tmp_path / "songs")), "is not what save_to_disk writes")
    (tmp_path / "songs" / "state.json").write_text("{")
    assert fails(datasets_folder(path=str(tmp_path / "songs")), "state.json: cannot be read")


def test_settings():
    with pytest.raises(SettingError, match="needs path=DIR, or hub=OWNER/NAME, and not both"):
        datasets_folder()
    with pytest.raises(SettingError, match="is no repository; write OWNER/NAME"):
        datasets_folder(hub="../x")


def test_from_the_hub(tmp_path, table, monkeypatch):
    def download(repository, *, local_dir, **_):
        assert repository == "someone/speech"
        parquet.write_table(table(), local_dir / "test.parquet")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    corpus = datasets_folder(hub="someone/speech", language="en")
    told = []
    corpus.prepare(None, told.append)
    place = tmp_path / "home" / "corpora" / "datasets" / "someone--speech"
    assert told[-1] == f"datasets/someone/speech/test: 3 utterances, in {place}"
    check(corpus)
    with pytest.raises(DataError, match="leave out --source"):
        corpus.prepare("x", told.append)


def test_sound_that_cannot_be_kept(tmp_path, table, monkeypatch):
    parquet.write_table(table(), tmp_path / "test.parquet")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written: Not a directory; set AUDIOMETRY_HOME"):
        list(DatasetsFolder(tmp_path).utterances())
