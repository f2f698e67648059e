"""Answers requests with an audiocraft model, inside the environment that holds audiocraft.

A script for another Python: it needs the standard library, torch and audiocraft, and nothing of ours. Run it with
``python -I``, or the folder it lies in hides the real audiocraft. It speaks the protocol of docs/adapters.md.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import json
import os
import pickle
import sys
import traceback
import wave
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Tensor", "load", "main", "read_checkpoint", "serve"]

KINDS = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
"""The storages of a checkpoint, and torch's names for what they hold."""


def main(words: Sequence[str]) -> None:
    """Load the model, say hello, and answer until the input ends."""
    settings = _settings(words)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print belongs to standard error
    torch: Any = importlib.import_module("torch")
    torch.load = lambda file, *_, **__: read_checkpoint(torch, file)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    serve(torch, load(torch, settings), settings, sys.stdin, answers)


def serve(torch: Any, model: Any, settings: argparse.Namespace, lines: Iterable[str], answers: Any) -> None:
    """Say hello, and answer each line."""
    _say(answers, _hello(torch, model, settings))
    for line in lines:
        request = json.loads(line)
        try:
            answer = _answer(torch, model, request)
        except Exception as error:  # whatever the model raises is this request's error
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        _say(answers, {"id": request["id"], **answer})


def read_checkpoint(torch: Any, file: Any) -> Any:
    """What `torch.save` wrote to `file` (a path or an open binary file): tensors and plain values alone.

    Such a file is a pickle, which may run any code when it is read, and torch's own ``weights_only`` has known ways
    round it before 2.10 (CVE-2025-32434, CVE-2026-24747). Here the pickle can name nothing but an ordered dictionary
    and tensors, whose bounds are checked. Raises ValueError for everything else, and for formats older than torch 1.6.
    """
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{file} is no archive of torch.save; save it again with torch 1.6 or later")
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError(f"{file} is no archive of torch.save: it holds {len(names)} entries called data.pkl")
        folder = names[0].removesuffix("data.pkl")
        order = f"{folder}byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError(f"{file} was saved on a machine with another byte order; save it again")
        storages: dict[tuple[str, str], Any] = {}

        def storage(piece: Tensor) -> Any:
            key = (piece.kind, piece.key)
            if key not in storages:
                content = bytearray(archive.read(f"{folder}data/{piece.key}"))
                dtype = getattr(torch, KINDS[piece.kind])
                storages[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
            return storages[key]

        return _with_tensors(_Reader(io.BytesIO(archive.read(names[0]))).load(), storage)


class Tensor(NamedTuple):
    """A tensor as a checkpoint describes it: a view of a storage."""

    kind: str
    key: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, storage: Any) -> Any:
        """The tensor. Raises ValueError if it would reach outside its storage."""
        numbers = [self.offset, *self.size, *self.stride]
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.size, self.stride, strict=True))
        if not all(type(one) is int and one >= 0 for one in numbers):
            raise ValueError("a tensor's shape does not hold whole numbers from 0")
        if 0 not in self.size and last >= len(storage):
            raise ValueError("a tensor reaches outside its storage; the file is damaged")
        return storage.as_strided(self.size, self.stride, self.offset)


class _Reader(pickle.Unpickler):
    """A pickle reader that knows four names."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in KINDS:
            return name
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        raise ValueError(f"a checkpoint may hold tensors and plain values alone; this one wants {module}.{name}")

    def persistent_load(self, told: Any) -> Any:
        word, kind, key, _, _ = told
        if word != "storage" or kind not in KINDS or not isinstance(key, str) or not key.isalnum():
            raise ValueError("a checkpoint names a storage that is none")
        return kind, key


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    kind, key = storage
    return Tensor(kind, key, offset, tuple(size), tuple(stride))


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


def _with_tensors(value: Any, storage: Callable[[Tensor], Any]) -> Any:
    if isinstance(value, Tensor):
        return value.of(storage(value))
    if isinstance(value, dict):
        return {key: _with_tensors(one, storage) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_tensors(one, storage) for one in value]
    return value


def _settings(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=("musicgen", "audiogen"), required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--temperature", type=float, required=True)
    parser.add_argument("--top-k", type=int, required=True)
    parser.add_argument("--top-p", type=float, required=True)
    parser.add_argument("--guidance", type=float, required=True)
    return parser.parse_args(words)


def load(torch: Any, settings: argparse.Namespace) -> Any:
    """The model, ready to generate as `settings` say."""
    if settings.model == "debug":
        _tokenise_without_models()
    torch.manual_seed(0)  # the debug models have random weights
    models = importlib.import_module("audiocraft.models")
    family = models.MusicGen if settings.kind == "musicgen" else models.AudioGen
    model = family.get_pretrained(settings.model, device=settings.device)
    model.set_generation_params(
        duration=settings.seconds,
        use_sampling=settings.temperature > 0.0,
        temperature=settings.temperature or 1.0,
        top_k=settings.top_k,
        top_p=settings.top_p,
        cfg_coef=settings.guidance,
    )
    return model


def _tokenise_without_models() -> None:
    """The debug models split words by a spaCy model that would be fetched; a blank one does for random weights."""
    spacy: Any = importlib.import_module("spacy")
    spacy.load = lambda _: spacy.blank("en")


def _hello(torch: Any, model: Any, settings: argparse.Namespace) -> dict[str, Any]:
    version = importlib.import_module("audiocraft").__version__
    return {
        "name": settings.kind,
        "version": f"audiocraft {version}, torch {torch.__version__}, {_digest(model)}",
        "abilities": ["synthesize"],
        "deterministic": settings.temperature == 0.0,
    }


def _digest(model: Any) -> str:
    """A sha256 over every tensor that the model computes with, wherever it came from, and its configuration."""
    digest = hashlib.sha256(str(getattr(model, "cfg", None)).encode())
    for part in _parts(model):
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()


def _parts(model: Any) -> Iterable[Any]:
    """The networks. A text encoder that is not trained further is kept out of its conditioner's state."""
    yield model.lm
    yield model.compression_model
    provider = getattr(model.lm, "condition_provider", None)
    for _, conditioner in sorted(getattr(provider, "conditioners", {}).items()):
        if "t5" in vars(conditioner):
            yield conditioner.t5


def _answer(torch: Any, model: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    text = request.get("text") or request.get("instruction")
    if not text:
        return {"error": "the request has no text to make sound of"}
    torch.manual_seed(request["seed"])
    with torch.no_grad():
        sound = model.generate([text])[0]  # (channels, time)
    if not torch.isfinite(sound).all():
        return {"error": "the model made samples that are not finite numbers"}
    path = Path(request["folder"]) / f"{request['id']}.wav"
    pcm = (sound.detach().cpu().float().clamp(-1.0, 1.0) * 32767.0).round().short()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(pcm.shape[0])
        file.setsampwidth(2)
        file.setframerate(int(model.sample_rate))
        file.writeframes(pcm.t().contiguous().numpy().tobytes())
    return {"audio": str(path)}


def _say(stream: Any, message: Mapping[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
