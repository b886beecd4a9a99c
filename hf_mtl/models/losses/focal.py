# SPDX-License-Identifier: Apache-2.0
"""Likelihood of the right class, where what is easy counts less."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._numbers import check_not_negative
from hf_mtl.models.losses.base import LOSSES, Loss, in_full_precision
from hf_mtl.models.losses.class_weights import (
    check_class_weights,
    check_class_weights_of,
    labelled_weight,
    weight_by_class,
)
from hf_mtl.tasks import TaskSpec, labelled_mask

__all__ = ["Focal"]


@LOSSES.register("focal")
@final
@dataclass(frozen=True)
class Focal(Loss):
    """Negative log-likelihood times the probability of being wrong to a power.

    For classes of which one is far more frequent than the others, such as words outside of any
    entity: what is predicted well already counts next to nothing.

    Args:
        gamma: The power, 0 or more; 0 is ``cross_entropy``.
        class_weights: As of ``cross_entropy``.

    Raises:
        TypeError: If gamma or a weight is no number.
        ValueError: If gamma is negative, or a weight not positive.

    Example:
        >>> Focal(gamma=1).total(torch.zeros(3, 2), torch.tensor([0, 1, -100])) / 2  # log(2) / 2
        tensor(0.3466)

    Source:
        Lin et al. 2017, "Focal Loss for Dense Object Detection", https://arxiv.org/abs/1708.02002,
        equation 5 with their gamma, in the form for more than two classes.
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"class", "token_class"})

    gamma: float = 2.0
    class_weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        check_not_negative("gamma", self.gamma)
        check_class_weights("class_weights", self.class_weights)

    def check(self, task: str, spec: TaskSpec) -> None:
        super().check(task, spec)
        check_class_weights_of("class_weights", self.class_weights, spec)

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        mask = labelled_mask(labels)
        log_odds, classes = in_full_precision(logits)[mask].log_softmax(dim=-1), labels[mask]
        log_right = log_odds.gather(-1, classes[:, None])[:, 0]
        # Not 0, where the gradient of a power below 1 is infinite.
        wrong = (1 - log_right.exp()).clamp(min=torch.finfo(log_right.dtype).tiny)
        losses = -(wrong**self.gamma) * log_right
        by_class = weight_by_class(self.class_weights, names, losses)
        return (losses if by_class is None else losses * by_class[classes]).sum()

    def total_weight(self, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        return labelled_weight(self.class_weights, names, labels)
