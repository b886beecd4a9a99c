# SPDX-License-Identifier: Apache-2.0
"""Steps whose gradients are not compared, but have the weights of one whose were.

The gradient of a head is that of its own loss in every step; only what goes on into the backbone
is weighted.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hf_mtl.models import MultiTaskModel
from hf_mtl.models.heads import change_output

__all__ = ["weighting_backbone"]


@contextmanager
def weighting_backbone(model: MultiTaskModel, weights: Mapping[str, float]) -> Iterator[None]:
    """Context of forwards whose backwards hand weighted gradients of tasks to the backbone.

    Args:
        model: The model.
        weights: Weight of the gradient of each task.
    """
    hooks = [
        change_output(model.heads[task], partial(_weighted, weight))
        for task, weight in weights.items()
        if weight != 1.0
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _weighted(weight: float, output: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _Weighted.apply(value, weight)
        for name, value in output.items()
        if isinstance(value, Tensor)
    }


class _Weighted(torch.autograd.Function):
    """A tensor as it is, whose gradient is multiplied."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.weight, None
