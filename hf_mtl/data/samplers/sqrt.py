# SPDX-License-Identifier: Apache-2.0
"""Sources by the square root of their size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import RandomSampler, power_rates

__all__ = ["SqrtSampler"]


@SAMPLERS.register("sqrt")
@final
@dataclass(frozen=True)
class SqrtSampler(RandomSampler):
    """Draws examples at rates proportional to the square root of the sources' sizes.

    A middle way that needs no tuning. An epoch has as many rows as the sources have together.

    Example:
        >>> sizes = [SourceSize(num_rows=900, batch_size=8), SourceSize(num_rows=100, batch_size=8)]
        >>> SqrtSampler().rates(sizes)
        [0.75, 0.25]

    Source:
        Stickland and Murray 2019, "BERT and PALs", section 3.3, https://arxiv.org/abs/1902.02671
        ("square root sampling").
    """

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return power_rates([size.num_rows for size in sizes], 0.5)
