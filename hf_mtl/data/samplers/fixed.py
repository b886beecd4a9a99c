# SPDX-License-Identifier: Apache-2.0
"""Rates that the user gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from hf_mtl._checks import check_same_names
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_name import check_probabilities, rates_by_name
from hf_mtl.data.samplers.by_rate import RandomSampler

__all__ = ["FixedSampler"]


@SAMPLERS.register("fixed")
@final
@dataclass(frozen=True)
class FixedSampler(RandomSampler):
    """Draws examples with given probabilities, whatever the sources' sizes.

    An epoch has as many rows as the sources have together.

    Args:
        probabilities: A number for each source by its name, relative to the others: 1 and 3 are
            a quarter and three quarters.

    Raises:
        TypeError: If they are no mapping to numbers.
        ValueError: If one of them is 0 or less: the source's tasks would never be trained.

    Example:
        >>> sizes = [SourceSize(900, 8, name="news"), SourceSize(100, 8, name="reviews")]
        >>> FixedSampler({"news": 1, "reviews": 3}).rates(sizes)
        [0.25, 0.75]

    Source:
        ``probabilities`` of ``datasets.interleave_datasets``; in examples, whatever the batch size.
    """

    needs_sizes: ClassVar[bool] = False

    probabilities: Mapping[str, float]

    def __post_init__(self) -> None:
        check_probabilities("probabilities", self.probabilities)
        if never := sorted(source for source, value in self.probabilities.items() if not value):
            raise ValueError(
                f"`probabilities` must be above 0, but {never} would never be trained. Remove "
                f"these sources from the suite, or give them a number above 0."
            )

    def check_sources(self, names: Sequence[str]) -> None:
        check_same_names("probabilities", self.probabilities, names, "source")

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return rates_by_name(self.probabilities, sizes)
