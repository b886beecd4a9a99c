# SPDX-License-Identifier: Apache-2.0
"""What takes the gradients by task, while a backward forms them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

__all__ = ["DoneSink", "GradientSink", "Slice"]

Slice = tuple[int, int, int]
"""Position of a task in the step; the first of its entries, and the one behind its last."""


class GradientSink(Protocol):
    """Takes pieces of the tasks' gradients; those of one task and parameter are to be added up."""

    def add(self, parameter: nn.Parameter, task: int, gradient: Tensor) -> None:
        """Takes a gradient of the shape of the parameter."""

    def add_products(
        self, parameter: nn.Parameter, slices: Sequence[Slice], left: Tensor, right: Tensor
    ) -> None:
        """Takes ``left[slice].T @ right[slice]`` for each task: of ``[n, o]`` and ``[n, i]``."""

    def add_rows(self, parameter: nn.Parameter, task: int, indices: Tensor, values: Tensor) -> None:
        """Takes rows of the gradient: ``[n]`` indices, which may repeat, and ``[n, D]`` values."""


@runtime_checkable
class DoneSink(GradientSink, Protocol):
    """A sink that also wants to know when a parameter has all its pieces of this backward."""

    def done(self, parameter: nn.Parameter) -> None:
        """Is told that no more pieces of this parameter come in this backward."""
