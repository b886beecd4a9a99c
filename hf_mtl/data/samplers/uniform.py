# SPDX-License-Identifier: Apache-2.0
"""Every source alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from hf_mtl.data.samplers.base import SAMPLERS, SourceSize, TaskSampler
from hf_mtl.data.samplers.by_rate import num_draws_at, random_draws_at, shares

__all__ = ["UniformSampler"]


@SAMPLERS.register("uniform")
@final
@dataclass(frozen=True)
class UniformSampler(TaskSampler):
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

    def num_draws(self, sizes: Sequence[SourceSize]) -> int:
        return num_draws_at(self.rates(sizes), sizes, sum(size.num_rows for size in sizes))

    def draws(self, sizes: Sequence[SourceSize], generator: torch.Generator) -> Iterator[int]:
        return random_draws_at(self.rates(sizes), sizes, self.num_draws(sizes), generator)

    def rates(self, sizes: Sequence[SourceSize]) -> list[float]:
        return shares([1.0] * len(sizes))
