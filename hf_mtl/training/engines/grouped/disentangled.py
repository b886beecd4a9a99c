# SPDX-License-Identifier: Apache-2.0
"""The attention of DeBERTa-v2, whose query and key projections are used for positions as well."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hf_mtl.training.engines.grouped.grouping import Grouping

__all__ = ["position_scores"]


def position_scores(
    module: nn.Module, name: str, original: Callable[..., Any], grouping: Grouping
) -> Callable[..., Any]:
    """Method that adds scores of relative positions, run slice by slice.

    Positions have no row axis. So each group gets its own copy of their embeddings, and projects
    them by itself: the gradients of a group's copy, and of projecting it, are the group's.
    """
    del name

    def method(
        query: Tensor, key: Tensor, relative: Tensor | None, embeddings: Tensor, scale: int
    ) -> Tensor:
        # Frozen embeddings have no copy for each group: no gradient has to be kept apart.
        is_shared = embeddings.ndim == 2
        # The heads of a row follow each other in the first axis.
        num_heads = module.num_attention_heads
        assert isinstance(num_heads, int)
        scores = []
        for group, start, stop in grouping.groups.segments:
            rows = slice(start * num_heads, stop * num_heads)
            with grouping.only(group):
                own = embeddings if is_shared else embeddings[group]
                scores.append(original(query[rows], key[rows], relative, own, scale))
        return torch.cat(scores)

    return method
