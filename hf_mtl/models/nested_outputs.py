# SPDX-License-Identifier: Apache-2.0
"""What a backbone gives, with all that it is nested in: some of its rows, or without a history."""

from collections.abc import Mapping
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
    if isinstance(value, Tensor):
        return value[rows] if value.ndim and value.shape[0] == num_rows else value
    if isinstance(value, ModelOutput):
        return type(value)(**{key: row_slice(value[key], rows, num_rows) for key in value})
    if isinstance(value, Mapping):
        return {key: row_slice(item, rows, num_rows) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(row_slice(item, rows, num_rows) for item in value)
    return value


def without_gradient(value: Any) -> Any:
    """A backbone's output, with whatever it is nested in, as numbers without a history.

    Args:
        value: Tensor, or a mapping, list or tuple that holds such; others are handed on.
    """
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, ModelOutput):
        return type(value)(**{key: without_gradient(value[key]) for key in value})
    if isinstance(value, Mapping):
        return {key: without_gradient(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_gradient(item) for item in value)
    return value
