# SPDX-License-Identifier: Apache-2.0
"""The mean of gradients that are made orthogonal and equally long."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final, get_args

from torch import Tensor

from hf_mtl._checks import check_known
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.gramians import relative
from hf_mtl.gradients.memoryless import MemorylessMethod
from hf_mtl.gradients.torchjd_weights import aligned_mtl_weights

__all__ = ["AlignedMTL"]

Scale = Literal["min", "median", "rmse"]


@GRADIENT_METHODS.register("aligned_mtl")
@final
@dataclass(frozen=True)
class AlignedMTL(MemorylessMethod):
    """Aligns the principal components of the gradients, and follows the mean of the result.

    What is left is the nearest set of gradients that are orthogonal and equally long, in which no
    task dominates and none is in conflict. Choose it where conflicts make training unstable.

    Args:
        scale: Length of the components: the shortest one (``min``), as in the paper, the
            ``median``, or the root of the mean square (``rmse``), as in the authors' code.

    Raises:
        KeyError: If ``scale`` is none of these.

    Example:
        >>> import torch
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 9.0]]).double()
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> weights, _ = AlignedMTL().weights(gramian, torch.tensor([0, 1]), {}, context)
        >>> [round(w, 6) for w in weights.tolist()]  # both get a length of 1
        [1.0, 0.333333]

    Source:
        Senushkin et al. 2023, "Independent Component Alignment for Multi-Task Learning", algorithm
        1, https://arxiv.org/abs/2305.19000, as torchjd computes it. With preferences, the weighted
        mean of the aligned gradients.
    """

    uses_preferences: ClassVar[bool] = True

    scale: Scale = "min"

    def __post_init__(self) -> None:
        check_known("scale", self.scale, get_args(Scale))

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        return aligned_mtl_weights(gramian, relative(context.preferences), self.scale)
