# SPDX-License-Identifier: Apache-2.0
"""The sum of the logarithms of the losses."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext

__all__ = ["ScaleInvariantWeighting"]


@WEIGHTINGS.register("scale_invariant")
@final
@dataclass(frozen=True)
class ScaleInvariantWeighting(Weighting):
    """Minimises the mean logarithm of the losses: each task is weighted by ``1 / loss``.

    The unit of a loss no longer matters. Losses that come close to 0 get large weights: not for
    tasks that are learned perfectly.

    Example:
        >>> import torch
        >>> context = WeightingContext(step=0)
        >>> losses, tasks = torch.tensor([4.0, 0.5]).double(), torch.tensor([0, 1])
        >>> ScaleInvariantWeighting().weights(losses, tasks, {}, context).tolist()
        [0.25, 2.0]

    Source:
        Navon et al. 2022, "Multi-Task Learning as a Bargaining Game", baseline "scale-invariant",
        https://arxiv.org/abs/2202.01017. The gradient of the mean of ``log L``, with the losses
        bounded below, is taken as the weights.
    """

    needs_losses: ClassVar[bool] = True

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        return 1 / positive(losses)
