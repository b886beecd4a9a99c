# SPDX-License-Identifier: Apache-2.0
"""The weights that the user gives, and no others."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext

__all__ = ["StaticWeighting"]


@WEIGHTINGS.register("static")
@final
@dataclass(frozen=True)
class StaticWeighting(Weighting):
    """Leaves every task at the weight that the user gave it.

    With all of them alike this is equal weighting; with weights that were tuned on a validation
    split it is the baseline that every other weighting has to beat.

    Example:
        >>> context = WeightingContext(step=0)
        >>> losses, tasks = torch.tensor([4.0, 0.5]).double(), torch.tensor([0, 1])
        >>> StaticWeighting().weights(losses, tasks, {}, context).tolist()
        [1.0, 1.0]

    Source:
        Kurin et al. 2022, "In Defense of the Unitary Scalarization for Deep Multi-Task Learning",
        https://arxiv.org/abs/2201.04122, on how strong this baseline is.
    """

    is_constant: ClassVar[bool] = True

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        return torch.ones_like(losses)
