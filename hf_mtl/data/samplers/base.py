# SPDX-License-Identifier: Apache-2.0
"""What a task sampler is, what it is told about the sources, and the registry of samplers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from hf_mtl._numbers import check_positive
from hf_mtl._registry import Registry

__all__ = ["SAMPLERS", "SourceSize", "TaskSampler"]


@dataclass(frozen=True)
class SourceSize:
    """How much a source holds and how much of it one draw takes.

    Args:
        num_rows: Rows of the source.
        batch_size: Rows of one draw, over all ranks and micro-batches. The last draw of a pass
            takes what is left.
        is_stream: Whether the source is a stream: its rows are positions that are counted on
            without end, and ``num_rows`` only says how long an epoch is.
        is_nominal: Whether ``num_rows`` only stands for the length of a stream that is not known.

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

    def __post_init__(self) -> None:
        check_positive("num_rows", self.num_rows, whole=True)
        check_positive("batch_size", self.batch_size, whole=True)

    @property
    def num_batches(self) -> int:
        """Draws that take every row once: a pass."""
        return self.draws_for(self.num_rows)

    @property
    def mean_batch_rows(self) -> float:
        """Rows of a draw, averaged over a pass."""
        return self.num_rows / self.num_batches

    def draws_for(self, num_rows: int) -> int:
        """Draws that take at least that many rows."""
        return -(-num_rows // self.batch_size)

    def rows_in(self, num_draws: int) -> int:
        """Rows that so many draws take, pass after pass."""
        passes, rest = divmod(num_draws, self.num_batches)
        return passes * self.num_rows + rest * self.batch_size


class TaskSampler(ABC):
    """Decides which source comes next, and how many draws make an epoch.

    A sampler knows sources by their position only, and holds no state: its draws are a function
    of the sizes and of the generator. Which rows a draw takes is the step plan's business.

    Attributes:
        needs_sizes: Whether the rates depend on how large the sources are, so that a stream of
            unknown length cannot be among them.
    """

    needs_sizes: ClassVar[bool] = True

    @abstractmethod
    def num_draws(self, sizes: Sequence[SourceSize]) -> int:
        """Draws of one epoch, known before the first of them."""

    @abstractmethod
    def draws(self, sizes: Sequence[SourceSize], generator: torch.Generator) -> Iterator[int]:
        """Positions of the sources that one epoch draws, in order; ``num_draws`` of them.

        Args:
            sizes: Size of every source.
            generator: The only randomness that may be used.
        """

    @abstractmethod
    def rates(self, sizes: Sequence[SourceSize]) -> list[float]:
        """Share of each source in the examples of an epoch; the shares add up to 1.

        Examples, not draws: a source with a larger batch is drawn less often for the same rate.
        """


SAMPLERS: Registry[TaskSampler] = Registry("sampler")
