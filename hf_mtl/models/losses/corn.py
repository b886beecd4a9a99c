# SPDX-License-Identifier: Apache-2.0
"""Likelihood of an ordered class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from hf_mtl.models.losses.base import LOSSES, Loss, in_full_precision
from hf_mtl.tasks import labelled_mask

__all__ = ["CORN"]


@LOSSES.register("corn")
@final
@dataclass(frozen=True)
class CORN(Loss):
    """Negative log-likelihood of an ordinal class: logits ``[B, C - 1]``, labels ``[B]``.

    Output ``k`` says whether a row is above class ``k``, and learns from the rows that are not
    below it.

    Example:
        >>> CORN().total(torch.zeros(3, 2), torch.tensor([0, 2, -100])) / 3  # one and two answers
        tensor(0.6931)

    Source:
        Shi, Cao and Raschka 2021, "Deep Neural Networks for Rank-Consistent Ordinal Regression
        Based On Conditional Probabilities", section 3.3, https://arxiv.org/abs/2111.08851. There
        the sum is divided by the number of answers, here by that of the labelled rows, which is
        the likelihood of the class.
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"ordinal"})

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        del names
        known = labelled_mask(labels)
        logits, classes = in_full_precision(logits)[known], labels[known]
        thresholds = torch.arange(logits.shape[-1], device=logits.device)
        is_asked = classes[:, None] >= thresholds
        is_above = (classes[:, None] > thresholds).to(logits.dtype)
        return functional.binary_cross_entropy_with_logits(
            logits[is_asked], is_above[is_asked], reduction="sum"
        )
