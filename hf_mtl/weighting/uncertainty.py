# SPDX-License-Identifier: Apache-2.0
"""Weights from the noise that each task is learned to have."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from hf_mtl._checks import check_known
from hf_mtl._losses import positive
from hf_mtl._numbers import check_positive
from hf_mtl.weighting.base import WEIGHTINGS, State, WeightingContext
from hf_mtl.weighting.learned import LearnedWeighting

__all__ = ["UncertaintyWeighting"]

_PENALTIES = ("log", "log1p")


@WEIGHTINGS.register("uncertainty")
@final
@dataclass(frozen=True)
class UncertaintyWeighting(LearnedWeighting):
    """Learns a variance of each task, and weights its loss by the inverse.

    Tasks with large losses get small weights: right for regressions of different units, wrong
    where a loss is large because the task has not been learned yet.

    Args:
        penalty: What keeps variances from growing: ``"log"`` of the variance, half of it, or
            ``"log1p"`` of it, which never makes the total negative.
        learning_rate: Of the variances' own Adam, on the logarithm of the variance. The papers use
            the network's; a fine-tuning rate would leave the variances as they are.

    Example:
        >>> context = WeightingContext(step=0)
        >>> weighting = UncertaintyWeighting()
        >>> losses, tasks = torch.tensor([4.0, 0.5]).double(), torch.tensor([0, 1])
        >>> weighting.weights(losses, tasks, weighting.init_state(2), context).tolist()
        [1.0, 1.0]

    Source:
        Kendall, Gal and Cipolla 2018, https://arxiv.org/abs/1705.07115, with ``s = log variance``:
        ``sum of exp(-s) L + s``, twice theirs, so that weights begin at 1 and not at 1 / 2. They
        tell classification (``L / variance``) from regression (``L / (2 variance)``); all tasks are
        regressions here. ``"log1p"``: Liebel and Koerner 2018, https://arxiv.org/abs/1805.06334.
    """

    penalty: str = "log"
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        check_known("penalty", self.penalty, _PENALTIES)
        check_positive("learning_rate", self.learning_rate)

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        return torch.exp(-state["parameter"][tasks])

    def state_loss(self, parameter: Tensor, losses: Tensor, losses_after: Tensor | None) -> Tensor:
        variance = parameter.exp()
        penalty = parameter if self.penalty == "log" else 2 * torch.log1p(variance)
        # Bounded below, so that a loss of 0 does not carry the variance to 0 without end.
        return (positive(losses) / variance + penalty).sum()
