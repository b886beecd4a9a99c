# SPDX-License-Identifier: Apache-2.0
"""Mean loss of every task since the last line of the log."""

from collections.abc import Iterable, Mapping

from torch import Tensor

__all__ = ["LossLog"]


class LossLog:
    """Adds up task losses where they are computed, and reads them once for each line of the log.

    The loss of a step is spread over its forwards; a task counts a step only if it was present.
    """

    def __init__(self) -> None:
        self._sum_by_task: dict[str, Tensor] = {}
        self._steps_by_task: dict[str, int] = {}

    def start_step(self, tasks: Iterable[str]) -> None:
        """Counts a step for the tasks that are present in it."""
        for task in tasks:
            self._steps_by_task[task] = self._steps_by_task.get(task, 0) + 1

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Adds the losses of one forward, without waiting for the device."""
        for task, loss in losses.items():
            value = loss.detach().float()
            previous = self._sum_by_task.get(task)
            self._sum_by_task[task] = value if previous is None else previous + value

    def pop(self) -> dict[str, float]:
        """Mean loss of each task over the steps in which it was present; starts anew."""
        means = {
            task: float(total) / self._steps_by_task[task]
            for task, total in self._sum_by_task.items()
        }
        self._sum_by_task.clear()
        self._steps_by_task.clear()
        return means
