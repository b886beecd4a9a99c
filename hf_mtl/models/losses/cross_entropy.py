# SPDX-License-Identifier: Apache-2.0
"""Likelihood of the right class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor
from torch.nn import functional

from hf_mtl._numbers import check_interval
from hf_mtl.models.losses.base import LOSSES, Loss, in_full_precision
from hf_mtl.models.losses.class_weights import (
    check_class_weights,
    check_class_weights_of,
    labelled_weight,
    weight_by_class,
)
from hf_mtl.tasks import IGNORE_INDEX, TaskSpec

__all__ = ["CrossEntropy"]


@LOSSES.register("cross_entropy")
@final
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Negative log-likelihood of the right class: logits ``[..., C]``, labels ``[...]``.

    Args:
        label_smoothing: Share of the likelihood that is spread over all classes alike, in [0, 1).
        class_weights: Weight of the elements of a class by its name, 1 for those left out. The mean
            is over weights: what matters is their relation.

    Raises:
        TypeError: If the smoothing or a weight is no number.
        ValueError: If the smoothing is out of range, or a weight not positive.

    Example:
        >>> import torch
        >>> CrossEntropy().total(torch.zeros(3, 2), torch.tensor([0, 1, -100])) / 2
        tensor(0.6931)
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"class", "masked_token", "token_class"})

    label_smoothing: float = 0.0
    class_weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        check_interval("label_smoothing", self.label_smoothing, "[0, 1)")
        check_class_weights("class_weights", self.class_weights)

    def check(self, task: str, spec: TaskSpec) -> None:
        super().check(task, spec)
        check_class_weights_of("class_weights", self.class_weights, spec)

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        logits = in_full_precision(logits).flatten(end_dim=-2)
        return functional.cross_entropy(
            logits,
            labels.flatten(),
            weight=weight_by_class(self.class_weights, names, logits),
            ignore_index=IGNORE_INDEX,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )

    def total_weight(self, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        return labelled_weight(self.class_weights, names, labels)
