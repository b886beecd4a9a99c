# SPDX-License-Identifier: Apache-2.0
"""Likelihood of each class's yes or no."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from hf_mtl.models.losses.base import LOSSES, Loss, in_full_precision
from hf_mtl.models.losses.class_weights import (
    check_class_weights,
    check_class_weights_of,
    weight_by_class,
)
from hf_mtl.tasks import TaskSpec, labelled_mask

__all__ = ["BinaryCrossEntropy"]


@LOSSES.register("binary_cross_entropy")
@final
@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Negative log-likelihood of each class's yes or no: logits ``[B, C]``, labels ``[B, C]``.

    Labels are 0 or 1, and missing where NaN: a class whose answer is not known counts nowhere.

    Args:
        class_weights: Weight of the answers for a class by its name, 1 for those left out. The mean
            is over weights: what matters is their relation.
        positive_weights: Factor of the loss where a class is there, by its name; for classes that
            are rare. The mean does not divide by it.

    Raises:
        TypeError: If a weight is no number.
        ValueError: If a weight is not positive.

    Example:
        >>> labels = torch.tensor([[1.0, float("nan")], [0.0, 1.0]])
        >>> BinaryCrossEntropy().total(torch.zeros(2, 2), labels) / 3
        tensor(0.6931)
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"class_set"})

    class_weights: Mapping[str, float] | None = None
    positive_weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        check_class_weights("class_weights", self.class_weights)
        check_class_weights("positive_weights", self.positive_weights)

    def check(self, task: str, spec: TaskSpec) -> None:
        super().check(task, spec)
        check_class_weights_of("class_weights", self.class_weights, spec)
        check_class_weights_of("positive_weights", self.positive_weights, spec)

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        mask = labelled_mask(labels)
        logits = in_full_precision(logits)
        losses = functional.binary_cross_entropy_with_logits(
            logits,
            # Not NaN, which would spoil the gradient of what is left out below.
            torch.where(mask, labels, 0.0).to(logits.dtype),
            weight=weight_by_class(self.class_weights, names, logits),
            pos_weight=weight_by_class(self.positive_weights, names, logits),
            reduction="none",
        )
        return losses[mask].sum()

    def total_weight(self, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        mask = labelled_mask(labels)
        by_class = weight_by_class(self.class_weights, names, labels.double())
        return mask.sum() if by_class is None else (mask * by_class).sum()
