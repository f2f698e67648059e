"""`multilingual-librispeech`: audiobooks in eight languages, in the layout of https://www.openslr.org/94.

``mls_LANGUAGE/SPLIT/transcripts.txt`` (a name, a tab and its transcript a line) with recordings in
``SPLIT/audio/SPEAKER/BOOK/SPEAKER_BOOK_NUMBER.flac`` (``.opus`` in ``mls_LANGUAGE_opus``), and the readers' gender in
``metainfo.txt``.
"""

from __future__ import annotations

from pathlib import Path

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Archive
from audiometry.tasks.corpora.layout import Layout, Scan, SpeechFolder
from audiometry.tasks.corpora.transcripts import match, read_lines, recordings, tidy_gender
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["LANGUAGES", "LAYOUT", "multilingual_librispeech"]

LANGUAGES = {
    "dutch": "nl",
    "english": "en",
    "french": "fr",
    "german": "de",
    "italian": "it",
    "polish": "pl",
    "portuguese": "pt",
    "spanish": "es",
}

LAYOUT = Layout(
    name="multilingual-librispeech",
    title="Multilingual LibriSpeech",
    licence="CC-BY-4.0",
    citation="Pratap, Xu, Sriram, Synnaeve, Collobert: MLS, a large-scale multilingual dataset for speech research, "
    "Interspeech 2020",
    homepage="https://www.openslr.org/94",
    signs=("mls_{language}/{split}/transcripts.txt", "mls_{language}_opus/{split}/transcripts.txt"),
    splits=("test", "dev", "train"),
    counts={
        "dutch/test": 3075,
        "dutch/dev": 3095,
        "english/test": 3769,
        "english/dev": 3807,
        "french/test": 2426,
        "french/dev": 2416,
        "german/test": 3394,
        "german/dev": 3469,
        "italian/test": 1262,
        "italian/dev": 1248,
        "polish/test": 520,
        "polish/dev": 512,
        "portuguese/test": 871,
        "portuguese/dev": 826,
        "spanish/test": 2385,
        "spanish/dev": 2408,
    },
    how="fetch mls_LANGUAGE.tar.gz (or mls_LANGUAGE_opus.tar.gz) from https://www.openslr.org/94, unpack it",
)


@corpus("multilingual-librispeech", language=", ".join(sorted(LANGUAGES.values())), licence=LAYOUT.licence)
def multilingual_librispeech(
    *, path: str | None = None, language: str = "german", split: str = "test", partial: bool = False
) -> SpeechFolder:
    """Multilingual LibriSpeech: audiobooks in eight languages, 16 kHz."""
    if language not in LANGUAGES:
        raise SettingError(
            f"corpus {LAYOUT.name!r} has no language {language!r}; it has: {', '.join(sorted(LANGUAGES))}"
        )

    def scan(root: Path, split: str) -> Scan[Utterance]:
        return _scan(root, split, language)

    sources = (Archive(f"https://dl.fbaipublicfiles.com/mls/mls_{language}_opus.tar.gz"),)
    return SpeechFolder(
        LAYOUT, scan, split, path, partial, language=LANGUAGES[language], folder_language=language, sources=sources
    )


def _scan(root: Path, split: str, language: str) -> Scan[Utterance]:
    place = next(
        folder
        for name in (f"mls_{language}", f"mls_{language}_opus")
        if ((folder := root / name) / split / "transcripts.txt").is_file()
    )
    texts = {}
    for line in read_lines(place / split / "transcripts.txt"):
        name, _, text = line.partition("\t")
        texts[name] = text.strip()
    files = recordings(place / split / "audio", (".flac", ".opus"))
    genders = _genders(place / "metainfo.txt")
    both, missing, unlabelled = match({name: text for name, text in texts.items() if text}, files)
    code = LANGUAGES[language]
    rows = []
    for name in both:
        number = name.partition("_")[0]
        known = {"language": code, "gender": genders.get(number, ""), "speaker": f"mls-{number}"}
        slices = {key: value for key, value in known.items() if value}
        identity = f"multilingual-librispeech/{language}/{name}"
        audio = Audio(str(files[name]))
        rows.append(Utterance(identity, audio, texts[name], code, known["speaker"], known["gender"], slices))
    return Scan(rows, len(both) + len(missing) + len(unlabelled), missing, unlabelled)


def _genders(file: Path) -> dict[str, str]:
    """The gender of each reader, ``SPEAKER | GENDER | …`` a line; nothing without the file."""
    if not file.is_file():
        return {}
    fields = [line.split("|") for line in read_lines(file)]
    return {line[0].strip(): tidy_gender(line[1]) for line in fields if len(line) > 1}
