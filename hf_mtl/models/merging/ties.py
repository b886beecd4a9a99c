# SPDX-License-Identifier: Apache-2.0
"""The start, moved by what the models learned and agree on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from hf_mtl._numbers import check_finite_number, check_interval
from hf_mtl.models.merging.base import (
    MERGING_METHODS,
    MergingMethod,
    Tensors,
    all_names,
    having,
    moved,
    task_vectors,
)

__all__ = ["Ties"]


@MERGING_METHODS.register("ties")
@final
@dataclass(frozen=True)
class Ties(MergingMethod):
    """Adds to the start the large changes of the models, for each parameter those of one sign.

    Of each model only the largest changes count; for each parameter the models elect a sign, and
    the mean of those that have it is added. Choose it over task arithmetic where the models pull
    in different directions.

    Args:
        base: Name, folder or loaded model from which all were fine-tuned.
        density: Share of a model's changes that counts, the largest ones, in (0, 1].
        scale: What the result is multiplied by before it is added.

    Raises:
        TypeError: If ``density`` or ``scale`` is no number.
        ValueError: If one is out of range.

    Example:
        >>> models = [{"w": torch.tensor([4.0, 1.0])}, {"w": torch.tensor([2.0, -3.0])}]
        >>> Ties("start", density=1).merge(models, {"w": torch.zeros(2)})
        {'w': tensor([ 3., -3.])}

    Source:
        Yadav et al. 2023, "TIES-Merging", algorithm 1, https://arxiv.org/abs/2306.01708. Where the
        changes add up to exactly 0 no sign is elected, and the parameter stays as it was.
    """

    base: Any
    density: float = 0.2
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_interval("density", self.density, "(0, 1]")
        check_finite_number("scale", self.scale)

    @property
    def start(self) -> Any:
        """The base."""
        return self.base

    def merge(self, models: Sequence[Tensors], start: Tensors) -> dict[str, Tensor]:
        vectors = [_trimmed(vector, self.density) for vector in task_vectors(models, start)]
        direction = {
            name: _disjoint_mean(torch.stack(having(name, vectors))) for name in all_names(vectors)
        }
        return moved(models, start, direction, self.scale)


def _trimmed(vector: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """The largest changes of one model, over all its tensors; 0 in place of the others."""
    sizes = torch.cat([value.abs().flatten() for value in vector.values()])
    num_kept = max(1, round(density * len(sizes)))
    least = sizes.kthvalue(len(sizes) - num_kept + 1).values
    return {name: value.where(value.abs() >= least, 0.0) for name, value in vector.items()}


def _disjoint_mean(changes: Tensor) -> Tensor:
    """Mean of the changes that have the sign of their sum: ``[T, ...] -> [...]``."""
    elected = changes.sum(dim=0).sign()
    agrees = (changes.sign() == elected) & (elected != 0)
    return (changes * agrees).sum(dim=0) / agrees.sum(dim=0).clamp(min=1)
