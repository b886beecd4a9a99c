# SPDX-License-Identifier: Apache-2.0
"""Every source alike, as far as its rows allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hf_mtl._numbers import check_positive
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import RandomSampler, shares

__all__ = ["UniMaxSampler"]


@SAMPLERS.register("unimax")
@final
@dataclass(frozen=True)
class UniMaxSampler(RandomSampler):
    """Draws as many examples of each source, but none more often than a few times an epoch.

    Choose it over ``uniform`` where small sources would be repeated until they are known by heart:
    what they may not give is shared among the larger ones.

    Args:
        max_passes: Passes that an epoch makes through a source at most, on average over draws. For
            a bound on the whole training, divide it by the number of epochs.
        rows_per_epoch: Rows of an epoch, which are shared out; ``None``: as many as the sources
            have together. Where the bound leaves some of them to nobody, the epoch is shorter.

    Raises:
        TypeError: If one of them is no number, or the rows are no whole number.
        ValueError: If one of them is not positive.

    Example:
        >>> sizes = [SourceSize(num_rows=900, batch_size=8), SourceSize(num_rows=100, batch_size=8)]
        >>> UniMaxSampler(max_passes=2).rates(sizes)  # 200 rows of the small one, 800 are left
        [0.8, 0.2]

    Source:
        Chung et al. 2023, "UniMax", algorithm 1, https://arxiv.org/abs/2304.09151, with rows in
        place of characters and epochs in place of the training.
    """

    max_passes: float = 5.0
    rows_per_epoch: int | None = None

    def __post_init__(self) -> None:
        check_positive("max_passes", self.max_passes)
        if self.rows_per_epoch is not None:
            check_positive("rows_per_epoch", self.rows_per_epoch, whole=True)

    def epoch_rows(self, sizes: Sequence[SourceSize]) -> int:
        return max(1, round(sum(self._rows(sizes))))

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return shares(self._rows(sizes))

    def _rows(self, sizes: Sequence[SourceSize]) -> list[float]:
        """Rows that each source gives in an epoch."""
        left: float = self.rows_per_epoch or sum(size.num_rows for size in sizes)
        rows = [0.0] * len(sizes)
        order = sorted(range(len(sizes)), key=lambda source: sizes[source].num_rows)
        for i, source in enumerate(order):
            fair = left / (len(order) - i)
            rows[source] = min(fair, self.max_passes * sizes[source].num_rows)
            left -= rows[source]
        return rows
