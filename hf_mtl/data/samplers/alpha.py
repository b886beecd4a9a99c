# SPDX-License-Identifier: Apache-2.0
"""Sources by a power of their size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hf_mtl._numbers import check_interval
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import RandomSampler, power_rates

__all__ = ["AlphaSampler"]


@SAMPLERS.register("alpha")
@final
@dataclass(frozen=True)
class AlphaSampler(RandomSampler):
    """Draws examples at rates proportional to the sources' sizes to the power ``alpha``.

    The same family as ``temperature``, in the parameter of the multilingual papers: a temperature
    of ``1 / alpha``. An epoch has as many rows as the sources have together.

    Args:
        alpha: The power, from 0 (every source alike) to 1 (proportional).

    Raises:
        TypeError: If alpha is no number.
        ValueError: If alpha is not in 0 to 1.

    Example:
        >>> sizes = [SourceSize(num_rows=900, batch_size=8), SourceSize(num_rows=100, batch_size=8)]
        >>> AlphaSampler(alpha=0.5).rates(sizes)
        [0.75, 0.25]

    Source:
        Xue et al. 2021, "mT5", section 3.2, https://arxiv.org/abs/2010.11934; 0.3 is their choice.
    """

    alpha: float = 0.3

    def __post_init__(self) -> None:
        check_interval("alpha", self.alpha, "[0, 1]")

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return power_rates([size.num_rows for size in sizes], self.alpha)
