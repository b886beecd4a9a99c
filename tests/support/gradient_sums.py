# SPDX-License-Identifier: Apache-2.0
"""A plain sink of gradients by task, and the comparison with gradients of separate passes."""

from collections.abc import Mapping, Sequence
from itertools import product

import torch
from torch import Tensor, nn

from hf_mtl.training.engines.grouped.sink import Slice

__all__ = ["GradientSums", "assert_same_gradients"]


class GradientSums:
    """Adds up what it is told, without any economy; what comes after `done` is an error.

    Attributes:
        sums: Gradient by parameter and task; what is not there is 0.
        finished: Parameters of which no more comes in this backward, in order.
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[nn.Parameter, int], Tensor] = {}
        self.finished: list[nn.Parameter] = []

    def add(self, parameter: nn.Parameter, task: int, gradient: Tensor) -> None:
        assert not any(parameter is each for each in self.finished)
        assert gradient.shape == parameter.shape
        gradient = gradient.to(parameter.dtype)
        if (parameter, task) in self.sums:
            gradient = self.sums[parameter, task] + gradient
        self.sums[parameter, task] = gradient

    def add_products(
        self, parameter: nn.Parameter, slices: Sequence[Slice], left: Tensor, right: Tensor
    ) -> None:
        left, right = left.to(parameter.dtype), right.to(parameter.dtype)
        for task, start, stop in slices:
            self.add(parameter, task, left[start:stop].T @ right[start:stop])

    def add_rows(self, parameter: nn.Parameter, task: int, indices: Tensor, values: Tensor) -> None:
        gradient = torch.zeros_like(parameter)
        self.add(parameter, task, gradient.index_add_(0, indices, values.to(parameter.dtype)))

    def done(self, parameter: nn.Parameter) -> None:
        self.finished.append(parameter)

    def of(self, parameter: nn.Parameter, task: int) -> Tensor:
        """Gradient of a parameter for a task."""
        return self.sums.get((parameter, task), torch.zeros_like(parameter)).detach()


def assert_same_gradients(
    sums: GradientSums,
    expected: Mapping[int, Mapping[str, Tensor]],
    parameters: Mapping[str, nn.Parameter],
    rtol: float = 1e-9,
) -> None:
    """Asserts that the gradient of every task and parameter is the expected one, to rounding.

    Gradients that are 0 but for rounding, those of key biases, are held against the largest one.
    """
    for task, (name, parameter) in product(expected, parameters.items()):
        largest = max(float(each.norm()) for each in expected[task].values())
        difference = float((sums.of(parameter, task) - expected[task][name]).norm())
        allowed = rtol * float(expected[task][name].norm()) + 1e-4 * rtol * largest
        assert difference <= allowed, f"{name}, task {task}: {difference} > {allowed}"
