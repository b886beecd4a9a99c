# SPDX-License-Identifier: Apache-2.0
"""What a run has logged of the gradients of its tasks, step by step."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import inf, sqrt
from statistics import mean, median, stdev
from typing import Any

from scipy.stats import t as student

__all__ = ["Diagnosis", "Pair"]

# Of fewer steps nothing is said: their scatter is hardly known.
_LEAST_STEPS = 5
_CONFIDENCE = 0.95

Series = Mapping[int, float]
"""A number for each step in which it is known."""


@dataclass(frozen=True)
class Pair:
    """How the gradients of two tasks compare over a run.

    Attributes:
        tasks: The two.
        cosine: Mean cosine between them.
        error: Standard error of that mean over steps, as if these were independent; infinite
            where there was one.
        margin: How far the mean may be from what more steps would give, at 95% for all pairs of
            the diagnosis together; infinite where there were fewer than 5 steps.
        conflicts: Share of the steps in which it was below 0.
        num_steps: Steps in which both were present and compared.
    """

    tasks: tuple[str, str]
    cosine: float
    error: float
    margin: float
    conflicts: float
    num_steps: int

    @property
    def is_in_conflict(self) -> bool:
        """Whether the two point against each other on average, beyond what chance explains."""
        return self.cosine + self.margin < 0

    def agrees(self, least: float) -> bool:
        """Whether the mean cosine is above a bound, beyond what chance explains.

        Args:
            least: The bound.
        """
        return self.cosine - self.margin > least

    def may_conflict(self, least: float) -> bool:
        """Whether too little was seen to tell a conflict from none.

        Args:
            least: Size of the cosine of a conflict that would matter.
        """
        return not self.is_in_conflict and self.cosine - self.margin < -least


@dataclass(frozen=True)
class Diagnosis:
    """How the gradients of the tasks of a run compare.

    Args:
        tasks: The tasks that were compared.
        norms: Length of the gradient of each, by step.
        shares: Share of each in the squared length of the direction, by step.
        cosines: Cosine between each two, by step.
        compared: What was compared, in words.
        changes: What was changed in the recipe for it, each ``name: value``.
    """

    tasks: Sequence[str]
    norms: Mapping[str, Series]
    shares: Mapping[str, Series]
    cosines: Mapping[tuple[str, str], Series]
    compared: str = "gradients of the shared parameters"
    changes: Sequence[str] = ()

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
        # Among many pairs some look unlike 0 by chance: by Bonferroni each gets its part of what
        # may go wrong.
        num_judged = sum(len(series) >= _LEAST_STEPS for series in self.cosines.values())
        found = [
            _pair(tasks, list(series.values()), num_judged)
            for tasks, series in self.cosines.items()
        ]
        return sorted(found, key=lambda pair: pair.cosine)

    @property
    def mean_norms(self) -> dict[str, float]:
        """Mean length of the gradient of each task."""
        return {task: mean(series.values()) for task, series in self.norms.items()}

    @property
    def median_shares(self) -> dict[str, float]:
        """Median share of each task in the direction; none where that is no weighted mean.

        Not the mean: where gradients nearly cancel, a step has shares of any size.
        """
        return {task: median(series.values()) for task, series in self.shares.items() if series}


def _series(lines: Iterable[Mapping[str, Any]], key: str) -> Series:
    return {int(line["step"]): float(line[key]) for line in lines if key in line}


def _pairs(tasks: Sequence[str]) -> list[tuple[str, str]]:
    return list(combinations(tasks, 2))


def _pair(tasks: tuple[str, str], values: Sequence[float], num_judged: int) -> Pair:
    num_steps = len(values)
    error = stdev(values) / sqrt(num_steps) if num_steps > 1 else inf
    return Pair(
        tasks,
        cosine=mean(values),
        error=error,
        margin=_margin(error, num_steps, num_judged),
        conflicts=sum(value < 0 for value in values) / num_steps,
        num_steps=num_steps,
    )


def _margin(error: float, num_steps: int, num_judged: int) -> float:
    """Half the width of a confidence interval that holds for all pairs together."""
    if num_steps < _LEAST_STEPS:
        return inf
    return error * _quantile(1 - (1 - _CONFIDENCE) / 2 / num_judged, num_steps - 1)


@cache
def _quantile(probability: float, degrees_of_freedom: int) -> float:
    return float(student.ppf(probability, degrees_of_freedom))
