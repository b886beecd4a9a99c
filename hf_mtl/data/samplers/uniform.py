# SPDX-License-Identifier: Apache-2.0
"""Every source alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import RandomSampler, shares

__all__ = ["UniformSampler"]


@SAMPLERS.register("uniform")
@final
@dataclass(frozen=True)
class UniformSampler(RandomSampler):
    """Draws as many examples of each source, at random, whatever their sizes.

    Choose ``round_robin`` for equal numbers of draws in a fixed order. An epoch has as many rows
    as the sources have together.

    Example:
        >>> sizes = [SourceSize(num_rows=900, batch_size=8), SourceSize(num_rows=100, batch_size=8)]
        >>> UniformSampler().rates(sizes)
        [0.5, 0.5]

    Source:
        Raffel et al. 2020, JMLR 21(140), section 3.5.2 (equal mixing).
    """

    needs_sizes: ClassVar[bool] = False

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return shares([1.0] * len(sizes))
