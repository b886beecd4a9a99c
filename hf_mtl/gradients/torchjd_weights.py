# SPDX-License-Identifier: Apache-2.0
"""Weights that torchjd computes: the one place that knows it.

Its weightings take a Gramian. Those that draw random numbers take them from the global generator,
which is put back here.
"""

from typing import Literal

import torch
from torch import Tensor

__all__ = ["aligned_mtl_weights", "pcgrad_weights"]


def aligned_mtl_weights(
    gramian: Tensor, preferences: Tensor, scale: Literal["min", "median", "rmse"]
) -> Tensor:
    """Aligned-MTL: ``[S, S], [S] -> [S]``.

    Args:
        gramian: Inner products of the gradients.
        preferences: Weights of the aligned gradients.
        scale: Length that these get: ``min``, ``median`` or ``rmse`` of the principal components.
    """
    from torchjd.aggregation import AlignedMTLWeighting

    weights: Tensor = AlignedMTLWeighting(preferences, scale_mode=scale)(gramian)
    return weights


def pcgrad_weights(gramian: Tensor, generator: torch.Generator) -> Tensor:
    """PCGrad: ``[S, S] -> [S]``.

    Args:
        gramian: Inner products of gradients that do not vanish.
        generator: Randomness of the orders; it is used up.
    """
    from torchjd.aggregation import PCGradWeighting

    seed = int(torch.randint(2**62, (), generator=generator))
    before = torch.get_rng_state()
    # That of the CPU alone: `torch.manual_seed` would touch the generators of other devices too.
    torch.default_generator.manual_seed(seed)
    try:
        weights: Tensor = PCGradWeighting()(gramian)
    finally:
        torch.set_rng_state(before)
    return weights
