"""Losses of detectors that give one score a trial, higher for bona fide."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Loss", "binary_cross_entropy", "one_class_softmax"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""(scores, bona fide as 0 or 1), both of shape (batch,) → the mean loss."""


def binary_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean of ``ln(1 + e^-s)`` over bona fide and ``ln(1 + e^s)`` over spoofs: softmax over two classes."""
    return nn.functional.binary_cross_entropy_with_logits(scores, labels)


def one_class_softmax(*, scale: float = 20.0, bona_fide_margin: float = 0.9, spoof_margin: float = 0.2) -> Loss:
    """The loss of Zhang, Jiang and Duan 2021 ("One-class learning towards synthetic voice spoofing detection", eq. 5).

    Scores are cosines in [-1, 1]: mean of ``ln(1 + e^(scale (0.9 - s)))`` over bona fide, which it pulls together, and
    of ``ln(1 + e^(scale (s - 0.2)))`` over spoofs, which it only pushes away.
    """

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        short = torch.where(labels > 0.5, bona_fide_margin - scores, scores - spoof_margin)
        return nn.functional.softplus(scale * short).mean()

    return loss
