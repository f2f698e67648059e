"""Answers requests with an audiocraft model, inside the environment that holds audiocraft.

A script for another Python: it needs the standard library, torch, safetensors and audiocraft, and nothing of ours.
Run it with ``python -I``, or the folder it lies in hides the real audiocraft. It speaks the protocol of
docs/adapters.md.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
import wave
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["load", "main", "read_checkpoint", "serve"]


def main(words: Sequence[str]) -> None:
    """Load the model, say hello, and answer until the input ends."""
    settings = _settings(words)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print belongs to standard error
    torch: Any = importlib.import_module("torch")
    torch.load = lambda file, *_, **__: read_checkpoint(file, settings.python, settings.converter)
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


def read_checkpoint(file: Any, python: str, converter: str) -> Any:
    """What `torch.save` wrote to the path `file`: tensors and plain values alone.

    Such a file is a pickle, which may run any code when it is read, and this environment's torch is too old to read it
    safely. `converter` is the path of `checkpoint_tensors.py` and `python` one whose torch is not: safetensors come
    from there. Raises ValueError, with its reason, for a file that holds anything else.
    """
    safetensors: Any = importlib.import_module("safetensors")
    with tempfile.TemporaryDirectory(prefix="audiometry-checkpoint-") as folder:
        target = f"{folder}/tensors.safetensors"
        words = [python, "-I", converter, os.fspath(file), target]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise ValueError(lines[-1] if lines else f"{file} could not be read: exit code {done.returncode}")
        with safetensors.safe_open(target, framework="pt") as opened:
            return _restored(json.loads(opened.metadata()["structure"]), opened.get_tensor)


def _restored(value: Any, tensor: Callable[[str], Any]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "tensor":
        return tensor(held)
    if kind == "dict":
        return {key: _restored(one, tensor) for key, one in held}
    return [_restored(one, tensor) for one in held]


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
    parser.add_argument("--python", required=True)
    parser.add_argument("--converter", required=True)
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
