# SPDX-License-Identifier: Apache-2.0
"""How the gradients of the tasks compare, for the log: lengths, cosines, conflicts."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

__all__ = ["GradientLog", "cosines_of", "of_whole_step"]

# Pairs that a line of the log has room for: those of eight tasks.
_ROOM_FOR_PAIRS = 28


def cosines_of(gramian: Tensor) -> Tensor:
    """Cosine between each two gradients: ``[S, S] -> [S, S]``; 0 with one that vanishes."""
    lengths = gramian.diagonal().clamp(min=0).sqrt()
    return (gramian / torch.outer(lengths, lengths)).nan_to_num(0.0, 0.0, 0.0)


def of_whole_step(gramian: Tensor, num_tasks: int) -> Tensor:
    """Inner products of gradients that are summed over parts of a step: ``[K S, K S] -> [S, S]``.

    Args:
        gramian: Those of the gradients on the parts, part by part.
        num_tasks: ``S``.
    """
    num_parts = len(gramian) // num_tasks
    return gramian.view(num_parts, num_tasks, num_parts, num_tasks).sum(dim=(0, 2))


def _shares(gramian: Tensor, weights: Tensor) -> list[float]:
    """Parts of the squared length of a direction, which add up to 1: ``[S, S], [S]``."""
    parts = weights * (gramian @ weights)
    return (parts / parts.sum()).nan_to_num(0.0, 0.0, 0.0).tolist()


class GradientLog:
    """Adds up what is known of the gradients, which is the same on every rank.

    A task, or a pair of tasks, counts a step only if it was present and gradients were compared.

    Attributes:
        most_pairs: Pairs of tasks up to which each has a cosine of its own; ``None``: all.
    """

    is_required = False

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._is_loaded = False
        self.most_pairs: int | None = _ROOM_FOR_PAIRS

    def begin(self) -> None:
        """Begins a run: with what was loaded, or with nothing."""
        if not self._is_loaded:
            self.clear()
        self._is_loaded = False

    def add_step(
        self, tasks: Sequence[str], gramian: Tensor, weights: Sequence[float] | None = None
    ) -> None:
        """Adds one step.

        Args:
            tasks: Its tasks.
            gramian: Inner products of their gradients, ``[S, S]``.
            weights: What each is multiplied by in their mean; ``None``: the direction is no
                weighted mean of them, so that they have no shares in it.
        """
        cosines = cosines_of(gramian).tolist()
        lengths = gramian.diagonal().clamp(min=0).sqrt().tolist()
        values = {f"gradient_norm/{task}": norm for task, norm in zip(tasks, lengths, strict=True)}
        pairs = list(combinations(range(len(tasks)), 2))
        if self.most_pairs is None or len(pairs) <= self.most_pairs:
            values |= {f"cosine/{tasks[i]}/{tasks[j]}": cosines[i][j] for i, j in pairs}
        values["gradient_conflicts"] = sum(cosines[i][j] < 0 for i, j in pairs) / len(pairs)
        if weights is not None:
            shares = _shares(gramian, torch.tensor(weights, dtype=gramian.dtype))
            values |= {f"update_share/{t}": share for t, share in zip(tasks, shares, strict=True)}
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def pop(self) -> dict[str, float]:
        """What belongs into a line of the log; starts anew.

        Returns:
            ``gradient_norm/{task}``: mean length of its gradient; ``cosine/{task}/{other}``: mean
            cosine between two, for up to eight tasks; ``gradient_conflicts``: the mean share of
            pairs that point against each other; ``update_share/{task}``: how much of the length of
            the direction is its gradient's, below 0 where that points against it.
        """
        line = {name: total / self._counts[name] for name, total in self._sums.items()}
        self.clear()
        return line

    def clear(self) -> None:
        """Forgets everything since the last line."""
        self._sums, self._counts = {}, {}

    def state_dict(self) -> dict[str, Any]:
        """What the next line has so far, as plain values."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def merge(self, states: list[Any]) -> Any:
        """That of the run, which is that of every rank."""
        return states[0]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes it back.

        Args:
            state: What ``merge`` gave.
        """
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])
        self._is_loaded = True
