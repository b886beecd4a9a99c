# SPDX-License-Identifier: Apache-2.0
"""Weights that are learned to make weighted losses alike."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl._numbers import check_positive
from hf_mtl.weighting.base import WEIGHTINGS, State, WeightingContext
from hf_mtl.weighting.learned import LearnedWeighting
from hf_mtl.weighting.numbers import shares

__all__ = ["LDCWeighting"]


@WEIGHTINGS.register("ldc")
@final
@dataclass(frozen=True)
class LDCWeighting(LearnedWeighting):
    """Learns a share of each task such that the weighted losses are alike.

    Shares move slowly to where ``share x loss`` is the same for all, that of ``scale_invariant``,
    without its jumps and without needing the losses before the step. Weights average 1.

    Args:
        learning_rate: Of the shares' own Adam, on their logarithm: about the relative change of a
            weight in a step. The value is ours.

    Example:
        >>> import torch
        >>> context, weighting = WeightingContext(step=0), LDCWeighting(learning_rate=0.1)
        >>> losses, tasks = torch.tensor([4.0, 0.5]).double(), torch.tensor([0, 1])
        >>> state = weighting.init_state(2)
        >>> weighting.weights(losses, tasks, state, context).tolist()
        [1.0, 1.0]
        >>> state = weighting.next_state(losses, tasks, state, context)
        >>> [round(w, 1) for w in weighting.weights(losses, tasks, state, context).tolist()]
        [0.9, 1.1]

    Source:
        In the style of Xiao et al. 2025, "LDC-MTL", https://arxiv.org/abs/2502.08585. Their
        discrepancy adds up differences of tasks that follow each other; ours is from the mean, so
        that the order of tasks is irrelevant. Only the shares learn from it, to first order: a
        parameter for each task in place of their router on features, and no penalty in the loss of
        the network.
    """

    learning_rate: float = 0.01

    compares_tasks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        return shares(state["parameter"][tasks])

    def state_loss(self, parameter: Tensor, losses: Tensor, losses_after: Tensor | None) -> Tensor:
        weighted = shares(parameter) * losses
        return (weighted - weighted.mean()).abs().sum()
