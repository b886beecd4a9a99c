# SPDX-License-Identifier: Apache-2.0
"""Whose the parameters of a model are, and how many they are, whoever holds them."""

from torch import nn

__all__ = ["num_parameters", "task_of"]


def num_parameters(model: nn.Module, *, trainable: bool = False) -> int:
    """Elements of the parameters of a model, also where ranks hold a part of each.

    A parameter that ZeRO-3 has split looks empty, and says its own size.

    Args:
        model: The model, or a part of it.
        trainable: Whether only those count that are trained.
    """
    return sum(
        int(getattr(parameter, "ds_numel", parameter.numel()))
        for parameter in model.parameters()
        if parameter.requires_grad or not trainable
    )


def task_of(name: str) -> str | None:
    """Task whose head holds a parameter or buffer; ``None`` for those that all tasks share.

    Args:
        name: Its name in the model.
    """
    parts = name.split(".", maxsplit=2)
    return parts[1] if parts[0] == "heads" and len(parts) == 3 else None
