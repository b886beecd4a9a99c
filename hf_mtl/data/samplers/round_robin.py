# SPDX-License-Identifier: Apache-2.0
"""One source after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, final

import torch

from hf_mtl.data.samplers.base import SAMPLERS, WHOLE, SourceSize, Span, TaskSampler
from hf_mtl.data.samplers.by_rate import shares
from hf_mtl.data.samplers.rounds import check_stopping, draws_in_rounds, rounds

__all__ = ["RoundRobinSampler"]


@SAMPLERS.register("round_robin")
@final
@dataclass(frozen=True)
class RoundRobinSampler(TaskSampler):
    """Draws one batch of each source in turn, in the order of the suite.

    Args:
        stopping: When an epoch ends: ``"first_exhausted"``, ``"all_exhausted"`` (small sources
            start again) or ``"all_exhausted_without_replacement"`` (small sources are left out
            once they are through), as in ``datasets.interleave_datasets``.

    Raises:
        KeyError: If the stopping rule is unknown.

    Example:
        >>> sizes = [SourceSize(num_rows=2, batch_size=2), SourceSize(num_rows=6, batch_size=2)]
        >>> list(RoundRobinSampler("all_exhausted").draws(sizes, torch.Generator()))
        [0, 1, 0, 1, 0, 1]

    Source:
        The rules are those of ``datasets.interleave_datasets`` without probabilities, with
        batches in place of rows.
    """

    needs_sizes: ClassVar[bool] = False

    stopping: str = "all_exhausted"

    def __post_init__(self) -> None:
        check_stopping(self.stopping)

    def num_draws(self, sizes: Sequence[SourceSize]) -> int:
        return sum(draws_in_rounds(sizes, self.stopping))

    def draws(
        self, sizes: Sequence[SourceSize], generator: torch.Generator, span: Span = WHOLE
    ) -> Iterator[int]:
        del generator
        return chain.from_iterable(rounds(sizes, self.stopping))

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        draws = draws_in_rounds(sizes, self.stopping)
        return shares([size.rows_in(count) for size, count in zip(sizes, draws, strict=True)])
