# SPDX-License-Identifier: Apache-2.0
"""Sources in proportion to their size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch

from hf_mtl._numbers import check_positive
from hf_mtl.data.samplers.base import SAMPLERS, WHOLE, SourceSize, Span, TaskSampler
from hf_mtl.data.samplers.by_rate import capped_rows, shares

__all__ = ["ProportionalSampler"]


@SAMPLERS.register("proportional")
@final
@dataclass(frozen=True)
class ProportionalSampler(TaskSampler):
    """Draws every row of every source once an epoch, in shuffled order.

    With a cap, a source gives at most that many rows an epoch (others each time), so that a large
    one does not crowd out the rest.

    Args:
        cap: Most rows that a source gives in an epoch; ``None``: all of them. The last draw is
            not cut, so a few rows more may come.

    Raises:
        TypeError: If the cap is no whole number.
        ValueError: If the cap is not positive.

    Example:
        >>> sizes = [SourceSize(num_rows=100, batch_size=10), SourceSize(num_rows=20, batch_size=5)]
        >>> ProportionalSampler().num_draws(sizes)
        14
        >>> ProportionalSampler(cap=30).rates(sizes)
        [0.6, 0.4]

    Source:
        Raffel et al. 2020, JMLR 21(140), section 3.5.2 (examples-proportional mixing). Drawn
        without replacement, so that the rates hold exactly and not on average.
    """

    cap: int | None = None

    def __post_init__(self) -> None:
        if self.cap is not None:
            check_positive("cap", self.cap, whole=True)

    def num_draws(self, sizes: Sequence[SourceSize]) -> int:
        return sum(self._draws_by_source(sizes))

    def draws(
        self, sizes: Sequence[SourceSize], generator: torch.Generator, span: Span = WHOLE
    ) -> Iterator[int]:
        counts = torch.tensor(self._draws_by_source(sizes))
        sources = torch.repeat_interleave(torch.arange(len(sizes)), counts)
        yield from sources[torch.randperm(len(sources), generator=generator)].tolist()

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return shares(capped_rows(sizes, self.cap))

    def _draws_by_source(self, sizes: Sequence[SourceSize]) -> list[int]:
        rows = capped_rows(sizes, self.cap)
        return [size.draws_for(num_rows) for size, num_rows in zip(sizes, rows, strict=True)]
