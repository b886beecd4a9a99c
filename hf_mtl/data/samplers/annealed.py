# SPDX-License-Identifier: Apache-2.0
"""From the sources' sizes towards equal rates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hf_mtl._numbers import check_interval
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import RandomSampler, power_rates

__all__ = ["AnnealedSampler"]


@SAMPLERS.register("annealed")
@final
@dataclass(frozen=True)
class AnnealedSampler(RandomSampler):
    """Draws examples in proportion to the sources' sizes at first, and ever more alike later.

    The power of the sizes falls from 1 to ``end_alpha`` with the progress of the training: large
    sources shape the backbone early, and small ones are not forgotten at the end. An epoch has as
    many rows as the sources have together.

    Args:
        end_alpha: The power at the end of the training, from 0 (every source alike) to 1
            (proportional, as at its begin).

    Raises:
        TypeError: If the power is no number.
        ValueError: If the power is not in 0 to 1.

    Example:
        >>> sizes = [SourceSize(num_rows=900, batch_size=8), SourceSize(num_rows=100, batch_size=8)]
        >>> sampler = AnnealedSampler(end_alpha=0.5)
        >>> [round(sampler.rates(sizes, progress)[0], 2) for progress in (0.0, 1.0)]
        [0.9, 0.75]

    Source:
        Stickland and Murray 2019, "BERT and PALs", section 3.3, https://arxiv.org/abs/1902.02671
        ("annealed sampling"), where the power is 1 - 0.8 (e - 1) / (E - 1) in epoch e of E. Here it
        falls draw by draw, so that it does so in a training of one epoch too.
    """

    end_alpha: float = 0.2

    def __post_init__(self) -> None:
        check_interval("end_alpha", self.end_alpha, "[0, 1]")

    @property
    def changes(self) -> bool:
        return True

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        alpha = 1 - (1 - self.end_alpha) * progress
        return power_rates([size.num_rows for size in sizes], alpha)
