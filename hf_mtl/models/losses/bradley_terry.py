# SPDX-License-Identifier: Apache-2.0
"""Likelihood of the right order of two texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from hf_mtl._numbers import check_not_negative
from hf_mtl.models.losses.base import LOSSES, Loss, in_full_precision
from hf_mtl.tasks import labelled_mask

__all__ = ["BradleyTerry"]


@LOSSES.register("bradley_terry")
@final
@dataclass(frozen=True)
class BradleyTerry(Loss):
    """Negative log-likelihood that the better of two texts wins: logits ``[B, 2]``, labels ``[B]``.

    Args:
        margin: How much higher the better one has to be scored before it counts as level, not
            negative; 0: not at all.

    Raises:
        TypeError: If the margin is no number.
        ValueError: If it is negative.

    Example:
        >>> scores = torch.tensor([[2.0, 2.0], [9.0, 0.0]])
        >>> BradleyTerry().total(scores, torch.tensor([1, -100]))
        tensor(0.6931)

    Source:
        Bradley and Terry 1952, "Rank analysis of incomplete block designs: the method of paired
        comparisons", Biometrika 39; with a margin as in Touvron et al. 2023, "Llama 2: Open
        Foundation and Fine-Tuned Chat Models", equation 2, https://arxiv.org/abs/2307.09288, where
        it differs between pairs.
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})

    margin: float = 0.0

    def __post_init__(self) -> None:
        check_not_negative("margin", self.margin)

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        del names
        known = labelled_mask(labels)
        scores, better = in_full_precision(logits)[known], labels[known]
        lead = (scores[:, 0] - scores[:, 1]) * (1 - 2 * better).to(scores.dtype)
        total: Tensor = functional.softplus(torch.as_tensor(self.margin) - lead).sum()
        return total
