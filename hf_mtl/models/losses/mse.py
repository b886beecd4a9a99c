# SPDX-License-Identifier: Apache-2.0
"""Squared error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl.models.losses.base import LOSSES, Loss, in_full_precision
from hf_mtl.tasks import labelled_mask

__all__ = ["MeanSquaredError"]


@LOSSES.register("mse")
@final
@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Squared error: logits ``[B, 1]``, labels ``[B]``, missing where NaN.

    Example:
        >>> import torch
        >>> labels = torch.tensor([1.0, float("nan")])
        >>> MeanSquaredError().total(torch.tensor([[3.0], [5.0]]), labels)
        tensor(4.)
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"score"})

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        del names
        mask = labelled_mask(labels)
        # Selected before subtracting: a NaN that is masked afterwards still spoils the gradient.
        predictions = in_full_precision(logits).squeeze(-1)[mask]
        return (predictions - labels[mask].to(predictions.dtype)).square().sum()
