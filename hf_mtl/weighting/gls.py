# SPDX-License-Identifier: Apache-2.0
"""The geometric mean of the losses."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext

__all__ = ["GLSWeighting"]


@WEIGHTINGS.register("gls")
@final
@dataclass(frozen=True)
class GLSWeighting(Weighting):
    """Minimises the geometric mean of the losses: each is weighted by ``geometric mean / loss``.

    The direction is that of ``scale_invariant``; the size of the step follows the losses as they
    fall, where ``scale_invariant`` keeps it. The product of weights is 1. Losses that come close
    to 0 get large weights: not for tasks that are learned perfectly.

    Example:
        >>> import torch
        >>> context = WeightingContext(step=0)
        >>> losses, tasks = torch.tensor([4.0, 1.0]).double(), torch.tensor([0, 1])
        >>> [round(w, 6) for w in GLSWeighting().weights(losses, tasks, {}, context).tolist()]
        [0.5, 2.0]

    Source:
        Chennupati et al. 2019, "MultiNet++", geometric loss strategy,
        https://arxiv.org/abs/1904.08492. Weights are the gradient times the number of tasks
        present, at losses bounded below, so that the total is the geometric mean itself.
    """

    compares_tasks: ClassVar[bool] = True
    needs_losses: ClassVar[bool] = True

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        logs = positive(losses).log()  # a product of many losses would leave the range of numbers
        return (logs.mean() - logs).exp()
