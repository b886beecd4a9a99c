# SPDX-License-Identifier: Apache-2.0
"""What a backbone gives, with all that it is nested in: some of its rows, or without a history."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from transformers.utils.generic import ModelOutput

__all__ = ["row_slice", "without_gradient"]


def row_slice(value: Any, rows: Tensor, num_rows: int) -> Any:
    """Those rows of a backbone's output or inputs, with whatever they are nested in.

    Args:
        value: Tensor ``[B, ...]``, or a mapping, list or tuple that holds such tensors. What is
            no tensor of ``B`` rows is handed on as it is.
        rows: ``[b]`` indices.
        num_rows: ``B``.
    """

    def sliced(tensor: Tensor) -> Tensor:
        return tensor[rows] if tensor.ndim and tensor.shape[0] == num_rows else tensor

    return _with_tensors(value, sliced)


def without_gradient(value: Any) -> Any:
    """A backbone's output, with whatever it is nested in, as numbers without a history.

    Args:
        value: Tensor, or a mapping, list or tuple that holds such; others are handed on.
    """
    return _with_tensors(value, Tensor.detach)


def _with_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same nesting with what a function makes of each tensor in it."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, ModelOutput):
        return type(value)(**{key: _with_tensors(value[key], change) for key in value})
    if isinstance(value, Mapping):
        return {key: _with_tensors(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_tensors(item, change) for item in value)
    return value
