from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import CORPORA, Spec
from audiometry.tasks.corpora import asvspoof
from audiometry.tasks.corpora.asvspoof import asvspoof5, asvspoof2019_la, asvspoof2021_df, asvspoof2021_la

PROTOCOLS_2019 = {
    "train.trn": ("train", ["LA_0079 LA_T_1 - - bonafide", "LA_0079 LA_T_2 - A01 spoof", "LA_0080 LA_T_3 - A02 spoof"]),
    "dev.trl": ("dev", ["LA_0070 LA_D_1 - - bonafide", "LA_0071 LA_D_2 - A06 spoof"]),
    "eval.trl": (
        "eval",
        ["LA_0039 LA_E_1 - A11 spoof", "LA_0014 LA_E_2 - A14 spoof", "LA_0040 LA_E_3 - - bonafide",
         "LA_0040 LA_E_4 - - bonafide"],
    ),
}  # fmt: skip
KEY_LA = [
    "LA_0009 LA_E_1 alaw ita_tx A07 spoof notrim eval",
    "LA_0009 LA_E_2 none loc_tx bonafide bonafide notrim eval",
    "LA_0010 LA_E_3 opus sin_tx bonafide bonafide notrim eval",
    "LA_0011 LA_E_4 gsm mad_tx A19 spoof notrim progress",
    "LA_0012 LA_E_5 none loc_tx A08 spoof trim hidden",
]
KEY_DF = [
    "LA_0023 DF_E_1 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -",
    "TEF2 DF_E_2 low_m4a vcc2020 Task1-team20 spoof notrim eval neural_vocoder_nonautoregressive Task1 team20 FF E",
    "TGF1 DF_E_3 mp3m4a vcc2020 Task2-team12 spoof notrim eval traditional_vocoder Task2 team12 FF G",
    "LA_0043 DF_E_4 high_ogg asvspoof - bonafide notrim eval bonafide - - - -",
    "LA_0044 DF_E_5 oggm4a asvspoof - bonafide trim hidden bonafide - - - -",
]
PROTOCOLS_5 = {
    "train": ("flac_T", ["T_4850 T_1 F - - - AC3 A05 spoof -", "T_0840 T_2 M - - - - bonafide bonafide -"]),
    "dev.track_1": ("flac_D", ["D_0062 D_1 F - - - AC1 A11 spoof -"]),
    "eval.track_1": (
        "flac_E_eval",
        ["E_1607 E_1 M C01 2 E_9 AC3 A17 spoof -", "E_1608 E_2 F - 0 - - bonafide bonafide -",
         "E_1609 E_3 F C11 7 E_2 - bonafide bonafide -"],
    ),
}  # fmt: skip
COUNTS = {
    "asvspoof2019-la": {"train": 3, "dev": 2, "eval": 4},
    "asvspoof2021-la": {"eval": 3, "progress": 1, "hidden": 1},
    "asvspoof2021-df": {"eval": 3, "progress": 1, "hidden": 1},
    "asvspoof5": {"train": 2, "dev": 1, "eval": 3},
}


def write_sounds(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        wave = 0.1 * np.sin(np.arange(1600 + 16 * number) / 5)
        soundfile.write(folder / f"{name}.flac", wave, 16_000)


def write_list(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def la2019(tmp_path):
    root = tmp_path / "download" / "LA"
    for protocol, (split, lines) in PROTOCOLS_2019.items():
        write_list(root / "ASVspoof2019_LA_cm_protocols" / f"ASVspoof2019.LA.cm.{protocol}.txt", lines)
        write_sounds(root / f"ASVspoof2019_LA_{split}" / "flac", [line.split()[1] for line in lines])
    write_sounds(root / "ASVspoof2019_LA_dev" / "flac", ["LA_D_enrolment"])
    return root.parent


@pytest.fixture
def la2021(tmp_path):
    root = tmp_path / "la2021"
    write_list(root / "keys" / "LA" / "CM" / "trial_metadata.txt", KEY_LA)
    write_sounds(root / "ASVspoof2021_LA_eval" / "flac", [line.split()[1] for line in KEY_LA])
    return root


@pytest.fixture
def df2021(tmp_path):
    root = tmp_path / "df2021"
    write_list(root / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt", KEY_DF)
    for part, names in enumerate((["DF_E_1", "DF_E_2"], ["DF_E_3"], ["DF_E_4"], ["DF_E_5"])):
        write_sounds(root / f"ASVspoof2021_DF_eval_part0{part}" / "ASVspoof2021_DF_eval" / "flac", names)
    return root


@pytest.fixture
def five(tmp_path):
    root = tmp_path / "five"
    for protocol, (folder, lines) in PROTOCOLS_5.items():
        write_list(root / "ASVspoof5_protocols" / f"ASVspoof5.{protocol}.tsv", lines)
        write_sounds(root / folder, [line.split()[1] for line in lines])
    write_sounds(root / "flac_D", ["D_enrolment"])
    return root


@pytest.fixture
def tiny(monkeypatch):
    """Let the artificial copies' counts be the published ones."""
    for attribute in ("LAYOUT_2019", "LAYOUT_2021_LA", "LAYOUT_2021_DF", "LAYOUT_5"):
        layout = getattr(asvspoof, attribute)
        monkeypatch.setattr(asvspoof, attribute, replace(layout, counts=COUNTS[layout.name]))


def attacks(corpus):
    return Counter((row.label, row.attack) for row in corpus.rows())


@pytest.mark.usefixtures("tiny")
def test_2019_lists_each_split(la2019):
    corpus = asvspoof2019_la(path=str(la2019))
    assert corpus.ready()
    assert (corpus.name, corpus.describe()["trials"]) == ("asvspoof2019-la/eval", "4")
    assert attacks(corpus) == {("spoof", "A11"): 1, ("spoof", "A14"): 1, ("bona fide", ""): 2}
    first = corpus.rows()[0]
    assert (first.id, first.speaker, first.codec, dict(first.slices)) == (
        "LA_E_1", "LA_0039", "none", {"attack": "A11", "codec": "none"},
    )  # fmt: skip
    assert read(first.audio).seconds == pytest.approx(0.1)
    assert attacks(asvspoof2019_la(path=str(la2019 / "LA"), split="train")) == {
        ("bona fide", ""): 1, ("spoof", "A01"): 1, ("spoof", "A02"): 1,
    }  # fmt: skip
    assert [row.id for row in asvspoof2019_la(path=str(la2019), split="dev").rows()] == ["LA_D_1", "LA_D_2"]


@pytest.mark.usefixtures("tiny")
def test_2021_la_lists_the_phase_that_is_asked_for(la2021):
    corpus = asvspoof2021_la(path=str(la2021))
    assert [row.id for row in corpus.rows()] == ["LA_E_1", "LA_E_2", "LA_E_3"]
    assert [row.codec for row in corpus.rows()] == ["alaw", "none", "opus"]
    assert attacks(corpus) == {("spoof", "A07"): 1, ("bona fide", ""): 2}
    assert corpus.rows()[0].slices == {
        "attack": "A07", "codec": "alaw", "transmission": "ita_tx", "trim": "notrim", "phase": "eval",
    }  # fmt: skip
    assert [row.id for row in asvspoof2021_la(path=str(la2021), split="progress").rows()] == ["LA_E_4"]
    assert [row.id for row in asvspoof2021_la(path=str(la2021), split="hidden").rows()] == ["LA_E_5"]


@pytest.mark.usefixtures("tiny")
def test_2021_df_is_read_from_its_parts(df2021):
    corpus = asvspoof2021_df(path=str(df2021))
    assert [row.id for row in corpus.rows()] == ["DF_E_2", "DF_E_3", "DF_E_4"]
    second, _, last = corpus.rows()
    assert (second.codec, second.attack, second.slices["vocoder"], second.slices["language"]) == (
        "low_m4a", "Task1-team20", "neural_vocoder_nonautoregressive", "E",
    )  # fmt: skip
    assert (last.label, last.attack, "vocoder" in last.slices, "language" in last.slices) == (
        "bona fide", "", False, False,
    )  # fmt: skip
    (progress,) = asvspoof2021_df(path=str(df2021), split="progress").rows()
    assert (progress.codec, progress.slices["source"]) == ("none", "asvspoof")
    assert read(progress.audio).rate == 16_000


@pytest.mark.usefixtures("tiny")
def test_5_lists_track_1(five):
    corpus = asvspoof5(path=str(five))
    assert attacks(corpus) == {("spoof", "A17"): 1, ("bona fide", ""): 2}
    assert [(row.codec, row.gender) for row in corpus.rows()] == [
        ("C01", "male"),
        ("none", "female"),
        ("C11", "female"),
    ]
    assert corpus.rows()[0].slices["codec quality"] == "2"
    assert "codec quality" not in corpus.rows()[1].slices
    assert len(asvspoof5(path=str(five), split="train").rows()) == 2
    assert [row.attack for row in asvspoof5(path=str(five), split="dev").rows()] == ["A11"]
    (five / "flac_E_eval").rename(five / "flac_E")
    assert len(asvspoof5(path=str(five)).rows()) == 3
    assert len(corpus.sources) == 11
    assert [source.url.rpartition("/")[2] for source in asvspoof5(split="dev").sources] == [
        "ASVspoof5_protocols.tar.gz", "flac_D_aa.tar", "flac_D_ab.tar", "flac_D_ac.tar",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "fixture", "listed", "published"),
    [
        ("asvspoof2019-la", "la2019", 4, "71,237"),
        ("asvspoof2021-la", "la2021", 3, "148,176"),
        ("asvspoof2021-df", "df2021", 3, "533,928"),
        ("asvspoof5", "five", 3, "680,774"),
    ],
)
def test_a_list_that_is_cut_off_is_told_by_the_published_count(request, name, fixture, listed, published):
    path = str(request.getfixturevalue(fixture))
    corpus = CORPORA.create(Spec(name, (("path", path),)))
    with pytest.raises(DataError, match=f"{listed} trials found, {published} expected; set partial=true"):
        corpus.rows()
    part = CORPORA.create(Spec(name, (("path", path), ("partial", "true"))))
    assert len(part.rows()) == listed
    assert f"{listed} trials found, {published} expected" in part.notes[-1]


@pytest.mark.usefixtures("tiny")
def test_a_half_copied_corpus_is_told_with_counts(la2019):
    (la2019 / "LA" / "ASVspoof2019_LA_eval" / "flac" / "LA_E_2.flac").unlink()
    (la2019 / "LA" / "ASVspoof2019_LA_eval" / "flac" / "LA_E_3.flac").write_bytes(b"")
    with pytest.raises(DataError, match="2 of 4 recordings missing or empty, first LA_E_2"):
        asvspoof2019_la(path=str(la2019)).rows()
    assert [row.id for row in asvspoof2019_la(path=str(la2019), partial=True).rows()] == ["LA_E_1", "LA_E_4"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("line", "count"),
    [("LA_0040 LA_E_5 - -", "1 of 5"), ("LA_0040 LA_E_5 - - fake", "1 of 5"), ("LA_E_5", "1 of 5")],
)
def test_a_missing_label_is_told_with_counts(la2019, line, count):
    protocol = la2019 / "LA" / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.eval.trl.txt"
    protocol.write_text(protocol.read_text() + f"{line}\n")
    with pytest.raises(
        DataError, match=f"{count} lines are not of the form 'speaker recording - attack key', .*line 5"
    ):
        asvspoof2019_la(path=str(la2019)).rows()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("factory", "fixture", "file", "line"),
    [
        (asvspoof2021_la, "la2021", "keys/LA/CM/trial_metadata.txt", KEY_LA[0].replace("eval", "test")),
        (asvspoof2021_df, "df2021", "DF-keys-full/keys/DF/CM/trial_metadata.txt", KEY_LA[0]),
        (asvspoof5, "five", "ASVspoof5_protocols/ASVspoof5.eval.track_1.tsv", "E_1 E_4 M C01 2 spoof"),
    ],
)
def test_a_line_of_another_form_is_told_with_counts(request, factory, fixture, file, line):
    root = request.getfixturevalue(fixture)
    with (root / file).open("a") as out:
        out.write(f"{line}\n")
    with pytest.raises(DataError, match=r"1 of \d lines are not of the form 'speaker recording"):
        factory(path=str(root)).rows()


def test_a_trial_that_comes_twice_is_refused(la2021):
    write_list(la2021 / "keys" / "LA" / "CM" / "trial_metadata.txt", KEY_LA * 2)
    with pytest.raises(DataError, match="5 entries come more than once, first LA_E_1"):
        asvspoof2021_la(path=str(la2021), partial=True).rows()


def test_recordings_without_their_key_are_told(la2021, df2021):
    (la2021 / "keys" / "LA" / "CM" / "trial_metadata.txt").unlink()
    with pytest.raises(
        DataError, match=r"the key of the LA track is missing: there is no keys/LA/CM/trial_metadata.txt"
    ):
        asvspoof2021_la(path=str(la2021)).rows()
    (df2021 / "DF-keys-full").rename(df2021 / "elsewhere")
    with pytest.raises(DataError, match="the key of the DF track is missing"):
        asvspoof2021_df(path=str(df2021)).rows()


def test_another_corpus_in_the_folder_is_named(la2019, la2021, five):
    with pytest.raises(DataError, match=r"does not hold ASVspoof 2021 LA: .* which looks like ASVspoof 2019 LA"):
        asvspoof2021_la(path=str(la2019)).rows()
    with pytest.raises(DataError, match=r"does not hold ASVspoof 5: .* which looks like ASVspoof 2021 LA"):
        asvspoof5(path=str(la2021)).rows()
    with pytest.raises(DataError, match="does not hold ASVspoof 2021 DF"):
        asvspoof2021_df(path=str(five)).rows()


def test_a_split_that_is_not_there_is_told(la2019, tmp_path):
    (la2019 / "LA" / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.dev.trl.txt").unlink()
    with pytest.raises(DataError, match="but not its split 'dev'; there is: eval, train"):
        asvspoof2019_la(path=str(la2019), split="dev").rows()
    with pytest.raises(SettingError, match="has no split 'evaluation'; it has: eval, progress, hidden"):
        asvspoof2021_la(split="evaluation")
    with pytest.raises(DataError, match="is not there: no folder"):
        asvspoof2019_la(path=str(tmp_path / "nowhere")).rows()
