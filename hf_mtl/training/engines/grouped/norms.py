# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation: the input's gradient at once, those of scale and shift by task."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hf_mtl.training.engines.grouped.grouping import Grouping
from hf_mtl.training.engines.grouped.rows import Segment

__all__ = ["layer_norm_forward"]


def layer_norm_forward(
    module: nn.LayerNorm, name: str, original: Callable[..., Any], grouping: Grouping
) -> Callable[..., Any]:
    """Forward of a ``LayerNorm`` whose backward forms gradients by task."""
    del original

    def forward(input: Tensor) -> Tensor:
        x, segments = grouping.with_rows(input, name, num_inner=len(module.normalized_shape))
        if x.device.type != "cpu" and torch.is_autocast_enabled(x.device.type):
            # There autocast normalises in float32; on the CPU it leaves the input as it is.
            x = x if x.dtype == torch.float64 else x.float()
        grouping.count_use(module.weight, module.bias)
        output: Tensor = _LayerNorm.apply(
            x, module.weight, module.bias, module.normalized_shape, module.eps, grouping, segments
        )
        return output

    return forward


class _LayerNorm(torch.autograd.Function):
    """``(x - mean) / deviation * weight + bias`` over the last axes."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        shape: tuple[int, ...],
        eps: float,
        grouping: Grouping,
        segments: Sequence[Segment],
    ) -> Tensor:
        x = x.contiguous()
        output, mean, rstd = torch.native_layer_norm(x, list(shape), weight, bias, eps)
        ctx.save_for_backward(x, mean, rstd, weight)
        ctx.parameters, ctx.shape = (weight, bias), list(shape)
        ctx.grouping, ctx.segments = grouping, segments
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        grouping, parameters = ctx.grouping, ctx.parameters
        saved = ctx.saved_tensors
        delta = delta.contiguous()
        is_split = [grouping.is_split_for(parameter) for parameter in parameters]
        needed = ctx.needs_input_grad
        mask = [needed[0], needed[1] and not is_split[0], needed[2] and not is_split[1]]
        gradients = _backward(ctx, slice(None), delta, saved, mask)
        for task, start, stop in grouping.groups.slices(ctx.segments) if any(is_split) else ():
            found = _backward(ctx, slice(start, stop), delta, saved, [False, *is_split])
            for parameter, gradient in zip(parameters, found[1:], strict=True):
                if gradient is not None:
                    grouping.sink.add(parameter, task, gradient)
        grouping.count_seen(*parameters)
        return *gradients, None, None, None, None


def _backward(
    ctx: Any, rows: slice, delta: Tensor, saved: Sequence[Tensor], mask: list[bool]
) -> list[Tensor | None]:
    """The gradients of these rows that the mask asks for: of input, scale and shift."""
    x, mean, rstd, weight = saved
    if not any(mask):
        return [None, None, None]
    gradients = torch.ops.aten.native_layer_norm_backward(
        delta[rows], x[rows], ctx.shape, mean[rows], rstd[rows], weight, ctx.parameters[1], mask
    )
    return [gradient if kept else None for gradient, kept in zip(gradients, mask, strict=True)]
