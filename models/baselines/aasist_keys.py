"""The names of AASIST's published weights and ours, and reading those weights.

Facts of https://github.com/clovaai/aasist: a `state_dict` whose names follow its Python classes. Both networks are the
same numbers in the same order of computation, so that a name is all that changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiometry.benchmark.errors import DataError

if TYPE_CHECKING:
    from audiometry.models.baselines.aasist import Published
    from audiometry.models.baselines.aasist_network import Aasist

__all__ = ["fill", "load_published", "our_name", "published_name", "tensor_names"]

GRAPH = {
    "att_proj": "edge",
    "att_weight": "score",
    "proj_with_att": "from_neighbours",
    "proj_without_att": "from_itself",
    "bn": "norm",
}
STACKING = {
    **{old: new for old, new in GRAPH.items() if old != "att_weight"},
    "proj_type1": "enter_temporal",
    "proj_type2": "enter_spectral",
    "att_weight11": "score_temporal",
    "att_weight22": "score_spectral",
    "att_weight12": "score_between",
    "att_projM": "stack_edge",
    "att_weightM": "stack_score",
    "proj_with_attM": "stack_from_nodes",
    "proj_without_attM": "stack_from_itself",
}
BLOCK = {
    "bn1": "input_norm",
    "conv1": "first",
    "bn2": "middle_norm",
    "conv2": "second",
    "conv_downsample": "shortcut",
}
POOL = {"proj": "project"}

MODULES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "GAT_layer_S": ("spectral_graph", GRAPH),
    "GAT_layer_T": ("temporal_graph", GRAPH),
    "pool_S": ("spectral_pool", POOL),
    "pool_T": ("temporal_pool", POOL),
    **{f"encoder.{number}.0": (f"encoder.{number}", BLOCK) for number in range(6)},
    **{
        f"HtrgGAT_layer_ST{branch + 1}{layer}": (f"branches.{branch}.{place}", STACKING)
        for branch in range(2)
        for layer, place in ((1, "first"), (2, "second"))
    },
    **{f"pool_hS{branch + 1}": (f"branches.{branch}.spectral_pool", POOL) for branch in range(2)},
    **{f"pool_hT{branch + 1}": (f"branches.{branch}.temporal_pool", POOL) for branch in range(2)},
}
"""Published module → ours, and the names inside."""

PARTS = {
    "first_bn": "filter_norm",
    "pos_S": "spectral_position",
    "master1": "branches.0.stack",
    "master2": "branches.1.stack",
    "out_layer": "classifier",
    **{
        f"{old}.{inner_old}": f"{new}.{inner_new}"
        for old, (new, inner) in MODULES.items()
        for inner_old, inner_new in inner.items()
    },
}
"""Published name, without the tensor's own at its end, → ours."""

BACK = {new: old for old, new in PARTS.items()}

TENSOR = re.compile(r"(.+?)(\.(?:weight|bias|running_mean|running_var|num_batches_tracked))?")
COUNTER = "num_batches_tracked"
"""How many batches a normalisation has seen. No answer depends on it, and files may leave it out."""

SHOWN = 3


def our_name(published: str) -> str | None:
    """Our name of a published tensor; None if there is no such tensor.

    >>> our_name("HtrgGAT_layer_ST12.att_projM.weight"), our_name("pos_S"), our_name("conv_time.filters")
    ('branches.0.second.stack_edge.weight', 'spectral_position', None)
    """
    return _translated(published, PARTS)


def published_name(ours: str) -> str | None:
    """The published name of one of our tensors; None if there is no such tensor.

    >>> published_name("branches.0.second.stack_edge.weight"), published_name("encoder.1.first.bias")
    ('HtrgGAT_layer_ST12.att_projM.weight', 'encoder.1.0.conv1.bias')
    """
    return _translated(ours, BACK)


def _translated(name: str, names: Mapping[str, str]) -> str | None:
    found = TENSOR.fullmatch(name)
    if found is None or found[1] not in names:
        return None
    return names[found[1]] + (found[2] or "")


def load_published(path: str | Path, name: Published) -> Aasist:
    """The network with the published weights in `path`, in evaluation.

    `path` is a `.pth` file with a `state_dict` (read as tensors alone: a file with anything else in it is refused), or
    a safetensors file with the same names.

    Raises DataError for a file that is not there or cannot be read, and for tensors that are missing, unknown, of
    another shape or not finite: the message says which.
    """
    from audiometry.models.baselines.aasist import aasist_settings
    from audiometry.models.baselines.aasist_network import Aasist

    file = Path(path).expanduser()
    tensors = _read(file)
    unknown = sorted(name for name in tensors if our_name(name) is None)
    network = Aasist(aasist_settings(name))
    ours = {our_name(held) or held: value for held, value in tensors.items()}
    shown = {held: published_name(held) or held for held in network.state_dict()}
    fill(network, ours, str(file), shown={**shown, **{name: name for name in unknown}})
    return network


def fill(network: Aasist, arrays: Mapping[str, Any], source: str, *, shown: Mapping[str, str] | None = None) -> None:
    """Copy arrays or tensors into the network by their names, and set it to evaluation.

    `source` and `shown` (our name → the name to tell) are for messages. Counts of batches are left alone.

    Raises DataError, which says what is missing, too much or of another shape, and for NaN or infinity.
    """
    import torch

    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith(COUNTER)}
    given = {name: torch.as_tensor(value) for name, value in arrays.items() if not name.endswith(COUNTER)}
    told = shown or {}
    wrong = [
        *_listed("missing", [name for name in wanted if name not in given], told),
        *_listed("unknown", [name for name in given if name not in wanted], told),
        *_listed(
            "of another shape",
            [name for name, value in wanted.items() if name in given and given[name].shape != value.shape],
            told,
        ),
    ]
    if wrong:
        raise DataError(f"{source} does not fit this network: {'; '.join(wrong)}; give the weights of the right one")
    bad = [name for name, value in given.items() if not torch.isfinite(value).all()]
    if bad:
        raise DataError(f"{source}: {told.get(bad[0], bad[0])!r} holds NaN or infinity; copy or train it again")
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(given[name])
    network.eval()


def _listed(what: str, names: list[str], told: Mapping[str, str]) -> Iterable[str]:
    """``3 missing: 'a', 'b', …``, or nothing."""
    if names:
        first = ", ".join(repr(told.get(name, name)) for name in names[:SHOWN])
        yield f"{len(names)} {what}: {first}{', …' if len(names) > SHOWN else ''}"


def tensor_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file, without reading them.

    Raises DataError if it is no whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return sorted(file.keys())
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is not a whole safetensors file: {error}; copy it again") from error


def _read(path: Path) -> dict[str, Any]:
    import torch

    if not path.is_file():
        raise DataError(f"{path} does not exist; give the file AASIST.pth or AASIST-L.pth of the published repository")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        tensor_names(path)
        return dict(load_file(path))
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its parsers do; nothing but tensors is ever made
        raise DataError(
            f"{path} is not a file of tensors alone ({type(error).__name__}); give a state_dict saved by torch.save, "
            "or a safetensors file"
        ) from error
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in found.items()
    ):
        raise DataError(f"{path} holds something other than tensors by name; give the network's state_dict")
    return found
