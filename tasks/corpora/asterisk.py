"""Asterisk's voice prompts: human recordings with transcripts, one speaker a language, from Debian's packages.

``asterisk-LANG`` holds the 16 kHz recordings (package ``asterisk-core-sounds-LANG-g722``), and
``asterisk-LANG-telephone`` the same prompts at 8 kHz (``-wav``). The transcripts are in ``asterisk-core-sounds-LANG``.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from audiometry.benchmark.audio import probe_seconds
from audiometry.benchmark.errors import AudioError, DataError
from audiometry.benchmark.registry import corpus
from audiometry.tasks.corpora.debian import apt_download, unpack_deb
from audiometry.tasks.corpora.prepared import Built, Clip, PreparedCorpus, Report, sha256_of

__all__ = ["LANGUAGES", "Voice", "asterisk", "exclusion", "parse_transcript"]


@dataclass(frozen=True)
class Voice:
    """Who speaks a language's prompts, and on what terms (from the packages' copyright files)."""

    language: str
    speaker: str
    gender: str
    licence: str
    citation: str


LANGUAGES: Mapping[str, Voice] = {
    voice[0]: Voice(*voice)
    for voice in (
        ("en", "allison-smith", "female", "CC-BY-SA-3.0", "Allison Smith, Asterisk core sounds, 2003-2010"),
        ("es", "allison-smith", "female", "CC-BY-SA-3.0", "Allison Smith, Asterisk core sounds, 2003-2010"),
        ("fr", "june-wallack", "female", "CC-BY-SA-3.0", "June Wallack, Asterisk core sounds, 2006-2008"),
        ("it", "carlo-flora", "male", "CC-BY-3.0", "Carlo Flora, Asterisk core sounds, 2012"),
        ("ru", "ivrvoice-ru", "female", "CC-BY-3.0", "provided by Maxim Topal, Asterisk core sounds, 2010"),
    )
}

NOT_SPEECH = re.compile(r"(silence/.*|beep|beeperr|(as|des)cending-2tone|confbridge-(join|leave)|tt-monkeys)")
"""Names of the prompts that are tones, silence or noise in every language, whatever their transcript says."""

BRACKETS = re.compile(r"[\[\](){}<>]")
JOINED = re.compile(r"[a-z]+(-[a-z0-9]+)+:\s")
"""A prompt's name within a text: the line break before it was lost."""


def parse_transcript(text: str) -> dict[str, list[str]]:
    """Transcripts by prompt name; lines that start with ``;`` are comments. A name may come more than once.

    >>> parse_transcript("; Sounds\\n\\ndigits/1: One.\\nvm-and:  and   then\\n")
    {'digits/1': ['One.'], 'vm-and': ['and then']}
    """
    found: dict[str, list[str]] = {}
    for line in text.removeprefix("\ufeff").splitlines():
        name, colon, words = line.partition(":")
        if colon and not line.lstrip().startswith(";"):
            found.setdefault(name.strip(), []).append(" ".join(words.split()))
    return found


def exclusion(name: str, texts: Iterable[str], *, has_audio: bool = True) -> str | None:
    """Why a prompt with these transcripts is left out, or None if it is usable. The first rule that holds names it.

    >>> exclusion("beep", ["un suono beep"]), exclusion("hello", ["Hello."])
    ('not speech', None)
    >>> exclusion("spy-iax2", ['IAX (note: does not say "2")'])
    'note in the transcript'
    """
    distinct = list(dict.fromkeys(text for text in texts))
    text = distinct[0] if distinct else ""
    rules = (
        (not has_audio, "no recording"),
        (NOT_SPEECH.fullmatch(name) or re.fullmatch(r"[\[(<].*[\])>]", text), "not speech"),
        (not distinct, "no transcript"),
        (len(distinct) > 1, "conflicting transcripts"),
        (not any(letter.isalnum() for letter in text), "empty transcript"),
        (BRACKETS.search(text), "note in the transcript"),
        (JOINED.search(text), "lines joined in the transcript"),
        (_lost_letters(text), "letters lost in the transcript"),
    )
    return next((reason for holds, reason in rules if holds), None)


def _lost_letters(text: str) -> bool:
    """Whether a question mark stands before a small letter, as it does where a change of encoding lost a letter."""
    return any(following.islower() for following in re.findall(r"\?\s*(\w)", text))


NOTES = {"es": ("the references mostly lack accents and ñ, so a right answer is charged with errors",)}
"""What qualifies every number measured on a language's prompts."""


def asterisk(language: str, *, telephone: bool = False) -> PreparedCorpus:
    """The prompts of one language, at 16 kHz or as telephone speech at 8 kHz."""
    prompts = _Prompts(LANGUAGES[language], telephone)
    return PreparedCorpus(
        name=prompts.name,
        language=language,
        licence=prompts.voice.licence,
        citation=prompts.voice.citation,
        build=prompts.build,
        notes=NOTES.get(language, ()),
    )


@dataclass(frozen=True)
class _Prompts:
    """The prompts of one language in one of their two qualities."""

    voice: Voice
    telephone: bool

    @property
    def name(self) -> str:
        return f"asterisk-{self.voice.language}{'-telephone' if self.telephone else ''}"

    @property
    def suffix(self) -> str:
        return ".wav" if self.telephone else ".g722"

    @property
    def packages(self) -> tuple[str, str]:
        """The transcript's package and the recordings'."""
        words = f"asterisk-core-sounds-{self.voice.language}"
        return words, f"{words}-{self.suffix[1:]}"

    @property
    def mend(self) -> str:
        return (
            f"fetch {' and '.join(self.packages)} elsewhere and give their folder: audiometry data prepare {self.name} "
            "--source DIR, or use the corpus synthetic-en"
        )

    def build(self, folder: Path, source: str | None, report: Report) -> Built:
        """Fill `folder` from the machine's package client, or from the folder `source`."""
        with tempfile.TemporaryDirectory(prefix="packages-", dir=folder.parent) as scratch:
            if source is None:
                packages = apt_download(self.packages, Path(scratch), report, self.mend)
            else:
                packages = _packages_in(Path(source), self)
            place = Path(scratch) / "unpacked" if packages else Path(source or "")
            for package in packages.values():
                report(f"unpacking {package.name}")
                unpack_deb(package, lambda path: path if _is_wanted(path, self.suffix) else None, place)
            origin = {name: f"{path.name} sha256:{sha256_of(path)}" for name, path in packages.items()}
            built = _clips(self, place, folder, report)
            return replace(built, origin=origin or {"folder": str(place.absolute())})


def _is_wanted(path: PurePosixPath, suffix: str) -> bool:
    transcript = re.fullmatch(r"core-sounds-..\.txt(\.gz)?", path.name)
    return path.suffix == suffix or path.name == "copyright" or transcript is not None


def _packages_in(source: Path, prompts: _Prompts) -> dict[str, Path]:
    """The .deb files in `source`, by package, or nothing if it holds no .deb at all."""
    if not source.is_dir():
        raise DataError(f"--source {str(source)!r} is not a folder; {prompts.mend}")
    if not any(source.glob("*.deb")):
        return {}
    found = {name: sorted([*source.glob(f"{name}_*.deb"), *source.glob(f"{name}.deb")]) for name in prompts.packages}
    for name, files in found.items():
        if len(files) != 1:
            problem = f"{len(files)} packages" if files else "no package"
            raise DataError(
                f"--source {str(source)!r} holds {problem} {name}_*.deb where one is needed; {prompts.mend}"
            )
    return {name: files[0] for name, files in found.items()}


def _find(place: Path, prompts: _Prompts) -> tuple[Path, Path]:
    """The transcript in `place`, and the folder under which its names are files."""
    language, suffix = prompts.voice.language, prompts.suffix
    transcripts = sorted(place.rglob(f"core-sounds-{language}.txt*"))
    if not transcripts:
        raise DataError(f"{place}: holds no core-sounds-{language}.txt or .txt.gz; {prompts.mend}")
    folders = {file.parent for file in _files(place, suffix)}
    roots = sorted(folder for folder in folders if not folders.intersection(folder.parents))
    named = [root for root in roots if re.match(rf"{language}([_-]|$)", root.name)]
    chosen = named if len(roots) > 1 else roots
    if len(chosen) != 1:
        problem = f"{len(roots)} folders" if roots else "no folder"
        raise DataError(f"{place}: holds {problem} of {suffix} files where one for {language!r} is due; {prompts.mend}")
    return transcripts[0], chosen[0]


def _files(place: Path, suffix: str) -> list[Path]:
    return sorted(path for path in place.rglob(f"*{suffix}") if path.is_file())


def _clips(prompts: _Prompts, place: Path, folder: Path, report: Report) -> Built:
    transcript, root = _find(place, prompts)
    texts = parse_transcript(_read_text(transcript))
    files = {path.relative_to(root).with_suffix("").as_posix(): path for path in _files(root, prompts.suffix)}
    report(f"reading {len(files)} recordings and {len(texts)} transcripts")
    clips: list[Clip] = []
    excluded: Counter[str] = Counter()
    for name in sorted(files.keys() | texts.keys()):
        reason = exclusion(name, texts.get(name, ()), has_audio=name in files)
        if reason is None:
            try:
                seconds = probe_seconds(files[name])
            except AudioError:
                seconds = 0.0
            reason = None if seconds > 0 else "no sound in the recording"
        if reason is None:
            clips.append(_clip(prompts, folder, name=name, file=files[name], text=texts[name][0], seconds=seconds))
        else:
            excluded[reason] += 1
    notice = transcript.with_name("copyright")
    if notice.is_file():
        shutil.copyfile(notice, folder / "copyright")
    return Built(clips, excluded)


def _clip(prompts: _Prompts, folder: Path, *, name: str, file: Path, text: str, seconds: float) -> Clip:
    target = folder / "audio" / f"{name}{prompts.suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    return Clip(
        id=f"{prompts.name}/{name}",
        file=target.relative_to(folder).as_posix(),
        sha256=sha256_of(target),
        bytes=target.stat().st_size,
        seconds=seconds,
        text=text,
        speaker=prompts.voice.speaker,
        language=prompts.voice.language,
        gender=prompts.voice.gender,
        licence=prompts.voice.licence,
    )


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the transcript cannot be read: {error}; fetch the package again") from error


def _register(language: str, *, telephone: bool) -> None:
    prompts = _Prompts(LANGUAGES[language], telephone)

    def factory() -> PreparedCorpus:
        return asterisk(language, telephone=telephone)

    quality = "8 kHz telephone recordings" if telephone else "16 kHz recordings"
    factory.__doc__ = f"Human prompts in {language!r}, one {prompts.voice.gender} speaker, {quality} with transcripts."
    facts = {"language": language, "licence": prompts.voice.licence, "package": prompts.packages[1]}
    corpus(prompts.name, **facts)(factory)


for _language in LANGUAGES:
    _register(_language, telephone=False)
    _register(_language, telephone=True)
