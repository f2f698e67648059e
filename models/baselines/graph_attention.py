"""Graph attention and graph pooling, as AASIST has them (Jung et al. 2022, sections 2 and 3).

A graph is complete, with edges of nodes to themselves: nodes of shape (batch, nodes, width). The weight of an edge
follows from the product of its two ends.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["GraphAttention", "GraphPool", "StackingGraphAttention", "kept_nodes"]

INPUT_DROPOUT = 0.2
POOL_DROPOUT = 0.3


class GraphAttention(nn.Module):
    """One layer of attention over the nodes of one graph (section 2.1 of the paper).

    With ``a(i, j) = score · tanh(edge(x_i * x_j)) / temperature`` and its softmax over j, a node becomes
    ``SELU(norm(from_neighbours(sum_j softmax(a)(i, j) x_j) + from_itself(x_i)))``.
    """

    def __init__(self, inputs: int, outputs: int, *, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.edge = nn.Linear(inputs, outputs)
        self.score = _direction(outputs)
        self.from_neighbours = nn.Linear(inputs, outputs)
        self.from_itself = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)
        self.dropout = nn.Dropout(INPUT_DROPOUT)

    def forward(self, nodes: Tensor) -> Tensor:
        """(batch, nodes, inputs) → (batch, nodes, outputs)."""
        nodes = self.dropout(nodes)
        edges = torch.tanh(self.edge(_products(nodes)))
        attention = torch.softmax((edges @ self.score).squeeze(-1) / self.temperature, dim=-1)
        return _activated(self.norm, self.from_neighbours(attention @ nodes) + self.from_itself(nodes))


class StackingGraphAttention(nn.Module):
    """Attention over temporal and spectral nodes at once, and a stack node that gathers from all (section 3.2).

    The two kinds of nodes are brought into one space first. There are three directions to score an edge by: between
    temporal nodes, between spectral nodes, and between the kinds. Edges to the stack node point towards it only; it is
    neither normalised nor activated.
    """

    def __init__(self, inputs: int, outputs: int, *, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.enter_temporal = nn.Linear(inputs, inputs)
        self.enter_spectral = nn.Linear(inputs, inputs)
        self.edge = nn.Linear(inputs, outputs)
        self.score_temporal = _direction(outputs)
        self.score_spectral = _direction(outputs)
        self.score_between = _direction(outputs)
        self.from_neighbours = nn.Linear(inputs, outputs)
        self.from_itself = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)
        self.stack_edge = nn.Linear(inputs, outputs)
        self.stack_score = _direction(outputs)
        self.stack_from_nodes = nn.Linear(inputs, outputs)
        self.stack_from_itself = nn.Linear(inputs, outputs)
        self.dropout = nn.Dropout(INPUT_DROPOUT)

    def forward(self, temporal: Tensor, spectral: Tensor, stack: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, times, inputs), (batch, bands, inputs), (batch or 1, 1, inputs) → the same, `outputs` wide."""
        times = temporal.shape[1]
        nodes = self.dropout(torch.cat([self.enter_temporal(temporal), self.enter_spectral(spectral)], dim=1))
        attention = torch.softmax(self._scores(nodes, times) / self.temperature, dim=-1)
        stack = self._gathered(nodes, stack)
        nodes = _activated(self.norm, self.from_neighbours(attention @ nodes) + self.from_itself(nodes))
        return nodes[:, :times], nodes[:, times:], stack

    def _scores(self, nodes: Tensor, times: int) -> Tensor:
        """(batch, nodes, inputs) → (batch, nodes, nodes)."""
        edges = torch.tanh(self.edge(_products(nodes)))
        of_time = torch.arange(nodes.shape[1], device=nodes.device) < times
        both, neither = of_time[:, None] & of_time, ~of_time[:, None] & ~of_time
        directions = torch.cat([self.score_temporal, self.score_spectral, self.score_between], dim=1)
        temporal, spectral, between = (edges @ directions).unbind(-1)
        return torch.where(both, temporal, torch.where(neither, spectral, between))

    def _gathered(self, nodes: Tensor, stack: Tensor) -> Tensor:
        edges = torch.tanh(self.stack_edge(nodes * stack))
        attention = torch.softmax(edges @ self.stack_score / self.temperature, dim=1)  # (batch, nodes, 1)
        gathered = self.stack_from_nodes((attention * nodes).sum(dim=1, keepdim=True))
        told: Tensor = gathered + self.stack_from_itself(stack)
        return told


class GraphPool(nn.Module):
    """Keep the share of the nodes that scores highest, each times its score, in falling order of the score.

    The score is the sigmoid of a projection to one number (Gao and Ji 2019, "Graph U-Nets").
    """

    def __init__(self, width: int, *, share: float) -> None:
        super().__init__()
        self.share = share
        self.project = nn.Linear(width, 1)
        self.dropout = nn.Dropout(POOL_DROPOUT)

    def forward(self, nodes: Tensor) -> Tensor:
        """(batch, nodes, width) → (batch, kept, width)."""
        scores = torch.sigmoid(self.project(self.dropout(nodes)))  # (batch, nodes, 1)
        best = scores.topk(kept_nodes(nodes.shape[1], self.share), dim=1).indices
        return (nodes * scores).gather(1, best.expand(-1, -1, nodes.shape[2]))


def kept_nodes(nodes: int, share: float) -> int:
    """How many nodes a pool keeps: the share rounded down, but at least one.

    >>> kept_nodes(23, 0.5), kept_nodes(1, 0.5)
    (11, 1)
    """
    return max(int(nodes * share), 1)


def _products(nodes: Tensor) -> Tensor:
    """(batch, nodes, width) → products of all pairs, (batch, nodes, nodes, width)."""
    return nodes[:, :, None] * nodes[:, None]


def _activated(norm: nn.BatchNorm1d, nodes: Tensor) -> Tensor:
    """Normalise over batch and nodes together, then SELU."""
    normalised: Tensor = norm(nodes.flatten(0, 1))
    return nn.functional.selu(normalised).reshape(nodes.shape)


def _direction(width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(width, 1)))
