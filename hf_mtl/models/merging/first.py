# SPDX-License-Identifier: Apache-2.0
"""The backbone of the first model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl.models.merging.base import MERGING_METHODS, MergingMethod, Tensors, all_names, having

__all__ = ["First"]


@MERGING_METHODS.register("first")
@final
@dataclass(frozen=True)
class First(MergingMethod):
    """The backbone of the first model; parts that it lacks are those of the next one that has them.

    For models whose backbone is one and the same, such as heads trained on a frozen one: then every
    task keeps its logits to the last bit. With other backbones only the first task keeps them.

    Example:
        >>> import torch
        >>> First().merge([{"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}], {})
        {'w': tensor([1.])}
    """

    order_matters: ClassVar[bool] = True

    def merge(self, models: Sequence[Tensors], start: Tensors) -> dict[str, Tensor]:
        return {name: having(name, models)[0] for name in all_names(models)}
