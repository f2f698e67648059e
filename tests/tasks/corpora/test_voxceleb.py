from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import voxceleb as module
from audiometry.tasks.corpora.voxceleb import voxceleb1

UTTERANCES = ["id10270/5r0dWxy17C8/00001", "id10270/x6uYqmx31kE/00001", "id10271/1gtz-CUIygI/00001",
              "id10300/ize_eiCFEg0/00003"]  # fmt: skip
A, B, C, D = UTTERANCES
TRIALS = [f"1 {A}.wav {B}.wav", f"0 {A}.wav {C}.wav", f"0 {A}.wav {D}.wav"]
META = """VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet
id10270\tAnn_Example\tf\tUK\ttest
id10271\tEve_Example\tf\tUSA\ttest
id10300\tBob_Example\tm\tUK\ttest
"""


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"O": 3, "H": 2}))
    for number, name in enumerate(UTTERANCES):
        path = tmp_path / "wav" / f"{name}.wav"
        path.parent.mkdir(parents=True)
        path.write_bytes(tone(0.1 * (number + 1)))
    (tmp_path / "veri_test2.txt").write_text("\n".join(TRIALS))
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "list_test_hard2.txt").write_text("\n".join(TRIALS[:2]) + "\n")
    (tmp_path / "vox1_meta.csv").write_text(META)
    return tmp_path


def test_trials_are_pairs_of_utterances_that_come_once(folder):
    corpus = voxceleb1(path=str(folder))
    assert [(trial.enrolment, trial.test, trial.target) for trial in corpus.rows()] == [
        (A, B, True), (A, C, False), (A, D, False),
    ]  # fmt: skip
    assert [dict(trial.slices) for trial in corpus.rows()] == [
        {"gender": "female", "nationality": "UK"},
        {"gender": "female", "nationality": "different"},
        {"gender": "different", "nationality": "UK"},
    ]
    utterances = list(corpus.utterances())
    assert [(one.id, one.speaker, one.gender) for one in utterances] == [
        (A, "id10270", "female"), (B, "id10270", "female"), (C, "id10271", "female"), (D, "id10300", "male"),
    ]  # fmt: skip
    assert read(utterances[3].audio).seconds == pytest.approx(0.4)
    assert utterances[2].slices == {"gender": "female", "nationality": "USA"}
    assert corpus.describe()["trials"] == "3"
    assert len(voxceleb1(path=str(folder), split="H").rows()) == 2


def test_both_archives_may_lie_apart_and_facts_may_be_unknown(folder):
    (folder / "wav").rename(folder / "moved")
    for place, speakers in {"vox1_test_wav": ("id10270",), "vox1_dev_wav": ("id10271", "id10300")}.items():
        for speaker in speakers:
            (folder / place / "wav").mkdir(parents=True, exist_ok=True)
            (folder / "moved" / speaker).rename(folder / place / "wav" / speaker)
    (folder / "vox1_meta.csv").unlink()
    corpus = voxceleb1(path=str(folder))
    assert [dict(trial.slices) for trial in corpus.rows()] == [{}, {}, {}]
    assert [one.gender for one in corpus.utterances()] == ["", "", "", ""]


def test_a_half_copied_corpus_is_told_with_counts(folder):
    (folder / "wav" / f"{C}.wav").unlink()
    with pytest.raises(DataError, match=f"1 of 3 recordings missing or empty, first {C}"):
        voxceleb1(path=str(folder)).rows()
    assert [one.id for one in voxceleb1(path=str(folder), partial=True).utterances()] == [A, B, D]


def test_the_published_count_is_checked(folder, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"O": 37_611}))
    with pytest.raises(DataError, match="3 trials found, 37,611 expected"):
        list(voxceleb1(path=str(folder)).utterances())


def test_a_list_that_is_not_there_is_told(folder):
    with pytest.raises(DataError, match=r"the list of trials E is missing: there is no list_test_all2\.txt"):
        voxceleb1(path=str(folder), split="E").rows()


@pytest.mark.parametrize("line", [f"{A}.wav {B}.wav", f"2 {A}.wav {B}.wav", "1 a.wav b.wav"])
def test_a_trial_without_its_label_is_refused(folder, line):
    (folder / "veri_test2.txt").write_text("\n".join([*TRIALS, line]))
    with pytest.raises(DataError, match="1 of 4 lines are not of the form '0 or 1, recording, recording'"):
        voxceleb1(path=str(folder)).rows()


def test_another_corpus_is_named(tmp_path):
    (tmp_path / "Actor_01").mkdir()
    with pytest.raises(DataError, match=r"does not hold VoxCeleb1: it holds 1 entries \(Actor_01\)"):
        voxceleb1(path=str(tmp_path)).rows()
