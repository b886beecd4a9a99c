# SPDX-License-Identifier: Apache-2.0
"""How many parameters a model has, whoever holds them."""

from torch import nn

__all__ = ["num_parameters"]


def num_parameters(model: nn.Module) -> int:
    """Elements of all parameters of a model, also where ranks hold a part of each.

    A parameter that ZeRO-3 has split looks empty, and says its own size.

    Args:
        model: The model.
    """
    return sum(
        int(getattr(parameter, "ds_numel", parameter.numel())) for parameter in model.parameters()
    )
