# SPDX-License-Identifier: Apache-2.0
"""The mean of the backbones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from hf_mtl.models.merging.base import (
    MERGING_METHODS,
    MergingMethod,
    Tensors,
    all_names,
    having,
    mean,
)

__all__ = ["Average"]


@MERGING_METHODS.register("average")
@final
@dataclass(frozen=True)
class Average(MergingMethod):
    """The mean of the models, parameter by parameter.

    Needs nothing but the models. Choose it for few models that went a short way from one start.

    Example:
        >>> import torch
        >>> Average().merge([{"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}], {})
        {'w': tensor([2.])}

    Source:
        Wortsman et al. 2022, "Model soups", section 2 (the uniform soup),
        https://arxiv.org/abs/2203.05482.
    """

    def merge(self, models: Sequence[Tensors], start: Tensors) -> dict[str, Tensor]:
        return {name: mean(having(name, models)) for name in all_names(models)}
