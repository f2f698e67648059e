from __future__ import annotations

import argparse
import importlib.util
import io
import json
import sys
import sysconfig
import types
import venv
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiometry.benchmark.audio import read_file
from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.plan import Batch, Item
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Model, Request, Sample
from audiometry.benchmark.worker import Evaluator
from audiometry.models import environments
from audiometry.models.adapters import audiocraft, audiocraft_server, checkpoint_tensors
from audiometry.models.adapters.audiocraft_server import read_checkpoint

FAKE = '''
"""Behaves as audiocraft does where the server touches it: a model whose sound depends on weights, text and seed."""
import hashlib
import torch


class Fake:
    sample_rate = 16_000

    @classmethod
    def get_pretrained(cls, name, device):
        print("loading", name)
        model = cls()
        model.lm = torch.nn.Linear(2, 3)
        model.compression_model = torch.nn.Linear(1, 1)
        model.lm.condition_provider = type("Provider", (), {"conditioners": {"description": Conditioner()}})()
        if name != "debug":
            model.lm.load_state_dict(torch.load(f"{name}/state_dict.bin", map_location=device)["best_state"])
            model.compression_model.load_state_dict(torch.load(f"{name}/compression_state_dict.bin")["best_state"])
        return model

    def set_generation_params(self, **given):
        self.given = given

    def generate(self, descriptions):
        (text,) = descriptions
        if text == "fail":
            raise RuntimeError("no such\\nmusic")
        if text == "nan":
            return torch.full((1, 1, 10), float("nan"))
        print("making", text)
        pitch = int(hashlib.sha256(text.encode()).hexdigest()[:4], 16) / 65536
        time = int(self.given["duration"] * self.sample_rate)
        return pitch + 0.1 * torch.rand(1, self.channels, time) + self.lm.bias.mean()


class Conditioner:
    def __init__(self):
        self.__dict__["t5"] = torch.nn.Linear(1, 2)


class MusicGen(Fake):
    channels = 2


class AudioGen(Fake):
    channels = 1
'''


@pytest.fixture(scope="module")
def fake_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose environment holds this Python's torch and a fake audiocraft."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOMETRY_HOME", str(home))
        folder = environments.folder("audiocraft")
        venv.create(folder, symlinks=True)
        packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        (packages / "ours.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        (packages / "audiocraft").mkdir()
        (packages / "audiocraft" / "__init__.py").write_text("__version__ = '0'\n")
        (packages / "audiocraft" / "models.py").write_text(FAKE)
        (packages / "spacy.py").write_text("load = None\n")
        receipt = {"pins": environments.RECIPES["audiocraft"].digest}
        (folder / environments.RECEIPT).write_text(json.dumps(receipt))
    return home


@pytest.fixture
def ready(fake_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMETRY_HOME", str(fake_home))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "my-musicgen", seed=1)


def write_export(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    folder.mkdir()
    for name, network in (
        ("state_dict.bin", torch.nn.Linear(2, 3)),
        ("compression_state_dict.bin", torch.nn.Linear(1, 1)),
    ):
        torch.save({"best_state": network.state_dict(), "xp.cfg": "a: 1\n", "exported": True}, folder / name)
    return folder


def ask(model: Any, *texts: str | None, seed: int = 3) -> list[Any]:
    return list(model.generate([Request("synthesize", text=text, seed=seed) for text in texts]))


@pytest.mark.slow
def test_an_export_makes_sound_by_text_and_seed(ready: None, export: Path) -> None:
    spec = Spec("audiocraft", (("model", str(export)), ("seconds", "0.5"), ("label", "mine")))
    MODELS.check(spec)
    model = MODELS.create(spec)
    assert isinstance(model, Model)
    assert (model.name, model.abilities, model.deterministic) == ("mine", {"synthesize"}, False)
    rain, wind, broken, nan, empty, again = ask(model, "rain", "wind", "fail", "nan", None, "rain")
    (other,) = ask(model, "rain", seed=4)
    model.close()
    assert rain.audio.rate == 16_000
    assert rain.audio.seconds == 0.5
    assert np.array_equal(rain.audio.samples, again.audio.samples)
    assert not np.array_equal(rain.audio.samples, other.audio.samples)
    assert abs(rain.audio.samples.mean() - wind.audio.samples.mean()) > 0.01
    assert (broken.status, broken.error) == ("error", "RuntimeError: no such music")
    assert nan.error == "the model made samples that are not finite numbers"
    assert empty.error == "the request has no text to make sound of"


@pytest.mark.slow
def test_the_fingerprint_covers_every_weight_and_setting(ready: None, export: Path, tmp_path: Path) -> None:
    def fingerprint(folder: Path, **settings: Any) -> str:
        model = audiocraft.audiocraft(model=str(folder), **settings)
        model.close()
        return model.fingerprint

    base = fingerprint(export)
    same = write_export(tmp_path / "musicgen-moved", seed=1)
    assert fingerprint(same, label="x", timeout=10.0) == base
    other = fingerprint(write_export(tmp_path / "musicgen-other", seed=2))
    greedy = fingerprint(export, temperature=0.0)
    assert len({base, other, greedy}) == 3


@pytest.mark.slow
def test_an_export_that_runs_code_is_refused(ready: None, export: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"best_state": Evil(str(mark))}, export / "state_dict.bin")
    with pytest.raises(UserError, match=r"did not start: .*: it wants getattr, which could run code"):
        audiocraft.audiocraft(model=str(export))
    assert not mark.exists()


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


@pytest.mark.slow
def test_debug_models_through_the_engine(ready: None) -> None:
    evaluator = Evaluator(Spec("audiocraft", (("kind", "audiogen"), ("model", "debug"), ("seconds", "0.2"))), None, [])
    facts = evaluator.load()
    assert facts.error is None
    assert len(facts.fingerprint) == 64
    item = Item(0, Sample("a", Request("synthesize", text="rain"), None))
    ready_items, failed, _ = evaluator._decode(Batch(0, (item,)))
    assert not failed
    (output,) = evaluator._ask(ready_items).values()
    evaluator.close()
    assert output.status == "ok"
    assert output.audio is not None
    assert output.audio.seconds == pytest.approx(0.2)


def test_what_is_missing_is_told_with_the_command_that_makes_it(home: Path) -> None:
    with pytest.raises(DataError) as raised:
        MODELS.check(Spec("audiocraft"))
    assert str(raised.value) == (
        "the environment 'audiocraft' is not there; make it with: audiometry env create audiocraft"
    )
    with pytest.raises(DataError, match="env create audiocraft"):
        audiocraft.audiocraft()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"model": "me/loud"}, "'me/loud' does not tell its kind; add kind=musicgen or kind=audiogen"),
        ({"model": "https://x/musicgen.bin"}, "is a URL"),
        ({"model": "./nowhere/musicgen"}, "is no folder"),
        ({"model": "~/nowhere-musicgen"}, "is no folder"),
        ({"model": "a/b/musicgen"}, "is no folder"),
        ({"top_k": -1}, "-1 is less than 0"),
        ({"seconds": 0.0}, "'seconds': 0 is outside 0.1 to 300"),
        ({"seconds": float("nan")}, "'seconds': nan is outside"),
        ({"temperature": -1.0}, "'temperature': -1 is outside"),
        ({"top_p": 2.0}, "'top_p': 2 is outside"),
        ({"timeout": 0.0}, "'timeout': 0 is outside"),
    ],
)
def test_settings_are_checked(home: Path, settings: dict[str, Any], error: str) -> None:
    with pytest.raises(SettingError) as raised:
        audiocraft.check(**settings)
    assert error in str(raised.value)


def test_an_export_must_be_whole(home: Path, export: Path) -> None:
    (export / "compression_state_dict.bin").unlink()
    with pytest.raises(SettingError, match=r"holds no compression_state_dict.bin; export it again"):
        audiocraft.check(model=str(export))
    with pytest.raises(SettingError, match="is no folder"):
        audiocraft.check(model=str(export / "state_dict.bin"), kind="musicgen")


def test_the_kind_goes_by_the_name() -> None:
    assert audiocraft._kind("facebook/audiogen-medium", "auto") == "audiogen"
    assert audiocraft._kind("facebook/musicgen-large", "auto") == "musicgen"
    assert audiocraft._kind("debug", "audiogen") == "audiogen"


DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def converted(path: Path) -> Any:
    return read_checkpoint(path, sys.executable, checkpoint_tensors.__file__)


@pytest.mark.slow
def test_checkpoints_are_read_as_torch_reads_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    saved = OrderedDict()
    for dtype in DTYPES:
        whole = (torch.rand(4, 6) * 3).to(getattr(torch, dtype))
        saved[dtype] = [whole, whole[1:3, ::2].t(), whole[:0], whole[0, 0], whole[:1].expand(3, 6)]
    plain = {"nested": [{"a": (1, "b", None, 2.5, True)}], 7: "seven", "xp.cfg": "a: 1\n"}
    torch.save({"state": saved, "parameter": torch.nn.Parameter(torch.ones(3)), **plain}, tmp_path / "a.bin")
    read = converted(tmp_path / "a.bin")
    assert list(read) == ["state", "parameter", *plain]
    assert torch.equal(read["parameter"], torch.ones(3))
    assert read["nested"] == [{"a": [1, "b", None, 2.5, True]}]
    assert (read[7], read["xp.cfg"]) == ("seven", "a: 1\n")
    assert list(read["state"]) == list(DTYPES)
    for dtype in DTYPES:
        for one, other in zip(read["state"][dtype], saved[dtype], strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)


@pytest.mark.slow
def test_a_module_state_with_its_metadata_is_read(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    torch.save(network.state_dict(), tmp_path / "a.bin")
    read = converted(tmp_path / "a.bin")
    network.load_state_dict(read)
    assert list(read) == list(network.state_dict())


def test_a_checkpoint_with_anything_else_is_refused_and_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "ran"
    for thing, error in (
        (Evil(str(mark)), "it wants getattr, which could run code"),
        (len, "it wants len, which"),
        (torch.nn.Linear(1, 1), "it wants torch.nn.modules.linear.Linear, which"),
        ({1, 2}, "it holds a builtins.set"),
        (torch.float32, "it holds a torch.dtype"),
        ({(1, 2): 3}, "it holds a builtins.tuple"),
    ):
        torch.save({"a": thing}, tmp_path / "a.bin")
        assert checkpoint_tensors.main([str(tmp_path / "a.bin"), str(tmp_path / "out")]) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"{tmp_path / 'a.bin'} is no checkpoint of tensors and plain values: ")
        assert error in told
        assert told.count("\n") == 1
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    for name, content in {"text": b"nothing", "empty": b"", "zip": b"PK\x03\x04 and no more"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} is no checkpoint of .*: it is damaged or of another kind"):
            converted(tmp_path / name)
    with pytest.raises(ValueError, match=r"can't open file .*no such converter"):
        read_checkpoint(tmp_path / "text", sys.executable, "no such converter")


def test_the_server_answers_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = types.ModuleType("audiocraft")
    package.__version__ = "9"  # type: ignore[attr-defined]
    (tmp_path / "fake.py").write_text(FAKE)
    spec = importlib.util.spec_from_file_location("audiocraft.models", tmp_path / "fake.py")
    assert spec is not None
    assert spec.loader is not None
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    spacy = types.ModuleType("spacy")
    spacy.blank = lambda language: f"blank {language}"  # type: ignore[attr-defined]
    for name, module in (("audiocraft", package), ("audiocraft.models", models), ("spacy", spacy)):
        monkeypatch.setitem(sys.modules, name, module)
    words = "--kind musicgen --model debug --device cpu --seconds 0.1 --temperature 0 --top-k 9 --top-p 0 --guidance 2"
    words += " --python none --converter none"
    settings = audiocraft_server._settings(words.split())
    assert isinstance(settings, argparse.Namespace)
    model = audiocraft_server.load(torch, settings)
    assert spacy.load("en_core_web_sm") == "blank en"  # type: ignore[attr-defined]
    assert model.given == {
        "duration": 0.1, "use_sampling": False, "temperature": 1.0, "top_k": 9, "top_p": 0.0, "cfg_coef": 2.0,
    }  # fmt: skip
    asked = [
        {"id": 4, "text": "rain", "seed": 1, "folder": str(tmp_path)},
        {"id": 5, "seed": 1, "folder": str(tmp_path)},
        {"id": 6, "text": "fail", "seed": 1, "folder": str(tmp_path)},
        {"id": 7, "text": "nan", "seed": 1, "folder": str(tmp_path)},
    ]
    answers = io.StringIO()
    audiocraft_server.serve(torch, model, settings, [json.dumps(one) for one in asked], answers)
    hello, rain, empty, fail, nan = map(json.loads, answers.getvalue().splitlines())
    assert (hello["name"], hello["abilities"], hello["deterministic"]) == ("musicgen", ["synthesize"], True)
    assert hello["version"].startswith(f"audiocraft 9, torch {torch.__version__}, ")
    assert rain == {"id": 4, "audio": str(tmp_path / "4.wav")}
    assert read_file(tmp_path / "4.wav").seconds == 0.1
    assert empty["error"] == "the request has no text to make sound of"
    assert (fail["id"], fail["error"]) == (6, "RuntimeError: no such music")
    assert nan["error"] == "the model made samples that are not finite numbers"
    assert "RuntimeError" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
