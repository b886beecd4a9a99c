# SPDX-License-Identifier: Apache-2.0
"""Rates that a run has settled for its segments: what it has drawn by, and will draw by next."""

from collections.abc import Iterator, Sequence

__all__ = ["SettledRates"]


class SettledRates:
    """Rates of an adaptive sampler by segment of a run, the same on every rank.

    With those of all segments of an epoch, a run that is resumed knows what was drawn before it.

    Example:
        >>> settled = SettledRates()
        >>> settled.settle(0, [0.5, 0.5])
        >>> settled.settle(1, [0.9, 0.1])
        >>> list(settled.between(8, 13, every=10))  # segment, steps in it, its rates
        [(0, 2, [0.5, 0.5]), (1, 3, [0.9, 0.1])]
    """

    def __init__(self) -> None:
        self._rates: dict[int, list[float]] = {}

    def __bool__(self) -> bool:
        return bool(self._rates)

    def settle(self, segment: int, rates: Sequence[float]) -> None:
        """Says what a segment is drawn by; to be called before anything of it is drawn."""
        self._rates[segment] = list(rates)

    def of(self, segment: int) -> list[float]:
        """Rates of a segment; of one before the first that is known, those of that one."""
        # A run that does not skip what it has seen draws from the start of an epoch on.
        return self._rates[max(segment, min(self._rates))]

    def between(
        self, first_step: int, end_step: int, *, every: int
    ) -> Iterator[tuple[int, int, list[float]]]:
        """Segments of some steps, and the number of these in each, and its rates.

        Each is looked up when it is asked for, so that later ones need not be settled yet.

        Args:
            first_step: The first of the steps, counted from the start of the run.
            end_step: The step behind the last.
            every: Steps of a segment.
        """
        for segment in range(first_step // every, -(-end_step // every)):
            begin, end = max(first_step, segment * every), min(end_step, (segment + 1) * every)
            yield segment, end - begin, self.of(segment)

    def forget_before(self, segment: int) -> None:
        """Forgets segments that nobody will draw again."""
        self._rates = {known: each for known, each in self._rates.items() if known >= segment}

    def clear(self) -> None:
        """Forgets all of them."""
        self._rates = {}

    def state_dict(self) -> list[tuple[int, list[float]]]:
        """All that is known, as plain values."""
        return list(self._rates.items())

    def load_state_dict(self, state: Sequence[tuple[int, Sequence[float]]]) -> None:
        """Takes it back.

        Args:
            state: What ``state_dict`` gave.
        """
        self._rates = {segment: list(rates) for segment, rates in state}
