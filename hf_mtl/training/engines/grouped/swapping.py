# SPDX-License-Identifier: Apache-2.0
"""Other tensors in the place of parameters, while a layer's own code runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

__all__ = ["Place", "own_parameters", "swapped"]

Place = tuple[nn.Module, str]


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters of a module itself, by name; those of its children are left out."""
    # Not by `named_parameters`, which takes many times as long, for every module in every step.
    return {key: each for key, each in module._parameters.items() if each is not None}


@contextmanager
def swapped(tensors: Mapping[Place, Tensor]) -> Iterator[None]:
    """Context in which these attributes of modules are other tensors.

    Args:
        tensors: By module and name of its parameter.
    """
    held = {place: place[0]._parameters[place[1]] for place in tensors}
    try:
        for (module, name), tensor in tensors.items():
            # Not by setattr, which takes nothing but parameters here.
            cast(dict[str, Any], module._parameters)[name] = tensor
        yield
    finally:
        for (module, name), parameter in held.items():
            module._parameters[name] = parameter
