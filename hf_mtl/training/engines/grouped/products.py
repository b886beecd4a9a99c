# SPDX-License-Identifier: Apache-2.0
"""Layers that multiply by a matrix: one product for each slice of the rows in the backward."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hf_mtl.training.engines.grouped.grouping import Grouping
from hf_mtl.training.engines.grouped.rows import Segment

__all__ = ["conv1d_forward", "linear_forward"]


def linear_forward(
    module: nn.Linear, name: str, original: Callable[..., Any], grouping: Grouping
) -> Callable[..., Any]:
    """Forward of a ``Linear`` whose backward forms gradients by task."""
    del original
    product = _matrix_product(module, name, grouping, is_transposed=False)

    def forward(input: Tensor) -> Tensor:
        return product(input)

    return forward


def conv1d_forward(
    module: nn.Module, name: str, original: Callable[..., Any], grouping: Grouping
) -> Callable[..., Any]:
    """The same for the ``Conv1D`` of GPT-2: a linear layer whose weight is ``[in, out]``."""
    del original
    # It has the two attributes that are used here.
    product = _matrix_product(cast(nn.Linear, module), name, grouping, is_transposed=True)

    def forward(x: Tensor) -> Tensor:
        return product(x)

    return forward


def _matrix_product(
    module: nn.Linear, name: str, grouping: Grouping, *, is_transposed: bool
) -> Callable[[Tensor], Tensor]:
    def product(x: Tensor) -> Tensor:
        x, segments = grouping.with_rows(x, name)
        weight, bias = module.weight, module.bias
        grouping.count_use(weight, bias)
        output: Tensor = _Product.apply(x, weight, bias, is_transposed, grouping, segments)
        return output

    return product


def _as_autocast(tensor: Tensor) -> Tensor:
    """The tensor as autocast gives it to a matrix product."""
    device = tensor.device.type
    if torch.is_autocast_enabled(device) and tensor.dtype != torch.float64:
        return tensor.to(torch.get_autocast_dtype(device))
    return tensor


class _Product(torch.autograd.Function):
    """``x @ weight.T + bias``, or ``x @ weight + bias`` if the weight is transposed."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        is_transposed: bool,
        grouping: Grouping,
        segments: Sequence[Segment],
    ) -> Tensor:
        ctx.grouping, ctx.segments, ctx.is_transposed = grouping, segments, is_transposed
        # What checkpointing computes once more is saved as other tensors, also the weight.
        ctx.parameters = weight, bias
        # Cast here and not by autocast: its cache would keep copies that are out of the graph, and
        # hand them to other uses of a tied weight.
        x = _as_autocast(x)
        ctx.save_for_backward(x, weight)
        matrix = _as_autocast(weight)
        if bias is not None:
            bias = _as_autocast(bias)
        return nn.functional.linear(x, matrix.T if is_transposed else matrix, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        grouping, (weight, bias) = ctx.grouping, ctx.parameters
        x, matrix = ctx.saved_tensors
        flat, inputs = delta.reshape(-1, delta.shape[-1]), x.reshape(-1, x.shape[-1])
        for_x = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:
            matrix = matrix.to(delta.dtype)
            for_x = (flat @ (matrix.T if ctx.is_transposed else matrix)).view(x.shape)
        if ctx.needs_input_grad[1] and not grouping.is_split_for(weight):
            for_weight = inputs.T @ flat if ctx.is_transposed else flat.T @ inputs
        if ctx.needs_input_grad[2] and not grouping.is_split_for(bias):
            for_bias = flat.sum(0)
        _add_slices(ctx, inputs, flat, len(flat) // len(x))
        grouping.count_seen(weight, bias)
        return for_x, for_weight, for_bias, None, None, None


def _add_slices(ctx: Any, inputs: Tensor, flat: Tensor, width: int) -> None:
    """Hands the sink a product for each slice; ``width`` entries follow each other in a row."""
    grouping, (weight, bias) = ctx.grouping, ctx.parameters
    has_weight, has_bias = grouping.is_split_for(weight), grouping.is_split_for(bias)
    slices = [
        (task, start * width, stop * width)
        for task, start, stop in grouping.groups.slices(ctx.segments)
    ]
    if has_weight:
        pair = (inputs, flat) if ctx.is_transposed else (flat, inputs)
        grouping.sink.add_products(weight, slices, *pair)
    if has_bias:
        for task, start, stop in slices:
            grouping.sink.add(bias, task, flat[start:stop].sum(0))
