# SPDX-License-Identifier: Apache-2.0
"""From rates in examples to random draws, whatever the batch sizes."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from hf_mtl.data.samplers.base import (
    NUM_PARTS,
    WHOLE,
    SourceSize,
    Span,
    TaskSampler,
    draw_odds,
    draws_per_row,
    middle_of,
)

__all__ = [
    "RandomSampler",
    "capped_rows",
    "epoch_rows",
    "power_rates",
    "random_draws",
    "shares",
]


def capped_rows(sizes: Sequence[SourceSize], cap: int | None) -> list[int]:
    """Rows of each source that count: all of them, or at most ``cap``."""
    return [size.num_rows if cap is None else min(size.num_rows, cap) for size in sizes]


def shares(amounts: Sequence[float]) -> list[float]:
    """The amounts divided by their sum."""
    total = sum(amounts)
    return [amount / total for amount in amounts]


def power_rates(rows: Sequence[int], exponent: float) -> list[float]:
    """Rates proportional to a power of the rows."""
    # Relative to the largest, because a large exponent overflows on plain row counts.
    return shares([(count / max(rows)) ** exponent for count in rows])


def random_draws(
    rates: Sequence[float],
    sizes: Sequence[SourceSize],
    num_draws: int,
    generator: torch.Generator,
) -> list[int]:
    """Independent draws of positions of sources, such that examples come at the rates."""
    odds = torch.tensor(draw_odds(rates, sizes), dtype=torch.float64)
    drawn: list[int] = torch.multinomial(
        odds, num_draws, replacement=True, generator=generator
    ).tolist()
    return drawn


def epoch_rows(sampler: TaskSampler, sizes: Sequence[SourceSize]) -> int:
    """Rows that an epoch of a sampler takes, on average; at least one."""
    return max(1, round(sampler.num_draws(sizes) / draws_per_row(sampler.mean_rates(sizes), sizes)))


class RandomSampler(TaskSampler):
    """Independent draws such that examples come at the rates, which a subclass says.

    An epoch has as many draws as take about ``epoch_rows`` rows. Rates that change are constant
    within each hundredth of the training.
    """

    def epoch_rows(self, sizes: Sequence[SourceSize]) -> int:
        """Rows of an epoch: those of all sources, unless a subclass counts them otherwise."""
        return sum(size.num_rows for size in sizes)

    def num_draws(self, sizes: Sequence[SourceSize]) -> int:
        per_row = draws_per_row(self.mean_rates(sizes), sizes)
        return max(1, round(self.epoch_rows(sizes) * per_row))

    def draws(
        self, sizes: Sequence[SourceSize], generator: torch.Generator, span: Span = WHOLE
    ) -> Iterator[int]:
        for part, num_draws in self._draws_by_part(self.num_draws(sizes), span):
            rates = self.rates(sizes, middle_of(part))
            yield from random_draws(rates, sizes, num_draws, generator)

    def _draws_by_part(self, num_draws: int, span: Span) -> list[tuple[int, int]]:
        """Parts of the training that an epoch has draws in, and how many."""
        if not self.changes:
            return [(0, num_draws)]
        progress = span.at((np.arange(num_draws) + 0.5) / num_draws)
        parts = np.minimum((progress * NUM_PARTS).astype(np.int64), NUM_PARTS - 1)
        return list(Counter(parts.tolist()).items())
