# SPDX-License-Identifier: Apache-2.0
"""What a run has logged of the gradients of its tasks, step by step."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import mean, stdev
from typing import Any

__all__ = ["Diagnosis", "Pair"]

Series = Mapping[int, float]
"""A number for each step in which it is known."""


@dataclass(frozen=True)
class Pair:
    """How the gradients of two tasks compare over a run.

    Attributes:
        tasks: The two.
        cosine: Mean cosine between them.
        error: Standard error of that mean over steps.
        conflicts: Share of the steps in which it was below 0.
    """

    tasks: tuple[str, str]
    cosine: float
    error: float
    conflicts: float

    @property
    def is_in_conflict(self) -> bool:
        """Whether the two point against each other on average, beyond what chance explains."""
        return self.cosine + 2 * self.error < 0


@dataclass(frozen=True)
class Diagnosis:
    """How the gradients of the tasks of a run compare.

    Args:
        tasks: The tasks that were compared.
        norms: Length of the gradient of each, by step.
        shares: Share of each in the squared length of the direction, by step.
        cosines: Cosine between each two, by step.
    """

    tasks: Sequence[str]
    norms: Mapping[str, Series]
    shares: Mapping[str, Series]
    cosines: Mapping[tuple[str, str], Series]

    @classmethod
    def of(cls, log: Iterable[Mapping[str, Any]], tasks: Sequence[str]) -> "Diagnosis":
        """Reads the log of a trainer that logged every step.

        Args:
            log: Its lines.
            tasks: The tasks, in the order of the suite.

        Raises:
            ValueError: If no step compared gradients.
        """
        lines = [line for line in log if "gradient_conflicts" in line]
        if not lines:
            raise ValueError(
                "The run must compare gradients in some step, but no step had two tasks. Set "
                "`tasks_per_step` to 'all', or take more steps."
            )
        norms = {task: _series(lines, f"gradient_norm/{task}") for task in tasks}
        compared = [task for task in tasks if norms[task]]
        pairs = {pair: _series(lines, "cosine/" + "/".join(pair)) for pair in _pairs(compared)}
        return cls(
            tasks=compared,
            norms={task: norms[task] for task in compared},
            shares={task: _series(lines, f"update_share/{task}") for task in compared},
            cosines={pair: series for pair, series in pairs.items() if series},
        )

    @property
    def steps(self) -> list[int]:
        """The steps that compared gradients."""
        return sorted({step for series in self.norms.values() for step in series})

    @property
    def pairs(self) -> list[Pair]:
        """Each two tasks, those that conflict most first."""
        found = [_pair(tasks, list(series.values())) for tasks, series in self.cosines.items()]
        return sorted(found, key=lambda pair: pair.cosine)

    @property
    def mean_norms(self) -> dict[str, float]:
        """Mean length of the gradient of each task."""
        return {task: mean(series.values()) for task, series in self.norms.items()}

    @property
    def mean_shares(self) -> dict[str, float]:
        """Mean share of each task in the direction; none where that is no weighted mean."""
        return {task: mean(series.values()) for task, series in self.shares.items() if series}


def _series(lines: Iterable[Mapping[str, Any]], key: str) -> Series:
    return {int(line["step"]): float(line[key]) for line in lines if key in line}


def _pairs(tasks: Sequence[str]) -> list[tuple[str, str]]:
    return list(combinations(tasks, 2))


def _pair(tasks: tuple[str, str], values: Sequence[float]) -> Pair:
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    conflicts = sum(value < 0 for value in values) / len(values)
    return Pair(tasks, mean(values), error, conflicts)
