import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora.prepared import Built, Clip, PreparedCorpus, read_manifest, sha256_of, write_manifest

text = st.text(st.characters(codec="utf-8"))
clips = st.builds(
    Clip,
    id=text,
    file=text,
    sha256=text,
    bytes=st.integers(0),
    seconds=st.floats(0, allow_infinity=False),
    text=text,
    speaker=text,
    language=text,
    gender=text,
    licence=text,
)


def clip(name: str, data: bytes, folder: Path, **more) -> Clip:
    file = folder / "audio" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    facts = {
        "text": f"Say {name}.", "speaker": "ann", "language": "en", "gender": "female", "licence": "CC0-1.0",
        "seconds": 2.0, "bytes": len(data), "sha256": sha256_of(file), "id": f"tiny/{name}", "file": f"audio/{name}",
    }  # fmt: skip
    return Clip(**(facts | more))


def tiny(build=None, **more) -> PreparedCorpus:
    def default(folder, source, report):
        report("building")
        return Built([clip("a", b"aaa", folder), clip("b", b"bb", folder)], {"not speech": 3}, {"from": "here"})

    return PreparedCorpus("tiny", "en", "CC0-1.0", "Ann", build or default, **more)


@given(st.lists(clips, max_size=5))
def test_a_manifest_round_trips(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("round") / "manifest.jsonl"
    write_manifest(path, rows)
    assert read_manifest(path) == rows


@pytest.mark.parametrize("line", ["{}", "[1]", "nonsense", '{"id": 1}'])
def test_a_line_that_is_no_clip_is_named(tmp_path, line):
    path = tmp_path / "manifest.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(DataError, match="line 1"):
        read_manifest(path)


def test_prepare_builds_once_and_tells_each_step(home):
    corpus, told = tiny(slices={"speech": "synthetic"}), []
    assert not corpus.ready()
    assert corpus.describe()["prepared"].startswith("no: ")
    corpus.prepare(None, told.append)
    assert told == ["building", f"tiny: 2 clips, 0.1 minutes, in {corpus.folder}", "tiny: left out 3 not speech"]
    assert corpus.ready()
    facts = corpus.describe()
    assert facts["prepared"] == "yes"
    assert (facts["clips"], facts["minutes"], facts["excluded"]) == ("2", "0.1", "3 not speech")
    assert facts["origin: from"] == "here"
    first = corpus.utterances()[0]
    assert (first.id, first.text, first.speaker, first.audio.seconds) == ("tiny/a", "Say a.", "ann", 2.0)
    assert first.audio.digest == sha256_of(Path(first.audio.path))
    assert first.slices == {
        "language": "en", "gender": "female", "speaker": "ann", "duration": "01-03 s", "speech": "synthetic",
    }  # fmt: skip
    assert corpus.verify() == 2
    before = (corpus.folder / "corpus.json").stat().st_mtime_ns

    def never(folder, source, report):
        raise AssertionError("built twice")

    tiny(never).prepare(None, told.append)
    assert (corpus.folder / "corpus.json").stat().st_mtime_ns == before
    assert [path.name for path in corpus.folder.parent.iterdir()] == ["tiny"]


def test_a_failed_build_leaves_nothing(home):
    def fail(folder, source, report):
        (folder / "half").write_text("done")
        raise DataError("no network")

    with pytest.raises(DataError, match="no network"):
        tiny(fail).prepare(None, print)
    assert list((home / "corpora").iterdir()) == []
    with pytest.raises(DataError, match=r"no usable recording was found; 2 not speech"):
        tiny(lambda *_: Built([], {"not speech": 2})).prepare(None, print)
    assert list((home / "corpora").iterdir()) == []


def test_a_changed_file_is_noticed_and_mended(home):
    corpus = tiny()
    corpus.prepare(None, print)
    file = corpus.folder / "audio" / "b"
    file.write_bytes(b"cc")
    assert corpus.ready()
    with pytest.raises(DataError, match=r"1 of 2 recordings .* first audio/b; .*audiometry data prepare tiny"):
        corpus.verify()
    file.write_bytes(b"longer")
    assert not corpus.ready()
    file.unlink()
    with pytest.raises(DataError, match="1 of 2 recordings"):
        corpus.utterances()
    corpus.prepare(None, print)
    assert corpus.verify() == 2
    assert [path.name for path in corpus.folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": '])
def test_a_damaged_header_is_named(home, content):
    corpus = tiny()
    corpus.prepare(None, print)
    (corpus.folder / "corpus.json").write_text(content)
    with pytest.raises(DataError, match="damaged; run: audiometry data prepare tiny"):
        corpus.utterances()


def test_another_format_or_a_changed_manifest_is_prepared_anew(home):
    corpus = tiny()
    corpus.prepare(None, print)
    header = corpus.folder / "corpus.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | {"format": 0}))
    with pytest.raises(DataError, match="another version"):
        corpus.utterances()
    corpus.prepare(None, print)
    with (corpus.folder / "manifest.jsonl").open("a") as manifest:
        manifest.write("\n")
    with pytest.raises(DataError, match=r"manifest.jsonl is missing or changed"):
        corpus.utterances()


def test_what_another_process_installed_meanwhile_is_kept(home):
    corpus = tiny()

    def slow(folder, source, report):
        corpus.prepare(None, print)
        return Built([clip("c", b"c", folder)])

    tiny(slow).prepare(None, print)
    assert [utterance.id for utterance in corpus.utterances()] == ["tiny/a", "tiny/b"]


def test_a_folder_that_cannot_be_renamed_is_an_error(home, monkeypatch):
    def refuse(self, target):
        raise OSError("busy")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DataError, match=r"'tiny' cannot be prepared in .*: busy; .* set AUDIOMETRY_HOME"):
        tiny().prepare(None, print)


def test_a_home_that_cannot_be_written_is_an_error(home):
    home.write_text("a file")
    with pytest.raises(DataError, match=r"cannot be prepared in .*set AUDIOMETRY_HOME"):
        tiny().prepare(None, print)
