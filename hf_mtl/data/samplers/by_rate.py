# SPDX-License-Identifier: Apache-2.0
"""From rates in examples to random draws, whatever the batch sizes."""

from collections.abc import Iterator, Sequence

import torch

from hf_mtl.data.samplers.base import SourceSize

__all__ = ["capped_rows", "draws_per_row", "num_draws_at", "random_draws_at", "shares"]


def capped_rows(sizes: Sequence[SourceSize], cap: int | None) -> list[int]:
    """Rows of each source that count: all of them, or at most ``cap``."""
    return [size.num_rows if cap is None else min(size.num_rows, cap) for size in sizes]


def shares(amounts: Sequence[float]) -> list[float]:
    """The amounts divided by their sum."""
    total = sum(amounts)
    return [amount / total for amount in amounts]


def draws_per_row(rates: Sequence[float], sizes: Sequence[SourceSize]) -> float:
    """Draws that it takes on average to get one row if examples come at these rates.

    A draw of source m takes b_m rows and happens with probability proportional to r_m / b_m, so
    that it takes sum(r) / sum(r / b) rows on average, and sum(r) is 1.
    """
    return sum(rate / size.mean_batch_rows for rate, size in zip(rates, sizes, strict=True))


def num_draws_at(rates: Sequence[float], sizes: Sequence[SourceSize], num_rows: int) -> int:
    """Draws that take about ``num_rows`` rows if examples come at these rates."""
    return max(1, round(num_rows * draws_per_row(rates, sizes)))


def random_draws_at(
    rates: Sequence[float],
    sizes: Sequence[SourceSize],
    num_draws: int,
    generator: torch.Generator,
) -> Iterator[int]:
    """Independent draws such that examples come at these rates."""
    odds = [rate / size.mean_batch_rows for rate, size in zip(rates, sizes, strict=True)]
    yield from torch.multinomial(
        torch.tensor(odds, dtype=torch.float64), num_draws, replacement=True, generator=generator
    ).tolist()
