# SPDX-License-Identifier: Apache-2.0
"""Weights that users give to some of a task's labels."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hf_mtl._checks import check_known
from hf_mtl._numbers import check_positive
from hf_mtl.tasks import TaskSpec, labelled_mask

__all__ = ["check_class_weights", "check_class_weights_of", "labelled_weight", "weight_by_class"]


def check_class_weights(name: str, weights: object) -> None:
    """Raises unless these are positive numbers by the name of a label, or ``None``.

    Args:
        name: The argument that the user passed.
        weights: What was passed.

    Raises:
        TypeError: If it is no mapping, or a weight no number.
        ValueError: If a weight is not positive.
    """
    if weights is None:
        return
    if not isinstance(weights, Mapping):
        raise TypeError(f"`{name}` must be a mapping from labels to weights, but got {weights!r}.")
    for label, weight in weights.items():
        check_positive(f"{name}.{label}", weight)


def check_class_weights_of(name: str, weights: Mapping[str, float] | None, spec: TaskSpec) -> None:
    """Raises ``KeyError`` if a label is none of the task's, as far as these are known.

    Args:
        name: The argument that the user passed.
        weights: What was passed.
        spec: The task.
    """
    if spec.labels is not None:
        for label in weights or ():
            check_known(f"label in `{name}`", label, spec.labels)


def weight_by_class(
    weights: Mapping[str, float] | None, names: Sequence[str], like: Tensor
) -> Tensor | None:
    """Weight of each label in the order of the ids: ``[C]``, 1 where none is given.

    Args:
        weights: Weights by label; ``None``: there are none.
        names: Label names of the task.
        like: A tensor on the device, of the dtype that the weights are to have.
    """
    if not weights:
        return None
    return torch.tensor(
        [weights.get(name, 1.0) for name in names], device=like.device, dtype=like.dtype
    )


def labelled_weight(
    weights: Mapping[str, float] | None, names: Sequence[str], labels: Tensor
) -> Tensor:
    """Sum of the weights of the labelled elements: a scalar.

    Args:
        weights: Weights by label; ``None``: each is 1.
        names: Label names of the task.
        labels: Class of each element, ``[...]``.
    """
    mask = labelled_mask(labels)
    by_class = weight_by_class(weights, names, torch.zeros((), device=labels.device).double())
    return mask.sum() if by_class is None else by_class[labels[mask]].sum()
