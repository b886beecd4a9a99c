# SPDX-License-Identifier: Apache-2.0
"""Tasks alone and together, compared over all seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mtl.evaluation.gains import HURT, Estimate, TaskGain, delta_m, task_gains
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.baselines.kept_runs import KeptRun

__all__ = ["Baselines", "compare"]

_DIGITS = 6


@dataclass(frozen=True)
class Baselines:
    """What the tasks of a recipe gain by being learned together.

    Args:
        seeds: The seeds.
        gains: What each task gains.
        delta_m: Mean relative gain over the tasks; ``None`` where it is not defined.
        steps: Steps of each task alone; fewer are made where a run stops early.
        steps_together: Steps of all tasks together.
        differs: What of the recipe does not hold for a task alone, in words.
        num_trained: Runs that were made for it; the others were there.
        cache: Folder in which the runs are kept.
    """

    seeds: Sequence[int]
    gains: Sequence[TaskGain]
    delta_m: Estimate | None
    steps: Mapping[str, int]
    steps_together: int
    differs: Sequence[str]
    num_trained: int
    cache: Path

    @property
    def hurt(self) -> list[TaskGain]:
        """Tasks that are worse together, beyond the noise; the worst first."""
        found = [gain for gain in self.gains if gain.verdict == HURT]
        return sorted(found, key=lambda gain: gain.gain.mean if gain.gain else 0.0)

    @property
    def baseline_scores(self) -> dict[str, float]:
        """What ``training.baseline_scores`` of a recipe takes: mean score of each task alone.

        Tasks whose score is 0 or not defined are left out: nothing is relative to them.
        """
        means = {gain.task: gain.alone.mean for gain in self.gains if gain.alone is not None}
        return {task: float(f"{mean:.{_DIGITS}g}") for task, mean in means.items() if mean}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "seeds": list(self.seeds),
            "tasks": [{**gain.to_dict(), "steps": self.steps[gain.task]} for gain in self.gains],
            "steps_together": self.steps_together,
            "delta_m": None if self.delta_m is None else self.delta_m.to_dict(),
            "hurt": [gain.task for gain in self.hurt],
            "baseline_scores": self.baseline_scores,
            "differs": list(self.differs),
            "num_trained": self.num_trained,
            "cache": str(self.cache),
        }


def compare(
    suite: TaskSuite, runs: Sequence[KeptRun]
) -> tuple[tuple[TaskGain, ...], Estimate | None]:
    """What each task gains, and the mean relative gain.

    Args:
        suite: The tasks that were trained.
        runs: Runs of all tasks and of each alone, for every seed, in the order of the seeds.
    """
    alone: dict[str, list[float | None]] = {task: [] for task in suite}
    together: dict[str, list[float | None]] = {task: [] for task in suite}
    for run in runs:
        scores = run.first_scores()
        for task in suite if run.task is None else (run.task,):
            (together if run.task is None else alone)[task].append(scores[task])
    gains = task_gains(suite, alone=alone, together=together, constant=runs[0].constant_scores())
    return gains, delta_m(suite, gains)
