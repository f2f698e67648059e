from __future__ import annotations

import doctest
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.registry import MODELS, load_plugins, model, parse_spec
from audiometry.benchmark.types import Output, Request, Waveform
from audiometry.models.adapters import compressed as module
from audiometry.models.adapters.compressed import networks_of, prune, quantise_int8, weight_bytes
from audiometry.models.adapters.one_by_one import OneByOne

RATE = 16_000


class Slotted:
    __slots__ = ("__hidden", "inside", "missing")

    def __init__(self, inside: object) -> None:
        self.inside = inside


class Scorer(nn.Module):
    """An embedding whose matrix is also the output's, and two layers of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.names = nn.Embedding(12, width)
        self.body = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width, bias=False))
        self.output = nn.Linear(width, 12, bias=False)
        self.output.weight = self.names.weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.output(self.body(inputs))


def scorer(width: int = 32, seed: int = 0) -> Scorer:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Scorer(width)


def listener(*, width: int = 32, half: bool = False) -> OneByOne:
    """Scores a sound by a small network that a closure holds."""
    network = scorer(width).half() if half else scorer(width)

    def answer(request: Request) -> Output:
        samples = torch.from_numpy(request.waveforms["input"].samples[None, :64])
        with torch.inference_mode():
            return Output(score=float(network(samples)[0, 0]))

    return OneByOne("compressed-listener", f"listener {width}", frozenset({"detect"}), answer)


def flat() -> OneByOne:
    """Has no network."""
    return OneByOne("compressed-flat", "flat", frozenset({"detect"}), lambda _: Output(score=1.0))


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    load_plugins()
    model("compressed-listener", abilities={"detect"})(listener)
    model("compressed-flat", abilities={"detect"})(flat)
    yield
    for name in ("compressed-listener", "compressed-flat"):
        del MODELS._entries[name]


def made(text: str) -> Any:
    return MODELS.create(parse_spec(text))


def sounds(count: int = 20) -> list[Request]:
    drawn = np.random.default_rng(0).normal(0, 0.3, (count, 64)).astype(np.float32)
    return [Request("detect", waveforms={"input": Waveform(one, RATE)}) for one in drawn]


def scores(text: str) -> np.ndarray[Any, Any]:
    return np.array([output.score for output in made(text).generate(sounds())])


def test_examples() -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_networks_are_found_wherever_a_model_holds_them() -> None:
    default, keyword, closed, slot, argument, named = (nn.Linear(2, 2) for _ in range(6))

    def answer(first: object = default, *, second: object = keyword) -> object:
        return closed, later

    class Holder:
        def __init__(self) -> None:
            self.parts = {"a": [Slotted(slot)], "b": (functools.partial(max, argument, key=named),)}
            self.bound = Slotted(self).__init__
            self.answer = answer
            self.kinds = (nn.Linear, torch, len, "text", b"bytes", 3, None, np.zeros(2))

    found = networks_of(Holder())  # `later` is not bound yet
    later = None
    assert {id(one) for one in found} == {id(one) for one in (default, keyword, closed, slot, argument, named)}
    assert len(found) == 6
    whole = nn.Sequential(closed, slot)
    assert networks_of([closed, whole, slot]) == [whole]
    assert networks_of(Slotted(None)) == []


def test_int8_is_a_quarter_of_the_bytes_and_close() -> None:
    network = scorer(256)
    inputs = torch.randn(50, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before, bytes_before = network(inputs), weight_bytes(network)
        assert quantise_int8(network) is network
        after = network(inputs)
    body = 64 * 256 + 256 * 256
    assert bytes_before == 4 * (body + 256 + 12 * 256)
    # the bias and the embedding stay, and the shared output gets int8 weights of its own
    assert weight_bytes(network) == body + 12 * 256 + 4 * (256 + 12 * 256) + 3 * 8
    error = (after - before).norm() / before.norm()
    assert 0 < float(error) < 0.03


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_pruning_leaves_the_largest_weights(share: float) -> None:
    network = scorer()
    before = torch.cat([network.body[0].weight.flatten(), network.body[2].weight.flatten()]).abs().detach()
    embedding = network.names.weight.detach().clone()
    zeros = prune([network], share)
    after = torch.cat([network.body[0].weight.flatten(), network.body[2].weight.flatten()]).abs().detach()
    assert zeros == pytest.approx(share, abs=1 / len(before))
    assert float((after == 0).double().mean()) == pytest.approx(zeros)
    kept = after > 0
    assert torch.equal(after[kept], before[kept])
    assert before[~kept].max() <= before[kept].min()
    assert torch.equal(network.names.weight, embedding)
    assert network.output.weight is network.names.weight
    assert not list(network.buffers())
    assert {name for name, _ in network.named_parameters()} == {name for name, _ in scorer().named_parameters()}


def test_nothing_to_prune() -> None:
    assert prune([nn.Sequential(nn.ReLU())], 0.5) == 0.0


def test_the_wrapped_model_answers_alike_and_is_smaller() -> None:
    plain = scores("compressed-listener:width=256")
    small = made("compressed:model=compressed-listener:width=256,quantise=int8")
    assert small.size.bytes_after < 0.4 * small.size.bytes_before
    assert (small.size.layers, small.size.zeros) == (3, 0.0)
    assert small.size.share == pytest.approx(1 - 256 / (64 * 256 + 256 * 256 + 12 * 256 + 256))
    answered = np.array([output.score for output in small.generate(sounds())])
    assert np.corrcoef(plain, answered)[0, 1] > 0.99
    assert not np.array_equal(plain, answered)
    small.close()
    pruned = made("compressed:model=compressed-listener:width=256,prune=0.3")
    assert pruned.size.zeros == pytest.approx(0.3, abs=1e-4)
    assert pruned.size.bytes_after == pruned.size.bytes_before
    assert pruned.size.layers == 2
    both = made("compressed:model=compressed-listener:width=256,prune=0.3,quantise=int8")
    assert both.size.zeros == pytest.approx(0.3, abs=1e-4)
    assert both.size.bytes_after == small.size.bytes_after
    facts = both.generate(sounds(1))[0].facts
    assert facts == {"weights": "0.3 MiB, now 0.1 MiB", "zeros": "0.300 of the weights that were pruned"}
    kinds = (plain, answered, *(np.array([one.score for one in m.generate(sounds())]) for m in (pruned, both)))
    assert len({tuple(one) for one in kinds}) == 4
    assert np.array_equal(scores("compressed-listener:width=256"), plain)  # another of the same model is untouched


def test_the_fingerprint_tells_what_was_done_and_to_what() -> None:
    texts = [
        "compressed:model=compressed-listener,quantise=int8",
        "compressed:model=compressed-listener,quantise=int8,prune=0.3",
        "compressed:model=compressed-listener,prune=0.3",
        "compressed:model=compressed-listener,prune=0.31",
        "compressed:model=compressed-listener:width=16,prune=0.3",
    ]
    models = [made(text) for text in texts]
    assert len({*(one.fingerprint for one in models), made("compressed-listener").fingerprint}) == 6
    assert made(texts[0]).fingerprint == models[0].fingerprint
    assert models[1].name == "compressed:model=compressed-listener,prune=0.3,quantise=int8"
    assert models[0].abilities == MODELS.abilities(parse_spec(texts[0])) == {"detect"}
    assert models[0].deterministic


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model=compressed-listener,quantise=int4", "not one of none, int8"),
        ("model=compressed-listener,prune=1", "no share"),
        ("model=compressed-listener,prune=-0.1", "no share"),
        ("model=compressed-listener", "nothing to do"),
        ("model=compressed:model=x,prune=0.3", "is compressed itself"),
        ("model=oracle,prune=0.3", "handed own target"),
        ("model=openai:model=x;url=http://127.0.0.1:1/v1,prune=0.3", "works elsewhere"),
        ("model=whisper,quantise=int8", "compute_type=int8"),
        ("model=whispr,quantise=int8", "did you mean 'whisper'"),
    ],
)
def test_what_cannot_be_made_smaller_says_why(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        MODELS.check(parse_spec(f"compressed:{text}"))


@pytest.mark.parametrize(
    ("text", "says"),
    [("compressed-flat", "holds no network"), ("compressed-listener:half=yes", "in float32 on the CPU")],
)
def test_a_model_without_layers_to_change_is_told(text: str, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        made(f"compressed:model={text},quantise=int8")


@pytest.mark.slow
@pytest.mark.speech
def test_a_real_recogniser_still_hears(
    tiny_en_checkpoint: Path,
    spoken: list[tuple[Request, str]],
    word_error_rate: Callable[[list[str], list[Output]], float],
) -> None:
    requests, texts = [one for one, _ in spoken], [text for _, text in spoken]
    inside = f"transformers-asr:path={tiny_en_checkpoint}"
    plain = word_error_rate(texts, made(inside).generate(requests))
    small = made(f"compressed:model={inside},quantise=int8")
    assert small.size.layers == 65
    assert small.size.bytes_after < 0.85 * small.size.bytes_before
    assert word_error_rate(texts, small.generate(requests)) <= plain + 0.2
    empty = made(f"compressed:model={inside},prune=0.95")
    assert empty.size.zeros == pytest.approx(0.95, abs=1e-4)
    few = 2  # it babbles on to the end of its window
    assert word_error_rate(texts[:few], empty.generate(requests[:few])) > plain + 0.2
