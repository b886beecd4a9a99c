# SPDX-License-Identifier: Apache-2.0
"""Likelihood of the right choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor
from torch.nn import functional

from hf_mtl.models.losses.base import LOSSES, Loss, in_full_precision
from hf_mtl.tasks import IGNORE_INDEX

__all__ = ["ChoiceLikelihood"]


@LOSSES.register("choice")
@final
@dataclass(frozen=True)
class ChoiceLikelihood(Loss):
    """Negative log-likelihood of a row's right choice: logits ``[B, N]``, labels ``[B]``.

    Where a row has fewer choices than others its logits are minus infinity, and have no share.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[0.0, 0.0, -torch.inf], [1.0, 2.0, 3.0]])
        >>> ChoiceLikelihood().total(scores, torch.tensor([1, -100]))
        tensor(0.6931)
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"choice"})

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        del names
        return functional.cross_entropy(
            in_full_precision(logits), labels, ignore_index=IGNORE_INDEX, reduction="sum"
        )
