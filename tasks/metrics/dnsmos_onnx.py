"""The networks of the package `speechmos`, whole or cut in parts, as onnxruntime sessions.

Nothing of the package is copied: weights and layers are read from its ONNX files where it is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.tasks.metrics.extras import require

__all__ = ["cut", "network_file", "open_session", "read_network", "weights_of"]

Array: TypeAlias = NDArray[np.float32]


def network_file(*names: str) -> Path:
    """The path of a file within the package `speechmos`. Raises UserError if it is not installed.

    >>> network_file("dnsmos_models", "sig_bak_ovr.onnx").is_file()
    True
    """
    return Path(require("speechmos", "quality").__path__[0], *names)


def read_network(path: Path) -> Any:
    """The ONNX model in a file. Raises UserError if the package `onnx` is not installed.

    >>> [output.name for output in read_network(network_file("dnsmos_models", "model_v8.onnx")).graph.output]
    ['Identity:0']
    """
    return require("onnx", "quality").load(path)


def weights_of(model: Any) -> dict[str, Array]:
    """The stored arrays of a model by name.

    >>> stored = weights_of(read_network(network_file("dnsmos_models", "sig_bak_ovr.onnx")))
    >>> min(array.shape for array in stored.values() if array.ndim == 4)
    (32, 32, 3, 3)
    """
    read = require("onnx", "quality").numpy_helper.to_array
    return {tensor.name: read(tensor) for tensor in model.graph.initializer}


def open_session(model: Path | bytes, threads: int = 1) -> Any:
    """An onnxruntime session on the processor; with one thread it runs on the thread that calls it.

    Threads do not spin while they wait: they would take cores from the session that runs next.

    >>> session = open_session(network_file("dnsmos_models", "model_v8.onnx"))
    >>> session.get_inputs()[0].shape
    ['N', 900, 120]
    """
    runtime = require("onnxruntime", "quality")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def cut(model: Any, inputs: Mapping[str, Sequence[int | str]], outputs: Sequence[str], threads: int = 1) -> Any:
    """A session for the part of a model that leads from `inputs`, with their shapes, to `outputs`.

    >>> model = read_network(network_file("dnsmos_models", "model_v8.onnx"))
    >>> entry, score = model.graph.node[-1].input[0], model.graph.output[0].name
    >>> [place.name == entry for place in cut(model, {entry: ["N", "features"]}, [score]).get_inputs()]
    [True]
    """
    onnx = require("onnx", "quality")
    needed, nodes = set(outputs), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output) and not set(inputs).intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    describe, real = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes[::-1],
        "part",
        [describe(name, real, list(shape)) for name, shape in inputs.items()],
        [describe(name, real, None) for name in outputs],
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    part = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return open_session(part.SerializeToString(), threads)
