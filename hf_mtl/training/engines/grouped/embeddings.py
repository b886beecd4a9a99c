# SPDX-License-Identifier: Apache-2.0
"""Embeddings: the rows of the table that occur, by task."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hf_mtl.training.engines.grouped.grouping import Grouping
from hf_mtl.training.engines.grouped.rows import Segment

__all__ = ["embedding_forward"]


def embedding_forward(
    module: nn.Embedding, name: str, original: Callable[..., Any], grouping: Grouping
) -> Callable[..., Any]:
    """Forward of an ``Embedding`` whose backward forms gradients by task.

    Indices of no row (``[1, L]``, positions) are looked up once; every row gets a copy.
    """
    del original

    def forward(input: Tensor) -> Tensor:
        indices, segments = grouping.with_rows(input, name)
        grouping.count_use(module.weight)
        is_shared = len(input) < len(indices)
        output: Tensor = _Lookup.apply(
            input if is_shared else indices,
            module.weight,
            module.padding_idx,
            len(indices),
            grouping,
            segments,
        )
        return output

    return forward


class _Lookup(torch.autograd.Function):
    """Entries of a table: ``[B, ...], [V, D] -> [B, ..., D]``; indices may be ``[1, ...]``."""

    @staticmethod
    def forward(
        ctx: Any,
        indices: Tensor,
        weight: Tensor,
        padding_idx: int | None,
        num_rows: int,
        grouping: Grouping,
        segments: Sequence[Segment],
    ) -> Tensor:
        ctx.save_for_backward(indices)
        ctx.weight, ctx.padding_idx = weight, padding_idx
        ctx.grouping, ctx.segments = grouping, segments
        found = nn.functional.embedding(indices, weight)
        # Copies, not a view that repeats itself: the model may change them in place.
        return found if len(found) == num_rows else found.repeat(num_rows, *[1] * (found.ndim - 1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        grouping, weight = ctx.grouping, ctx.weight
        (indices,) = ctx.saved_tensors
        if not grouping.is_split_for(weight):
            wanted, values = _entries(ctx, indices, delta)
            for_weight = torch.zeros_like(weight)
            for_weight.index_add_(0, wanted, values.to(weight.dtype))
            return None, for_weight, None, None, None, None
        is_shared = len(indices) < len(delta)
        for task, start, stop in grouping.groups.slices(ctx.segments):
            part = indices if is_shared else indices[start:stop]
            grouping.sink.add_rows(weight, task, *_entries(ctx, part, delta[start:stop]))
        grouping.count_seen(weight)
        return None, None, None, None, None, None


def _entries(ctx: Any, indices: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Indices ``[n]`` and what is added to their rows ``[n, D]``; padding is left out."""
    if len(indices) < len(delta):
        delta = delta.sum(0)
    flat, values = indices.reshape(-1), delta.reshape(-1, delta.shape[-1])
    if ctx.padding_idx is None:
        return flat, values
    kept = flat != ctx.padding_idx
    return flat[kept], values[kept]
