# SPDX-License-Identifier: Apache-2.0
"""What a task sampler is, what it is told about the sources, and the registry of samplers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import mul
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hf_mtl._numbers import check_positive
from hf_mtl._registry import Registry
from hf_mtl.data.token_batches import TokenBatches

__all__ = [
    "NUM_PARTS",
    "SAMPLERS",
    "WHOLE",
    "SourceSize",
    "Span",
    "TaskSampler",
    "draw_odds",
    "draws_per_row",
    "middle_of",
]


FloatArray = NDArray[np.float64]

NUM_PARTS = 100
"""Parts of a training within which changing rates are constant."""


def middle_of(part: int) -> float:
    """Progress of the training in the middle of a part of it."""
    return (part + 0.5) / NUM_PARTS


@dataclass(frozen=True)
class SourceSize:
    """How much a source holds and how much of it one draw takes.

    Args:
        num_rows: Rows of the source.
        batch_size: Rows of one draw, over all ranks and micro-batches. The last draw of a pass
            takes what is left. With ``token_batches`` the most that one takes.
        is_stream: Whether the source is a stream: its rows are positions that are counted on
            without end, and ``num_rows`` only says how long an epoch is.
        is_nominal: Whether ``num_rows`` only stands for the length of a stream that is not known.
        name: Name of the source, for samplers that users tell about sources by name.
        token_batches: How a pass is cut into draws under a token budget; ``None``: by rows.

    Raises:
        TypeError: If one of them is no whole number.
        ValueError: If one of them is not positive.

    Example:
        >>> SourceSize(num_rows=10, batch_size=4).num_batches
        3
    """

    num_rows: int
    batch_size: int
    is_stream: bool = False
    is_nominal: bool = False
    name: str = ""
    token_batches: TokenBatches | None = None

    def __post_init__(self) -> None:
        check_positive("num_rows", self.num_rows, whole=True)
        check_positive("batch_size", self.batch_size, whole=True)

    @property
    def num_batches(self) -> int:
        """Draws that take every row once: a pass."""
        return (
            -(-self.num_rows // self.batch_size)
            if self.token_batches is None
            else len(self.token_batches)
        )

    @property
    def mean_batch_rows(self) -> float:
        """Rows of a draw, averaged over a pass."""
        return self.num_rows / self.num_batches

    def draws_for(self, num_rows: int) -> int:
        """Draws that take at least that many rows; under a token budget on average."""
        if self.token_batches is None:
            return -(-num_rows // self.batch_size)
        return -(-num_rows * self.num_batches // self.num_rows)

    def rows_in(self, num_draws: int) -> int:
        """Rows that so many draws take, pass after pass; under a token budget on average."""
        passes, rest = divmod(num_draws, self.num_batches)
        if self.token_batches is None:
            return passes * self.num_rows + rest * self.batch_size
        return passes * self.num_rows + round(rest * self.mean_batch_rows)


@dataclass(frozen=True)
class Span:
    """The part of the training that an epoch is: progress at its begin and at its end.

    Progress is 0 at the first draw of the training and 1 after the last one. An epoch that the
    training does not finish ends beyond 1.

    Args:
        start: Progress at the begin.
        end: Progress at the end.
    """

    start: float
    end: float

    def at(self, share: FloatArray) -> FloatArray:
        """Progress of the training when shares of the epoch are done."""
        return self.start + share * (self.end - self.start)


WHOLE = Span(0.0, 1.0)
"""A training of one epoch."""


def draws_per_row(rates: Sequence[float], sizes: Sequence[SourceSize]) -> float:
    """Draws that it takes on average to get one row if examples come at these rates.

    A draw of source m takes b_m rows and happens with probability proportional to r_m / b_m, so
    that it takes sum(r) / sum(r / b) rows on average, and sum(r) is 1.
    """
    return sum(draw_odds(rates, sizes))


def draw_odds(rates: Sequence[float], sizes: Sequence[SourceSize]) -> list[float]:
    """Odds of a draw of each source such that examples come at some rates.

    A source with larger batches is drawn less often for them.
    """
    return [rate / size.mean_batch_rows for rate, size in zip(rates, sizes, strict=True)]


class TaskSampler(ABC):
    """Decides which source comes next, and how many draws make an epoch.

    A sampler knows sources by position, and by name where users tell it about them. It holds no
    state: its draws are a function of the sizes, of the generator and of how far the training is.
    Which rows a draw takes is the step plan's business.

    Attributes:
        needs_sizes: Whether the rates depend on how large the sources are, so that a stream of
            unknown length cannot be among them.
    """

    needs_sizes: ClassVar[bool] = True

    @property
    def changes(self) -> bool:
        """Whether the rates change with the progress of the training."""
        return False

    def check_sources(self, names: Sequence[str]) -> None:  # noqa: B027  # nothing to check
        """Raises unless the sampler fits these sources; one that knows them by name says more.

        Args:
            names: Names of the sources.

        Raises:
            ValueError: If a source is missing in what the user wrote, or is none of these.
        """

    @abstractmethod
    def num_draws(self, sizes: Sequence[SourceSize]) -> int:
        """Draws of one epoch, known before the first of them and the same for every epoch."""

    @abstractmethod
    def draws(
        self, sizes: Sequence[SourceSize], generator: torch.Generator, span: Span = WHOLE
    ) -> Iterator[int]:
        """Positions of the sources that one epoch draws, in order; ``num_draws`` of them.

        Args:
            sizes: Size of every source.
            generator: The only randomness that may be used.
            span: The part of the training that the epoch is.
        """

    @abstractmethod
    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        """Share of each source in the examples; the shares add up to 1.

        Examples, not draws: a source with a larger batch is drawn less often for the same rate.

        Args:
            sizes: Size of every source.
            progress: How far the training is, from 0 to 1.
        """

    def mean_rates(self, sizes: Sequence[SourceSize]) -> list[float]:
        """Share of each source in the examples of the whole training."""
        if not self.changes:
            return self.rates(sizes)
        by_part = [self.rates(sizes, middle_of(part)) for part in range(NUM_PARTS)]
        # Parts are equally long in draws, so that those with large batches give more examples.
        rows = [1 / draws_per_row(rates, sizes) for rates in by_part]
        return [sum(map(mul, each, rows)) / sum(rows) for each in zip(*by_part, strict=True)]


SAMPLERS: Registry[TaskSampler] = Registry("sampler")
