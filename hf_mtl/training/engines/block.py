# SPDX-License-Identifier: Apache-2.0
"""Gradients of the tasks for one parameter, and what is made of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

__all__ = ["Block", "gramian_of", "set_gradient"]

# Elements of a row that are multiplied in the data type of the gradients before the products are
# added up in float64: few enough that the first of the two sums is as good as exact.
_CHUNK = 4096


@dataclass(frozen=True)
class Block:
    """Gradient of each task with respect to one parameter.

    Attributes:
        parameter: The parameter.
        gradients: ``[S, n]``: all its elements on this rank, or those of ``rows``.
        rows: Its rows that ``gradients`` holds, ascending; ``None``: all elements.
    """

    parameter: nn.Parameter
    gradients: Tensor
    rows: Tensor | None = None

    def whole(self) -> "Block":
        """The block with all elements, of which those in other rows are 0."""
        if self.rows is None:
            return self
        shape = self.parameter.shape
        own = self.gradients.view(len(self.gradients), len(self.rows), *shape[1:])
        gradients = own.new_zeros(len(own), *shape)
        gradients[:, self.rows] = own
        return Block(self.parameter, gradients.flatten(1))

    def set_gradient(self, direction: Tensor) -> None:
        """Makes a direction the gradient of the parameter.

        Args:
            direction: ``[n]``.
        """
        if self.rows is None:
            set_gradient(self.parameter, direction)
            return
        gradient = torch.zeros_like(self.parameter)
        gradient[self.rows] = direction.view(len(self.rows), *gradient.shape[1:])
        self.parameter.grad = gradient


def set_gradient(parameter: nn.Parameter, direction: Tensor) -> None:
    """Makes a direction the gradient of a parameter.

    Args:
        parameter: The parameter.
        direction: As many elements as this rank has of it.
    """
    if isinstance(parameter, DTensor):
        parameter.grad = DTensor.from_local(
            direction.view(parameter.to_local().shape),
            parameter.device_mesh,
            parameter.placements,
            run_check=False,
            shape=parameter.shape,
            stride=parameter.stride(),
        )
    else:
        parameter.grad = direction.view(parameter.shape)


def gramian_of(matrices: Iterable[Tensor], num_tasks: int) -> Tensor:
    """Inner products of the rows of matrices that stand side by side, on the host: ``[S, S]``.

    Added up in float64, there where the device may not know it.

    Args:
        matrices: ``[S, n]`` each.
        num_tasks: ``S``.
    """
    total = torch.zeros(num_tasks, num_tasks, dtype=torch.float64)
    for matrix in matrices:
        if matrix.numel():
            total += _products(matrix).cpu().to(torch.float64)
    return (total + total.T) / 2


def _products(matrix: Tensor) -> Tensor:
    has_double = matrix.device.type != "mps"
    num_tasks, length = matrix.shape
    if matrix.dtype == torch.float64:
        return matrix @ matrix.T
    if matrix.dtype in (torch.bfloat16, torch.float16):
        matrix = matrix.float()
    whole = length - length % _CHUNK
    chunks = matrix[:, :whole].view(num_tasks, -1, _CHUNK).transpose(0, 1)
    rest = matrix[:, whole:]
    products = torch.cat([torch.bmm(chunks, chunks.mT), (rest @ rest.T)[None]])
    return products.sum(dim=0, dtype=torch.float64 if has_double else None)
