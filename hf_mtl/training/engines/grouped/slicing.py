# SPDX-License-Identifier: Apache-2.0
"""Layers whose own code runs slice by slice, each with parameters of its own."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hf_mtl.training.engines.grouped.grouping import Grouping
from hf_mtl.training.engines.grouped.swapping import own_parameters, swapped

__all__ = ["sliced_forward"]


def sliced_forward(
    module: nn.Module, name: str, original: Callable[..., Any], grouping: Grouping
) -> Callable[..., Any]:
    """Forward, slice by slice, of a layer that maps each row to a row: convolutions."""

    def forward(input: Tensor) -> Tensor:
        x, segments = grouping.with_rows(input, name)
        outputs = []
        for group, start, stop in segments:
            aliases = {
                (module, key): _alias(parameter, group, grouping)
                for key, parameter in own_parameters(module).items()
            }
            with swapped(aliases):
                outputs.append(original(x[start:stop]))
        return torch.cat(outputs)

    return forward


def _alias(parameter: nn.Parameter, group: int, grouping: Grouping) -> Tensor:
    """The parameter as one group sees it."""
    if not grouping.is_grouped(parameter):
        return parameter
    grouping.count_use(parameter)
    alias: Tensor = _Alias.apply(parameter, group, grouping)
    return alias


class _Alias(torch.autograd.Function):
    """The same tensor; its gradient is that of a group."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, group: int, grouping: Grouping) -> Tensor:
        ctx.parameter, ctx.group, ctx.grouping = parameter, group, grouping
        return parameter.view_as(parameter)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        grouping, parameter = ctx.grouping, ctx.parameter
        if not grouping.is_split_for(parameter):
            return delta, None, None
        task = grouping.groups.tasks[ctx.group]
        if task is not None:
            grouping.sink.add(parameter, task, delta)
        grouping.count_seen(parameter)
        return None, None, None
