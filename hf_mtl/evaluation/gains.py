# SPDX-License-Identifier: Apache-2.0
"""What tasks gain by being learned together, over several seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t as student

from hf_mtl.evaluation.aggregates import aggregates, first_metrics
from hf_mtl.tasks import TaskSuite

__all__ = ["HELPED", "HURT", "NOISE", "Estimate", "TaskGain", "delta_m", "task_gains"]

HELPED = "helped"
HURT = "hurt"
NOISE = "within the noise"

_CONFIDENCE = 0.95

Scores = Mapping[str, Sequence[float | None]]
"""Value of the first metric of each task for each seed; ``None`` where it is not defined."""


@dataclass(frozen=True)
class Estimate:
    """A number that was measured once for each seed.

    Args:
        values: The measurements, in the order of the seeds.

    Example:
        >>> Estimate((1.0, 2.0, 3.0)).mean
        2.0
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; ``None`` for one seed."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def margin(self) -> float | None:
        """How far the mean may be from that of ever more seeds, at 95%; ``None`` for one seed.

        Half the width of the interval of Student's distribution.
        """
        if self.deviation is None:
            return None
        num = len(self.values)
        quantile = float(student.ppf((1 + _CONFIDENCE) / 2, num - 1))
        return quantile * self.deviation / sqrt(num)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "margin": self.margin,
            "values": list(self.values),
        }


@dataclass(frozen=True)
class TaskGain:
    """The first metric of one task, trained alone and together with the others.

    Args:
        task: Name of the task.
        metric: Name of the metric.
        greater_is_better: Whether a larger value is the better one.
        alone: Its values for the task alone; ``None`` where one is not defined.
        together: Likewise for all tasks, with the same seeds in the same order.
        constant: That of the best constant answer; ``None`` where it is not defined or not known.
    """

    task: str
    metric: str
    greater_is_better: bool
    alone: Estimate | None
    together: Estimate | None
    constant: float | None = None

    @property
    def gain(self) -> Estimate | None:
        """What the task gains, seed by seed; positive where it is better together."""
        if self.alone is None or self.together is None:
            return None
        sign = 1 if self.greater_is_better else -1
        pairs = zip(self.alone.values, self.together.values, strict=True)
        return Estimate(tuple(sign * (together - alone) for alone, together in pairs))

    @property
    def verdict(self) -> str | None:
        """``"helped"``, ``"hurt"`` or ``"within the noise"``.

        ``None`` where nothing can be said: for one seed, or a metric that is not defined.
        """
        if self.gain is None or self.gain.margin is None:
            return None
        if self.gain.mean > self.gain.margin:
            return HELPED
        return HURT if -self.gain.mean > self.gain.margin else NOISE

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        parts = {"alone": self.alone, "together": self.together, "gain": self.gain}
        return {
            "task": self.task,
            "metric": self.metric,
            "greater_is_better": self.greater_is_better,
            "constant": self.constant,
            **{name: None if part is None else part.to_dict() for name, part in parts.items()},
            "verdict": self.verdict,
        }


def task_gains(
    suite: TaskSuite, *, alone: Scores, together: Scores, constant: Mapping[str, float | None]
) -> tuple[TaskGain, ...]:
    """What each task gains.

    Args:
        suite: The tasks.
        alone: Scores of each trained alone.
        together: Scores of each trained with the others, with the same seeds.
        constant: Score of the best constant answer of some tasks.
    """
    return tuple(
        TaskGain(
            task=task,
            metric=metric.name,
            greater_is_better=metric.greater_is_better,
            alone=_estimate(alone[task]),
            together=_estimate(together[task]),
            constant=constant.get(task),
        )
        for task, metric in first_metrics(suite).items()
    )


def delta_m(suite: TaskSuite, gains: Sequence[TaskGain]) -> Estimate | None:
    """Mean relative gain over the tasks, seed by seed: ``delta_m`` of ``aggregates``.

    Args:
        suite: The tasks.
        gains: What each of them gains.

    Returns:
        ``None`` where it is not defined: a score is not, or one of a task alone is 0.
    """
    alone = {gain.task: gain.alone.values for gain in gains if gain.alone is not None}
    together = {gain.task: gain.together.values for gain in gains if gain.together is not None}
    is_known = len(alone) == len(together) == len(gains)
    if not is_known or any(0 in values for values in alone.values()):
        return None
    num_seeds = len(next(iter(alone.values())))
    return Estimate(
        tuple(
            aggregates(
                suite,
                {task: values[index] for task, values in together.items()},
                {task: values[index] for task, values in alone.items()},
            )["delta_m"]
            for index in range(num_seeds)
        )
    )


def _estimate(values: Sequence[float | None]) -> Estimate | None:
    known = tuple(value for value in values if value is not None)
    return Estimate(known) if len(known) == len(values) else None
