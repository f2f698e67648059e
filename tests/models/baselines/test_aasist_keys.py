from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from audiometry.benchmark.errors import DataError
from audiometry.models.baselines.aasist import aasist_settings
from audiometry.models.baselines.aasist_keys import load_published, our_name, published_name
from audiometry.models.baselines.aasist_network import Aasist

Name = Literal["aasist", "aasist-l"]

WIDTHS: dict[Name, tuple[tuple[int, ...], int, int]] = {
    "aasist": ((1, 32, 32, 64, 64, 64, 64), 64, 32),
    "aasist-l": ((1, 32, 32, 24, 24, 24, 24), 24, 32),
}

LOGITS: dict[Name, list[list[float]]] = {
    "aasist": [[-10.775876998901367, 5.031578063964844], [-11.500508308410645, 2.940746307373047]],
    "aasist-l": [[-3.418504476547241, 3.0033140182495117], [-11.9819917678833, 8.850234031677246]],
}
"""What the authors' program answers with the weights of `drawn` to the sounds of `sounds`, computed once."""


def published_layout(name: Name) -> dict[str, tuple[int, ...]]:
    """Every tensor's name and shape, as the authors' program saves them."""
    channels, graph, stack = WIDTHS[name]
    deep = channels[-1]
    layout = norm("first_bn", 1)
    for block, (inner, outer) in enumerate(pairwise(channels)):
        at = f"encoder.{block}.0"
        if block:
            layout |= norm(f"{at}.bn1", inner)
        layout |= {f"{at}.conv1.weight": (outer, inner, 2, 3), f"{at}.conv1.bias": (outer,)}
        layout |= norm(f"{at}.bn2", outer)
        layout |= {f"{at}.conv2.weight": (outer, outer, 2, 3), f"{at}.conv2.bias": (outer,)}
        if inner != outer:
            layout |= {f"{at}.conv_downsample.weight": (outer, inner, 1, 3), f"{at}.conv_downsample.bias": (outer,)}
    layout |= {"pos_S": (1, 23, deep), "master1": (1, 1, graph), "master2": (1, 1, graph)}
    for at in ("GAT_layer_S", "GAT_layer_T"):
        layout |= {f"{at}.att_weight": (graph, 1), **norm(f"{at}.bn", graph)}
        for part in ("att_proj", "proj_with_att", "proj_without_att"):
            layout |= {f"{at}.{part}.weight": (graph, deep), f"{at}.{part}.bias": (graph,)}
    for at, width in (("ST11", graph), ("ST12", stack), ("ST21", graph), ("ST22", stack)):
        layer = f"HtrgGAT_layer_{at}"
        layout |= norm(f"{layer}.bn", stack)
        layout |= {f"{layer}.att_weight{kind}": (stack, 1) for kind in ("11", "22", "12", "M")}
        for part in ("proj_type1", "proj_type2"):
            layout |= {f"{layer}.{part}.weight": (width, width), f"{layer}.{part}.bias": (width,)}
        for part in (
            "att_proj",
            "att_projM",
            *(f"proj_{how}_att{m}" for how in ("with", "without") for m in ("", "M")),
        ):
            layout |= {f"{layer}.{part}.weight": (stack, width), f"{layer}.{part}.bias": (stack,)}
    for pool, width in (("S", graph), ("T", graph), ("hS1", stack), ("hT1", stack), ("hS2", stack), ("hT2", stack)):
        layout |= {f"pool_{pool}.proj.weight": (1, width), f"pool_{pool}.proj.bias": (1,)}
    return {**layout, "out_layer.weight": (2, 5 * stack), "out_layer.bias": (2,)}


def norm(at: str, width: int) -> dict[str, tuple[int, ...]]:
    layout: dict[str, tuple[int, ...]] = {
        f"{at}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")
    }
    return {**layout, f"{at}.num_batches_tracked": ()}


def drawn(name: Name) -> dict[str, Tensor]:
    """Weights at random: of NumPy's old generator, whose numbers will stay."""
    generator = np.random.RandomState(2022)
    state = {}
    for key, shape in sorted(published_layout(name).items()):
        kind = key.rsplit(".", 1)[-1]
        if kind == "num_batches_tracked":
            state[key] = torch.tensor(17)
            continue
        values: Any = generator.standard_normal(shape)
        if kind == "running_var" or (kind == "weight" and len(shape) == 1):
            values = 0.5 + generator.random_sample(shape)
        elif kind in ("bias", "running_mean"):
            values = 0.1 * values
        elif kind == "weight":
            values = values / np.sqrt(np.prod(shape[1:]))
        state[key] = torch.from_numpy(np.asarray(values, np.float32))
    return state


def sounds() -> Tensor:
    """A tone in noise, and noise that swells; shape (2, 64600)."""
    generator = np.random.RandomState(7)
    noise: NDArray[Any] = generator.standard_normal((2, 64_600))
    times = np.arange(64_600) / 16_000
    tone = 3 * np.sin(2 * np.pi * 440 * times) + 0.3 * noise[0]
    return torch.from_numpy(np.stack([tone, noise[1] * (1 + times)]).astype(np.float32))


def saved(name: Name, folder: Path, state: dict[str, Any] | None = None) -> Path:
    path = folder / f"{name}.pth"
    torch.save(drawn(name) if state is None else state, path)
    return path


@pytest.mark.parametrize("name", list(WIDTHS))
def test_names_and_shapes_are_the_published_ones(name: Name) -> None:
    layout = published_layout(name)
    ours = {key: tuple(value.shape) for key, value in Aasist(aasist_settings(name)).state_dict().items()}
    assert {our_name(key): shape for key, shape in layout.items()} == ours
    assert {published_name(key): shape for key, shape in ours.items()} == layout


@pytest.mark.parametrize("name", list(WIDTHS))
def test_answers_are_those_of_the_authors_program(name: Name, tmp_path: Path) -> None:
    network = load_published(saved(name, tmp_path), name)
    assert not network.training
    with torch.inference_mode():
        together = network(sounds())
        alone = torch.cat([network(sound[None]) for sound in sounds()])
        again = network(sounds())
    np.testing.assert_allclose(together, LOGITS[name], atol=5e-4)
    torch.testing.assert_close(alone, together, atol=5e-4, rtol=0)
    assert torch.equal(again, together)


def test_names_that_are_none() -> None:
    assert our_name("conv_time.filters") is None
    assert our_name("") is None
    assert published_name("encoder.6.first.weight") is None
    assert our_name("module.pos_S") is None


def test_safetensors_and_files_without_counts_are_read_alike(tmp_path: Path) -> None:
    state = {key: value for key, value in drawn("aasist-l").items() if not key.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "light.safetensors")
    one = load_published(tmp_path / "light.safetensors", "aasist-l").state_dict()
    other = load_published(saved("aasist-l", tmp_path), "aasist-l").state_dict()
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    state = drawn("aasist-l")
    del state["pos_S"], state["out_layer.bias"]
    state["conv_time.filters"] = torch.zeros(3)
    state["pool_S.proj.weight"] = torch.zeros(1, 5)
    with pytest.raises(DataError) as caught:
        load_published(saved("aasist-l", tmp_path, state), "aasist-l")
    told = str(caught.value)
    assert "2 missing: 'pos_S', 'out_layer.bias'" in told
    assert "1 unknown: 'conv_time.filters'" in told
    assert "1 of another shape: 'pool_S.proj.weight'" in told


def test_the_other_networks_weights_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"of another shape: .*, …; give the weights of the right one"):
        load_published(saved("aasist", tmp_path), "aasist-l")


def test_weights_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    state = drawn("aasist-l")
    state["master2"][0, 0, 3] = float("nan")
    with pytest.raises(DataError, match="'master2' holds NaN or infinity"):
        load_published(saved("aasist-l", tmp_path, state), "aasist-l")


class Caller:
    """Pickled, it would call a function when it is read."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("read",)


def test_a_file_with_more_than_tensors_is_refused_and_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved("aasist-l", tmp_path, {"pos_S": Caller()})
    with pytest.raises(DataError, match="not a file of tensors alone"):
        load_published(path, "aasist-l")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("held", [[torch.zeros(1)], {"pos_S": 1.0}, {1: torch.zeros(1)}])
def test_a_file_without_tensors_by_name_is_refused(tmp_path: Path, held: Any) -> None:
    torch.save(held, tmp_path / "other.pth")
    with pytest.raises(DataError, match="something other than tensors by name"):
        load_published(tmp_path / "other.pth", "aasist")


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist; give the file AASIST\.pth"):
        load_published(tmp_path / "none.pth", "aasist")
    for name in ("noise.pth", "noise.safetensors"):
        (tmp_path / name).write_bytes(b"no weights at all")
        with pytest.raises(DataError, match=name):
            load_published(tmp_path / name, "aasist")
