from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiometry.models.baselines.graph_attention import GraphAttention, GraphPool, StackingGraphAttention, kept_nodes

Array = NDArray[np.float64]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(5)


def made(layer: nn.Module) -> nn.Module:
    """The layer in evaluation, in double precision, with a normalisation that has seen something."""
    for part in layer.modules():
        if isinstance(part, nn.BatchNorm1d):
            for tensor in (part.running_mean, part.bias):
                nn.init.normal_(tensor)
            for tensor in (part.running_var, part.weight):
                nn.init.uniform_(tensor, 0.5, 2.0)
    return layer.double().eval()


def apply(linear: nn.Linear, vector: Array) -> Array:
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    return np.array([sum(w * v for w, v in zip(row, vector, strict=True)) for row in weight]) + bias


def score(direction: Tensor, linear: nn.Linear, product: Array, temperature: float) -> float:
    hidden = [math.tanh(value) for value in apply(linear, product)]
    return sum(h * float(d) for h, d in zip(hidden, direction.detach().flatten(), strict=True)) / temperature


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def finish(norm: nn.BatchNorm1d, vector: Array) -> Array:
    facts = [value.detach().numpy() for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)]
    out = []
    for value, mean, variance, gain, shift in zip(vector, *facts, strict=True):
        x = (value - mean) / math.sqrt(variance + norm.eps) * gain + shift
        out.append(1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * (math.exp(x) - 1)))
    return np.array(out)


def mixed(weights: list[float], nodes: list[Array]) -> Array:
    return sum((weight * node for weight, node in zip(weights, nodes, strict=True)), np.zeros(len(nodes[0])))


def test_graph_attention_is_what_loops_over_nodes_give() -> None:
    layer = made(GraphAttention(4, 3, temperature=2.0))
    assert isinstance(layer, GraphAttention)
    clips = torch.randn(2, 5, 4, dtype=torch.float64)
    got = layer(clips).detach().numpy()
    for clip, answer in zip(clips.numpy(), got, strict=True):
        nodes = list(clip)
        for i, node in enumerate(nodes):
            weights = softmax([score(layer.score, layer.edge, node * other, 2.0) for other in nodes])
            summed = apply(layer.from_neighbours, mixed(weights, nodes)) + apply(layer.from_itself, node)
            np.testing.assert_allclose(answer[i], finish(layer.norm, summed), atol=1e-12)


@pytest.mark.parametrize("shared_stack", [True, False])
def test_stacking_attention_is_what_loops_over_nodes_give(shared_stack: bool) -> None:
    layer = made(StackingGraphAttention(4, 3, temperature=1.5))
    assert isinstance(layer, StackingGraphAttention)
    temporal, spectral = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 2, 4, dtype=torch.float64)
    stacks = torch.randn(1 if shared_stack else 2, 1, 4, dtype=torch.float64)
    out_temporal, out_spectral, out_stack = (part.detach().numpy() for part in layer(temporal, spectral, stacks))
    assert (out_temporal.shape, out_spectral.shape, out_stack.shape) == ((2, 3, 3), (2, 2, 3), (2, 1, 3))
    for clip in range(2):
        nodes = [apply(layer.enter_temporal, node) for node in temporal[clip].numpy()]
        nodes += [apply(layer.enter_spectral, node) for node in spectral[clip].numpy()]
        kinds = ["time"] * 3 + ["band"] * 2
        for i, node in enumerate(nodes):
            scores = []
            for j, other in enumerate(nodes):
                same = {"time": layer.score_temporal, "band": layer.score_spectral}[kinds[i]]
                direction = same if kinds[i] == kinds[j] else layer.score_between
                scores.append(score(direction, layer.edge, node * other, 1.5))
            summed = apply(layer.from_neighbours, mixed(softmax(scores), nodes)) + apply(layer.from_itself, node)
            answer = out_temporal[clip, i] if i < 3 else out_spectral[clip, i - 3]
            np.testing.assert_allclose(answer, finish(layer.norm, summed), atol=1e-12)
        stack = stacks[0 if shared_stack else clip, 0].numpy()
        weights = softmax([score(layer.stack_score, layer.stack_edge, node * stack, 1.5) for node in nodes])
        gathered = apply(layer.stack_from_nodes, mixed(weights, nodes)) + apply(layer.stack_from_itself, stack)
        np.testing.assert_allclose(out_stack[clip, 0], gathered, atol=1e-12)


def test_the_order_of_nodes_in_is_their_order_out() -> None:
    layer = made(GraphAttention(4, 3, temperature=2.0))
    nodes, order = torch.randn(1, 6, 4, dtype=torch.float64), torch.randperm(6)
    torch.testing.assert_close(layer(nodes)[:, order], layer(nodes[:, order]))


def test_a_pool_keeps_the_highest_scores_in_falling_order() -> None:
    pool = made(GraphPool(4, share=0.6))
    assert isinstance(pool, GraphPool)
    clips = torch.randn(3, 7, 4, dtype=torch.float64)
    got = pool(clips).detach().numpy()
    assert got.shape == (3, 4, 4)
    for clip, answer in zip(clips.numpy(), got, strict=True):
        scored = [(1 / (1 + math.exp(-float(apply(pool.project, node)[0]))), node) for node in clip]
        scored.sort(key=lambda pair: -pair[0])
        np.testing.assert_allclose(answer, [value * node for value, node in scored[:4]], atol=1e-12)


@pytest.mark.parametrize(
    ("nodes", "share", "kept"), [(29, 0.7, 20), (23, 0.4, 9), (9, 0.7, 6), (2, 0.1, 1), (5, 1.0, 5)]
)
def test_how_many_nodes_are_kept(nodes: int, share: float, kept: int) -> None:
    assert kept_nodes(nodes, share) == kept


def test_training_drops_inputs_and_learns() -> None:
    layer = GraphAttention(4, 3, temperature=2.0)
    nodes = torch.randn(2, 5, 4)
    assert not torch.equal(layer(nodes), layer(nodes))
    layer(nodes).square().sum().backward()
    gradients = [parameter.grad for parameter in layer.parameters()]
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)
