# SPDX-License-Identifier: Apache-2.0
"""The start, moved by the sum of what the models learned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from hf_mtl._numbers import check_finite_number
from hf_mtl.models.merging.base import (
    MERGING_METHODS,
    MergingMethod,
    Tensors,
    all_names,
    having,
    moved,
    task_vectors,
)

__all__ = ["TaskArithmetic"]


@MERGING_METHODS.register("task_arithmetic")
@final
@dataclass(frozen=True)
class TaskArithmetic(MergingMethod):
    """Adds what each model learned, its difference to the start, to the start.

    Unlike an average it does not dilute each task the more there are of them. ``scale`` is best
    found on validation data.

    Args:
        base: Name, folder or loaded model from which all were fine-tuned.
        scale: What the sum of the differences is multiplied by. 1 divided by the number of models
            gives their average.

    Raises:
        TypeError: If ``scale`` is no number.
        ValueError: If it is not finite.

    Example:
        >>> models = [{"w": torch.tensor([3.0])}, {"w": torch.tensor([2.0])}]
        >>> TaskArithmetic("start", scale=0.5).merge(models, {"w": torch.tensor([1.0])})
        {'w': tensor([2.5000])}

    Source:
        Ilharco et al. 2023, "Editing models with task arithmetic", section 2,
        https://arxiv.org/abs/2212.04089.
    """

    base: Any
    scale: float = 0.3

    def __post_init__(self) -> None:
        check_finite_number("scale", self.scale)

    @property
    def start(self) -> Any:
        """The base."""
        return self.base

    def merge(self, models: Sequence[Tensors], start: Tensors) -> dict[str, Tensor]:
        vectors = task_vectors(models, start)
        direction = {
            name: torch.stack(having(name, vectors)).sum(dim=0) for name in all_names(vectors)
        }
        return moved(models, start, direction, self.scale)
