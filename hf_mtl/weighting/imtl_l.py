# SPDX-License-Identifier: Apache-2.0
"""Weights that are learned to bring all losses to one scale."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_positive
from hf_mtl.weighting.base import WEIGHTINGS, State, WeightingContext
from hf_mtl.weighting.learned import LearnedWeighting

__all__ = ["IMTLLWeighting"]


@WEIGHTINGS.register("imtl_l")
@final
@dataclass(frozen=True)
class IMTLLWeighting(LearnedWeighting):
    """Learns a factor of each task that brings its weighted loss to 1.

    It moves towards the weights of ``"scale_invariant"``, ``1 / loss``, but slowly, so that a
    single easy batch does not count much. Choose it where losses have different units; not for
    tasks that are learned perfectly, whose weights keep growing.

    Args:
        learning_rate: Of the factors' own Adam, on their logarithm: about how much a weight changes
            in a step, 0.01 for one per cent. The paper uses the network's; a fine-tuning rate would
            leave the factors as they are.

    Example:
        >>> import torch
        >>> context = WeightingContext(step=0)
        >>> weighting = IMTLLWeighting(learning_rate=0.1)
        >>> losses, tasks = torch.tensor([4.0, 0.5]).double(), torch.tensor([0, 1])
        >>> state = weighting.next_state(losses, tasks, weighting.init_state(2), context)
        >>> weights = weighting.weights(losses, tasks, state, context)
        >>> [round(weight, 2) for weight in weights.tolist()]
        [0.9, 1.11]

    Source:
        Liu et al. 2021, "Towards Impartial Multi-task Learning", loss balance (IMTL-L),
        https://openreview.net/forum?id=IMPnRXEWpvr: ``sum of exp(s) L - s``. For the parameters
        ``s`` losses are bounded below, so that a loss of 0 does not carry them to infinity.
    """

    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        return torch.exp(state["parameter"][tasks])

    def state_loss(self, parameter: Tensor, losses: Tensor, losses_after: Tensor | None) -> Tensor:
        return (parameter.exp() * positive(losses) - parameter).sum()
