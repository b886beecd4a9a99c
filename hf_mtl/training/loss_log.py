# SPDX-License-Identifier: Apache-2.0
"""Mean loss of every task since the last line of the log."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from hf_mtl.training.ranks import Ranks

__all__ = ["LossLog", "added"]


def added(losses: Mapping[str, Tensor], more: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Losses of one step so far, with those of one more forward; no device is waited for."""
    together = dict(losses)
    for task, loss in more.items():
        value = loss.detach().to(torch.promote_types(loss.dtype, torch.float32))
        together[task] = together[task] + value if task in together else value
    return together


class LossLog:
    """Adds up task losses where they are computed, and reads them once for each line of the log.

    A task counts a step only if it was present.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, float] = {}
        self._steps: dict[str, int] = {}
        self._skipped: dict[str, int] = {}

    def add_step(
        self, losses: Mapping[str, Tensor], weights: Mapping[str, float] | None = None
    ) -> None:
        """Adds one step.

        Args:
            losses: This rank's share of the loss of each task.
            weights: Weight of each task, the same on every rank; ``None``: they never change.
        """
        self._sums = added(self._sums, losses)
        for task, weight in (weights or {}).items():
            self._weights[task] = self._weights.get(task, 0.0) + weight
        for task in losses:
            self._steps[task] = self._steps.get(task, 0) + 1

    def add_skipped(self, tasks: Iterable[str]) -> None:
        """Counts a step in which the loss of these tasks was not finite."""
        for task in tasks:
            self._skipped[task] = self._skipped.get(task, 0) + 1

    def pop(self, ranks: Ranks) -> dict[str, float]:
        """What belongs into a line of the log; starts anew.

        Args:
            ranks: The ranks of the run; all must call this.

        Returns:
            ``loss/{task}``: the mean over the steps in which the task was present;
            ``weight/{task}``: its mean weight in them, where weights change;
            ``nonfinite/{task}``: steps in which its loss was not finite, if there were any.
        """
        values = torch.stack(list(self._sums.values())).tolist() if self._sums else []
        totals = dict(zip(self._sums, ranks.sum(values), strict=True))
        line = {f"loss/{task}": total / self._steps[task] for task, total in totals.items()}
        line |= {f"weight/{task}": w / self._steps[task] for task, w in self._weights.items()}
        line |= {f"nonfinite/{task}": float(count) for task, count in self._skipped.items()}
        self.clear()
        return line

    def clear(self) -> None:
        """Forgets everything since the last line."""
        for counts in (self._sums, self._weights, self._steps, self._skipped):
            counts.clear()

    def state_dict(self) -> dict[str, Any]:
        """What the next line has so far on this rank, as plain values."""
        sums = {task: float(total) for task, total in self._sums.items()}
        counts: dict[str, Any] = {"steps": dict(self._steps), "skipped": dict(self._skipped)}
        counts["is_double"] = any(each.dtype == torch.float64 for each in self._sums.values())
        return {"sums": sums, "weights": dict(self._weights), **counts}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Takes it back.

        Args:
            state: What ``state_dict`` gave.
            device: Where losses are computed.
        """
        dtype = torch.float64 if state.get("is_double") else torch.float32
        self._sums = {
            task: torch.tensor(total, device=device, dtype=dtype)
            for task, total in state["sums"].items()
        }
        self._weights = dict(state.get("weights", {}))  # not known to the first checkpoints
        self._steps = dict(state["steps"])
        self._skipped = dict(state["skipped"])
