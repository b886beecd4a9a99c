# SPDX-License-Identifier: Apache-2.0
"""Steps whose gradients are not compared, but have the weights of one whose were.

The gradient of a head is that of its own loss in every step; only what goes on into the backbone
is weighted.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hf_mtl.models import MultiTaskModel

__all__ = ["weighting_backbone"]


@contextmanager
def weighting_backbone(model: MultiTaskModel, weights: Mapping[str, float]) -> Iterator[None]:
    """Context of forwards whose backwards hand weighted gradients of tasks to the backbone.

    Args:
        model: The model.
        weights: Weight of the gradient of each task.
    """
    hooks = [
        model.heads[task].register_forward_pre_hook(_weighting(weight))
        for task, weight in weights.items()
        if weight != 1.0
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _weighting(weight: float) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    def weighted(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        output, *others = args
        given = {
            name: _Weighted.apply(value, weight) if isinstance(value, Tensor) else value
            for name, value in output.items()
        }
        return (type(output)(**given), *others)

    return weighted


class _Weighted(torch.autograd.Function):
    """A tensor as it is, whose gradient is multiplied."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.weight, None
