"""What is typed and what comes back: every mistake is one line that names the mend, and exit code 2."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from audiometry.benchmark import cli
from audiometry.benchmark.report import format_value

PLUGIN = str(Path(__file__).with_name("faulty.py"))
ECHO = ["-t", "echo", "--plugin", PLUGIN, "--resamples", "200", "--quiet"]
COMMAND = [sys.executable, "-m", "audiometry.benchmark.cli"]


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", [0.0] * 1600, 16000)
    path = tmp_path / "list.csv"
    path.write_text("audio,text\na.wav,hello\n")
    return path


@pytest.mark.usefixtures("home")
class TestMistakes:
    def test_unknown_names(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "unknown model 'whispr'; did you mean 'whisper'?" in complaint(capsys, "run", "-m", "whispr", *ECHO)
        assert "unknown task 'wer-asterisk-eng'; did you mean 'wer-asterisk-en'?" in complaint(
            capsys, "run", "-m", "silent", "-t", "wer-asterisk-eng"
        )

    def test_unknown_flags_and_settings(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "--modell" in complaint(capsys, "run", "--modell", "x")
        assert "takes no setting 'beem'; did you mean 'beam'?" in complaint(
            capsys, "run", "-m", "whisper:beem=3", *ECHO
        )
        assert "'--limit'" in complaint(capsys, "run", "--limit", "many")

    def test_unknown_configuration_keys(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        (tmp_path / "c.toml").write_text("modle = 'x'\n")
        said = complaint(capsys, "run", "--config", str(tmp_path / "c.toml"))
        assert "unknown key 'modle'; did you mean 'model'?" in said

    def test_a_missing_audio_file(self, capsys: pytest.CaptureFixture[str], manifest: Path) -> None:
        manifest.write_text("audio,text\na.wav,hello\nb.wav,there\n")
        said = complaint(capsys, "run", "-m", "silent", "-t", f"wer:path={manifest},language=en")
        assert "b.wav" in said

    def test_a_manifest_without_a_column(self, capsys: pytest.CaptureFixture[str], manifest: Path) -> None:
        manifest.write_text("audio,transcript\na.wav,hello\n")
        said = complaint(capsys, "run", "-m", "silent", "-t", f"wer:path={manifest},language=en")
        assert "text" in said

    def test_a_task_without_its_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "needs a list of recordings, as in wer:path=FILE" in complaint(
            capsys, "run", "-m", "silent", "-t", "wer"
        )

    def test_a_corpus_that_is_not_prepared(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = complaint(capsys, "run", "-m", "silent", "-t", "wer-asterisk-fr")
        assert "audiometry data prepare asterisk-fr" in said

    def test_a_store_that_cannot_be_written(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        said = complaint(capsys, "run", "-m", "faulty", *ECHO, "--store", f"sqlite:///{tmp_path}")
        assert "AUDIOMETRY_STORE" in said or "store" in said

    def test_a_run_folder_that_cannot_be_written(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        said = complaint(capsys, "run", "-m", "faulty", *ECHO, "-o", str(tmp_path / "file" / "run"))
        assert "choose another with --output-path" in said

    def test_a_folder_with_a_run_in_it(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        (tmp_path / "run.json").write_text("{}")
        assert "holds a run already" in complaint(capsys, "run", "-m", "faulty", *ECHO, "-o", str(tmp_path))

    def test_a_log_level(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AUDIOMETRY_LOG_LEVEL", "LOUD")
        assert "give DEBUG, INFO, WARNING or ERROR" in complaint(capsys, "ls", "tasks")

    def test_a_source_that_is_no_folder(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = complaint(capsys, "data", "prepare", "asterisk-en", "--source", "nowhere")
        assert "--source nowhere is not a folder" in said

    def test_what_is_to_be_built(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "asterisk-en, asterisk-en-telephone, asterisk-es" in complaint(capsys, "data", "build", "asterisk")
        assert "none begins so; see: audiometry ls corpora" in complaint(capsys, "data", "build", "spof")
        said = complaint(capsys, "data", "build", "spoof", "--source", "nowhere")
        assert "--source nowhere is not a folder" in said  # so the beginning of the name was enough


@pytest.mark.usefixtures("home", "ray_here")
class TestRuns:
    def test_json_is_all_that_is_printed(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        assert cli.main(["run", "-m", "faulty", *ECHO, "--json", "-o", str(tmp_path / "run"), "--batch_size=3"]) == 0
        document = json.loads(capfd.readouterr().out)
        needed = {"model", "task", "metric", "slice", "value", "low", "high", "n", "failed"}
        assert all(needed <= set(line) for line in document["results"])
        on_disk = json.loads((tmp_path / "run" / "results.json").read_text())
        assert on_disk["results"] == document["results"]

    def test_the_table(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        words = ["run", "-m", "faulty:fault=raise", "-m", "parrot", *ECHO, "--max-failures", "0.1"]
        assert cli.main([*words, "-o", str(tmp_path / "run")]) == 0
        out = capfd.readouterr().out
        assert "parrot (control)" in out
        assert "5.00 % [" in out
        assert out.index("faulty:fault=raise") < out.index("parrot")

    def test_too_many_failures_are_no_result(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        words = ["run", "-m", "faulty:fault=raise", *ECHO, "--max-failures", "0.01", "-o", str(tmp_path / "run")]
        assert cli.main(words) == 2
        said = capfd.readouterr().err
        assert "1 of 20 samples failed, more than --max-failures 0.01 allows; the first: RuntimeError" in said


def test_lists(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    for kind in ("tasks", "models", "corpora", "suites"):
        assert cli.main(["ls", kind, "--json", "--plugin", PLUGIN]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert all("name" in line for line in listed)
        assert cli.main(["ls", kind]) == 0
        assert listed[0]["name"] in capsys.readouterr().out
    assert not home.exists()


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)
    assert cli.main([]) == 0
    assert "audiometry run -m whisper,pocketsphinx -t wer-asterisk-en" in capsys.readouterr().out


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["run"], ["ls"], ["data", "prepare"], ["serve"], ["compare"]):
        assert cli.main([*words, "--help"]) == 0
        assert "Examples:" in capsys.readouterr().out, words


def test_a_broken_command_is_told_when_it_is_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint("mend", "audiometry_no_such_module", cli.GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [point])
    assert cli.main(["ls", "suites"]) == 0
    capsys.readouterr()
    assert "command 'mend' (audiometry_no_such_module) failed to import" in complaint(capsys, "mend", "--now")


def test_help_is_quick_and_the_engine_is_light() -> None:
    code = "import sys, audiometry.benchmark; print([m for m in ('torch', 'ray', 'pandas') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    heavy = "('torch', 'ray', 'pandas', 'sqlalchemy', 'streamlit', 'scipy', 'pyarrow', 'av', 'numpy.fft')"
    code = f"import sys, audiometry.benchmark.cli as c; c.main(['-h']); print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip().endswith("[]")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_a_readable_folder(tmp_path: Path, home: Path, number: signal.Signals) -> None:
    folder = tmp_path / "run"
    words = ["run", "-m", "slow:seconds=0.15", *ECHO[:-1], "-b", "1", "--workers", "1", "-o", str(folder)]
    process = subprocess.Popen([*COMMAND, *words], stderr=subprocess.PIPE, text=True)
    journal = folder / "journal.jsonl"
    until = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"stopped by {number.name}" in said
    document = json.loads((folder / "run.json").read_text())
    assert document["status"] == "partial"
    overall = json.loads((folder / "results.json").read_text())["results"][0]
    assert 3 <= overall["n"] < 20
    assert any(note.startswith("partial:") for note in overall["notes"])
    import pandas as pd

    assert len(pd.read_parquet(folder / "outputs.parquet")) == overall["n"]
    assert home.exists()


def test_values_are_shown_with_their_unit() -> None:
    assert format_value(0.5, "fraction") == "50.00 %"
