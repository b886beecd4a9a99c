# SPDX-License-Identifier: Apache-2.0
"""Parameters that are broadcast over the rows: given a row axis, of which the backward sums slices.

The layer's own code runs once, for all rows, with the parameter that it reads replaced by a view
that repeats it for each row. So no code of any family is written here a second time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hf_mtl.training.engines.grouped.grouping import Grouping
from hf_mtl.training.engines.grouped.rows import Segment
from hf_mtl.training.engines.grouped.swapping import own_parameters, swapped

__all__ = ["scale_forward", "token_forward"]


def scale_forward(
    module: nn.Module, name: str, original: Callable[..., Any], grouping: Grouping
) -> Callable[..., Any]:
    """Forward of a layer that multiplies or adds vectors ``[D]``: the RMS norms of the families."""

    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        x, segments = grouping.with_rows(x, name)
        ones = [1] * (x.ndim - 2)
        expanded = {
            (module, key): _expand(parameter, [*ones, *parameter.shape], grouping, segments, len(x))
            for key, parameter in own_parameters(module).items()
        }
        with swapped(expanded):
            return original(x, *args, **kwargs)

    return forward


def token_forward(
    module: nn.Module, name: str, original: Callable[..., Any], grouping: Grouping
) -> Callable[..., Any]:
    """Forward of a layer that adds or prepends vectors ``[1, L, D]``: class tokens, positions."""
    del name

    def forward(*args: Any, **kwargs: Any) -> Any:
        groups = grouping.groups
        expanded = {
            (module, key): _expand(
                parameter, list(parameter.shape[1:]), grouping, groups.segments, groups.num_rows
            )
            for key, parameter in own_parameters(module).items()
            # A mask token [1, D] is of pretraining. Were it used, its gradient would be refused.
            if parameter.ndim > 2
        }
        with swapped(expanded):
            return original(*args, **kwargs)

    return forward


def _expand(
    parameter: nn.Parameter,
    shape: list[int],
    grouping: Grouping,
    segments: Sequence[Segment],
    num_rows: int,
) -> Tensor:
    """The parameter, of that shape, repeated for each row."""
    if not grouping.is_grouped(parameter):
        return parameter.view(1, *shape).expand(num_rows, *shape)
    grouping.count_use(parameter)
    expanded: Tensor = _Expand.apply(parameter, shape, grouping, segments, num_rows)
    return expanded


class _Expand(torch.autograd.Function):
    """``[...] -> [B, ...]`` without a copy."""

    @staticmethod
    def forward(
        ctx: Any,
        parameter: Tensor,
        shape: list[int],
        grouping: Grouping,
        segments: Sequence[Segment],
        num_rows: int,
    ) -> Tensor:
        ctx.parameter, ctx.grouping, ctx.segments = parameter, grouping, segments
        return parameter.view(1, *shape).expand(num_rows, *shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        grouping, parameter = ctx.grouping, ctx.parameter
        if not grouping.is_split_for(parameter):
            return delta.sum(0).view(parameter.shape), None, None, None, None
        for task, start, stop in grouping.groups.slices(ctx.segments):
            gradient = delta[start:stop].sum(0).view(parameter.shape)
            grouping.sink.add(parameter, task, gradient)
        grouping.count_seen(parameter)
        return None, None, None, None, None
