# SPDX-License-Identifier: Apache-2.0
"""What a merging method can do, and the registry of merging methods.

A model of one task need not have all parts of the backbone: that of a task on words has no pooler.
So every method takes what there is, and gives every tensor that one of the models has.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from hf_mtl._registry import Registry

__all__ = [
    "MERGING_METHODS",
    "MergingMethod",
    "Tensors",
    "all_names",
    "having",
    "mean",
    "moved",
    "task_vectors",
]

Tensors = Mapping[str, Tensor]
"""Parameters of one backbone by name."""


class MergingMethod(ABC):
    """Way to make one backbone of several: a frozen dataclass whose fields are its config entry.

    Attributes:
        order_matters: Whether it matters which model comes first.
    """

    order_matters: ClassVar[bool] = False

    @property
    def start(self) -> Any | None:
        """Name, folder or model from which all were fine-tuned, for methods that need it."""
        return None

    @abstractmethod
    def merge(self, models: Sequence[Tensors], start: Tensors) -> dict[str, Tensor]:
        """Parameters of the merged backbone: every one that a model has, in its dtype.

        Args:
            models: Parameters of each model; tensors of one name have one shape.
            start: Parameters of what ``self.start`` names; empty if it is ``None``. It may lack
                some, too.
        """


MERGING_METHODS: Registry[MergingMethod] = Registry("merging method")


def all_names(models: Iterable[Tensors]) -> list[str]:
    """Names that occur in any of the models, in the order in which they are met."""
    return list(dict.fromkeys(name for tensors in models for name in tensors))


def having(name: str, models: Iterable[Tensors]) -> list[Tensor]:
    """That tensor of each model that has it."""
    return [tensors[name] for tensors in models if name in tensors]


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """Mean of tensors of one shape, in their dtype. Of equal ones it has their very bits."""
    # In float64, where adding up some equal float32 values is exact.
    total = torch.stack([tensor.double() for tensor in tensors]).sum(dim=0)
    return (total / len(tensors)).to(tensors[0].dtype)


def task_vectors(models: Sequence[Tensors], start: Tensors) -> list[dict[str, Tensor]]:
    """How far each model went from the start, in float32 at least; of what the start has."""
    return [
        {name: _wide(value) - _wide(start[name]) for name, value in each.items() if name in start}
        for each in models
    ]


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def moved(
    models: Sequence[Tensors], start: Tensors, direction: Mapping[str, Tensor], scale: float
) -> dict[str, Tensor]:
    """The start, moved along a direction; tensors that it lacks are the mean of those there are.

    Args:
        models: The models that are merged.
        start: What they were fine-tuned from.
        direction: Direction of each tensor that the start and a model have.
        scale: Length of the way.
    """
    merged = {}
    for name in all_names(models):
        tensors = having(name, models)
        if name in start:
            end = start[name].double() + scale * direction[name].double()
            merged[name] = end.to(tensors[0].dtype)
        else:
            merged[name] = mean(tensors)
    return merged
