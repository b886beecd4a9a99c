# SPDX-License-Identifier: Apache-2.0
"""From one vector a position to one vector a row; padding on either side is left out.

Every pooling takes hidden states ``[B, L, D]`` and a mask ``[B, L]`` that is true at real tokens.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["POOLINGS", "cls_pool", "last_pool", "max_pool", "mean_pool"]


def _at(hidden: Tensor, positions: Tensor) -> Tensor:
    """Vector at one position of each row: ``[B, L, D], [B] -> [B, D]``."""
    return hidden[torch.arange(len(hidden), device=hidden.device), positions]


def cls_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """First real token: ``[B, L, D], [B, L] -> [B, D]``. A row without tokens gives position 0."""
    return _at(hidden, mask.int().argmax(dim=1))


def last_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Last real token: ``[B, L, D], [B, L] -> [B, D]``. A row without tokens gives the last."""
    return _at(hidden, hidden.shape[1] - 1 - mask.int().flip(1).argmax(dim=1))


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real tokens: ``[B, L, D], [B, L] -> [B, D]``. A row without tokens gives 0."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def max_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Largest value of each feature: ``[B, L, D], [B, L] -> [B, D]``. No tokens give 0."""
    real = mask.bool()
    lowest = torch.finfo(hidden.dtype).min
    largest = hidden.masked_fill(~real.unsqueeze(-1), lowest).amax(dim=1)
    return largest.masked_fill(~real.any(dim=1, keepdim=True), 0)


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": cls_pool,
    "mean": mean_pool,
    "max": max_pool,
    "last": last_pool,
}
"""Pooling functions by name."""
