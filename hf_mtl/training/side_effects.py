# SPDX-License-Identifier: Apache-2.0
"""What a forward pass leaves behind besides its output: random numbers drawn, buffers moved."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["RandomState", "random_state", "without_side_effects"]

RandomState = tuple[Tensor, Tensor | None]
"""State of the generator of the host, and of that of a device."""


def random_state(device: torch.device) -> RandomState:
    """Where the generators stand.

    Args:
        device: The device of the run.
    """
    is_host = device.type == "cpu"
    own = None if is_host else torch.get_device_module(device).get_rng_state(device)
    return torch.get_rng_state(), own


def _set_random_state(state: RandomState, device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.get_device_module(device).set_rng_state(state[1], device)


@contextmanager
def without_side_effects(
    model: nn.Module, device: torch.device, start: RandomState | None = None
) -> Iterator[None]:
    """Afterwards generators and buffers are as they were before, such as statistics of a BatchNorm.

    Args:
        model: The model that is run inside.
        device: The device of the run.
        start: Where the generators begin inside; ``None``: where they stand.
    """
    before = random_state(device)
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        if start is not None:
            _set_random_state(start, device)
        yield
    finally:
        _set_random_state(before, device)
        for buffer, value in buffers:
            buffer.copy_(value)
