# SPDX-License-Identifier: Apache-2.0
"""Sources by their size, flattened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hf_mtl._numbers import check_positive
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import RandomSampler, capped_rows, power_rates

__all__ = ["TemperatureSampler"]


@SAMPLERS.register("temperature")
@final
@dataclass(frozen=True)
class TemperatureSampler(RandomSampler):
    """Draws examples at rates proportional to the sources' sizes to the power ``1 / temperature``.

    Between proportional and uniform: small sources are seen more often than their size would give
    them. An epoch has as many rows as the sources have together (after the cap), but a small
    source may come several times and a large one in part.

    Args:
        temperature: 1 keeps the proportions of the sizes; the larger, the more equal the rates.
        cap: Size at which larger sources count, before the power is taken; ``None``: their own.

    Raises:
        TypeError: If the temperature is no number or the cap no whole number.
        ValueError: If one of them is not positive.

    Example:
        >>> sizes = [SourceSize(num_rows=900, batch_size=8), SourceSize(num_rows=100, batch_size=8)]
        >>> TemperatureSampler(temperature=2.0).rates(sizes)
        [0.75, 0.25]

    Source:
        Raffel et al. 2020, JMLR 21(140), section 3.5.2 (temperature-scaled mixing); 2 is their
        choice. The exponent 0.3 of multilingual models is a temperature of 3.33.
    """

    temperature: float = 2.0
    cap: int | None = None

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)
        if self.cap is not None:
            check_positive("cap", self.cap, whole=True)

    def epoch_rows(self, sizes: Sequence[SourceSize]) -> int:
        return sum(capped_rows(sizes, self.cap))

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return power_rates(capped_rows(sizes, self.cap), 1 / self.temperature)
