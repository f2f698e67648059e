"""Smaller forms of a torch model: dynamic int8 quantisation and magnitude pruning, as a wrapper round any model.

``compressed:model=transformers-asr:path=FOLDER,quantise=int8`` is that model with its linear layers in int8; what that
costs and buys is a comparison of the two. The networks are found in what the model holds; what the model does with
them is not changed.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Literal

from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.registry import MODELS, Entry, Spec, model, parse_spec, takes
from audiometry.benchmark.types import ABILITIES, Ability, Model, Output, Request
from audiometry.models.adapters.common import fingerprint, needs_packages, shown_name

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Compressed", "Size", "compressed", "networks_of", "prune", "quantise_int8", "weight_bytes"]

NAME = "compressed"
VERSION = "compressed 1"

Quantise = Literal["none", "int8"]


@dataclass(frozen=True, slots=True)
class Size:
    """What compressing did to a model's networks.

    `bytes_before` and `bytes_after` are of all weights and buffers; `layers` linear layers were changed, which held
    `share` of the numbers; `zeros` is the share of zeros among the weights that could be pruned (0 without pruning).
    """

    bytes_before: int
    bytes_after: int
    layers: int
    share: float
    zeros: float


@dataclass
class Compressed:
    """A Model whose networks were made smaller, and how small they are now."""

    name: str
    fingerprint: str
    inner: Model
    size: Size
    abilities: frozenset[Ability]
    deterministic: bool

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Answer as the model inside does; each output's facts tell how large the networks are."""
        told = {
            "weights": f"{self.size.bytes_before / 2**20:.1f} MiB, now {self.size.bytes_after / 2**20:.1f} MiB",
            "zeros": f"{self.size.zeros:.3f} of the weights that were pruned" if self.size.zeros else "not pruned",
        }
        return [replace(output, facts={**output.facts, **told}) for output in self.inner.generate(requests)]

    def close(self) -> None:
        """Give back what the model inside holds."""
        self.inner.close()


def networks_of(holder: object) -> list[nn.Module]:
    """The torch networks that an object holds: in attributes, containers, bound methods, closures and partials.

    Each once, outermost only. Globals are not looked at.

    >>> from torch import nn
    >>> layer = nn.Linear(2, 2)
    >>> networks_of({"answer": partial(print, layer)}) == [layer]
    True
    """
    from torch import nn

    found: list[nn.Module] = []
    seen: dict[int, object] = {}  # holds what it names, so that no id is given twice
    waiting: list[object] = [holder]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, nn.Module):
            found.append(one)
        else:
            waiting += _held(one)
    inside = {id(part) for network in found for part in list(network.modules())[1:]}
    return [network for network in found if id(network) not in inside]


def _held(one: object) -> Iterable[object]:
    if isinstance(one, str | bytes | int | float | type | ModuleType | BuiltinFunctionType):
        return ()
    if isinstance(one, Mapping):
        return list(one.values())
    if isinstance(one, list | tuple | set | frozenset):
        return list(one)
    if isinstance(one, partial):
        return [one.func, *one.args, *one.keywords.values()]
    return _held_by_function(one) if isinstance(one, MethodType | FunctionType) else _attributes(one)


def _held_by_function(one: MethodType | FunctionType) -> list[object]:
    if isinstance(one, MethodType):
        return [one.__self__, one.__func__]
    return [*_cells(one), *(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]


def _attributes(one: object) -> list[object]:
    slots = [name for kind in type(one).__mro__ for name in _names(getattr(kind, "__slots__", ()))]
    held = [getattr(one, name) for name in slots if not name.startswith("__") and hasattr(one, name)]
    return [*held, *getattr(one, "__dict__", {}).values()]


def _names(slots: str | Iterable[str]) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots


def _cells(function: FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that is not bound yet
            continue


def weight_bytes(network: nn.Module) -> int:
    """Bytes of a network's parameters and buffers, each counted once; of int8 layers, with their scales and biases.

    >>> from torch import nn
    >>> weight_bytes(nn.Linear(10, 3))  # 33 numbers of 4 bytes
    132
    """
    tensors = {id(one): one for one in (*network.parameters(), *network.buffers())}
    return sum(one.numel() * one.element_size() for one in tensors.values()) + sum(
        _packed_bytes(layer) for layer in network.modules() if _is_packed(layer)
    )


def _is_packed(layer: nn.Module) -> bool:
    from torch.ao.nn.quantized.dynamic import Linear

    return isinstance(layer, Linear)


def _packed_bytes(layer: Any) -> int:
    """Of a layer of torch.ao: its weights are packed and are no parameters; one scale and zero point a matrix."""
    bias = layer.bias()
    return int(layer.weight().numel()) + 8 + (0 if bias is None else bias.numel() * bias.element_size())


def _linear(network: nn.Module, *, shared: bool) -> list[nn.Linear]:
    """The plain linear layers, without those whose weights another layer has too unless they are asked for.

    Subclasses of Linear are left out, as torch's own quantising leaves them.
    """
    from torch import nn

    owners: dict[int, int] = {}
    for layer in network.modules():
        for weights in layer.parameters(recurse=False):
            owners[id(weights)] = owners.get(id(weights), 0) + 1
    layers = [layer for layer in network.modules() if type(layer) is nn.Linear]
    return [layer for layer in layers if shared or owners[id(layer.weight)] == 1]


def quantise_int8(network: nn.Module) -> nn.Module:
    """The network with its linear layers in int8: weights by one scale a matrix, inputs by the range of each batch.

    The layers are replaced in place; what is returned is `network`, or for a lone linear layer its int8 form.
    Dynamic quantisation as PyTorch has it (``torch.ao.quantization.quantize_dynamic``).
    """
    import torch
    from torch.ao import quantization

    quantise: Callable[..., nn.Module] = quantization.quantize_dynamic
    with warnings.catch_warnings():  # torch announces the move of these functions to another package
        warnings.simplefilter("ignore")
        return quantise(network, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)


def prune(networks: Sequence[nn.Module], share: float) -> float:
    """Set the `share` of the linear layers' weights that are smallest in size to 0, over all layers at once, in place.

    Layers whose weights are another layer's too (an output that is also the embedding) are left as they are. Returns
    the share of zeros among the weights of the pruned layers; 0 where there are no such layers. Magnitude pruning: Han
    et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks", without training afterwards.

    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Linear(10, 10))
    >>> prune([network], 0.3)
    0.3
    """
    from torch.nn.utils import prune as pruning

    layers = [layer for network in networks for layer in _linear(network, shared=False)]
    if not layers:
        return 0.0
    named = [(layer, "weight") for layer in layers]
    pruning.global_unstructured(named, pruning_method=pruning.L1Unstructured, amount=share)
    finish: Callable[..., object] = pruning.remove
    for layer, weight in named:
        finish(layer, weight)
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
    return zeros / sum(layer.weight.numel() for layer in layers)


def _compress(networks: Sequence[nn.Module], quantise: Quantise, share: float, label: str) -> Size:
    """Change the networks in place.

    Raises SettingError if there is nothing to change, or not in float32 on the CPU where int8 is asked for.
    """
    import torch

    layers = [layer for network in networks for layer in _linear(network, shared=quantise == "int8")]
    if not layers:
        raise SettingError(
            f"model {NAME!r}, setting 'model': {label!r} holds no network with linear layers of torch that may be "
            "changed; name another model"
        )
    if quantise == "int8" and any(
        one.weight.dtype != torch.float32 or one.weight.device.type != "cpu" for one in layers
    ):
        raise SettingError(f"model {NAME!r}: int8 needs {label!r} in float32 on the CPU; leave out dtype and device")
    before = sum(weight_bytes(network) for network in networks)
    held = {id(one): one.numel() for network in networks for one in network.parameters()}
    changed = {id(layer.weight): layer.weight.numel() for layer in layers}
    zeros = prune(networks, share) if share else 0.0
    if quantise == "int8":
        for network in networks:
            quantise_int8(network)
    return Size(
        bytes_before=before,
        bytes_after=sum(weight_bytes(network) for network in networks),
        layers=len(layers),
        share=sum(changed.values()) / sum(held.values()),
        zeros=zeros,
    )


def _give_back() -> None:
    """Return to the system what compressing used for a while: else the smaller model would hold more than the plain.

    Where the C library cannot (it is not glibc), it stays with the process.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _inner(text: str) -> tuple[Spec, Entry[Any]]:
    """The spec of the model inside (``;`` stands where a spec has ``,``), checked.

    Raises UnknownNameError and SettingError as for any model, and SettingError for one that cannot be made smaller.
    """
    spec = parse_spec(text.replace(";", ","))
    if spec.name == NAME:
        raise SettingError(f"model {NAME!r}, setting 'model': {text!r} is compressed itself; name the model inside")
    entry = MODELS.check(spec)
    reasons = {
        f"is handed {entry.given}, and computes nothing": entry.given is not None,
        "works elsewhere, where it cannot be changed": entry.waits or not entry.waveforms,
        "has a numeric type of its own: give it compute_type=int8": takes(entry, "compute_type"),
    }
    for reason, holds in reasons.items():
        if holds:
            raise SettingError(f"model {NAME!r}, setting 'model': {text!r} {reason}")
    return spec, entry


def check(*, model: str, quantise: Quantise = "none", prune: float = 0.0) -> None:
    """Raise a UserError for a model that cannot be made smaller, a share out of range, or nothing to do."""
    needs_packages(NAME, "torch", ("torch",))
    if not 0 <= prune < 1:
        raise SettingError(f"model {NAME!r}, setting 'prune': {prune:g} is no share; give 0 or more and less than 1")
    if quantise == "none" and prune == 0:
        raise SettingError(f"model {NAME!r}: there is nothing to do; give quantise=int8, or prune=0.3, or both")
    _inner(model)


def able(*, model: str, **_: Any) -> frozenset[Ability]:
    """What the model inside can do."""
    return MODELS.abilities(parse_spec(model.replace(";", ",")))


@model(NAME, abilities=ABILITIES, check=check, able=able, needs="torch")
def compressed(*, model: str, quantise: Quantise = "none", prune: float = 0.0) -> Compressed:
    """Any torch model with int8 or pruned linear layers: model=NAME,quantise=int8 or prune=0.3."""
    spec, _ = _inner(model)
    inner = MODELS.create(spec)
    if not isinstance(inner, Model):
        raise UserError(f"model {NAME!r}, setting 'model': {model!r} is no model that can be wrapped")
    settings = {"model": model, "quantise": quantise, "prune": prune}
    size = _compress(networks_of(inner), quantise, prune, model)
    _give_back()
    return Compressed(
        name=shown_name(NAME, compressed, settings),
        fingerprint=fingerprint(
            VERSION,
            (),
            settings={"quantise": quantise, "prune": prune, "inner": inner.fingerprint},
            packages=("torch",),
        ),
        inner=inner,
        size=size,
        abilities=inner.abilities,
        deterministic=inner.deterministic,
    )
