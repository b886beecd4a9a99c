# SPDX-License-Identifier: Apache-2.0
"""When in the training a task is learned, and how much it counts then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hf_mtl._checks import unknown_name
from hf_mtl._numbers import check_interval, check_not_negative
from hf_mtl._points import around, check_points

__all__ = ["TaskSchedule"]

_ROUNDING = 1e-9


@dataclass(frozen=True)
class TaskSchedule:
    """A task's part in the training, by the progress of the training from 0 to 1.

    Outside of ``start`` and ``stop`` the task is absent: its labels are left out, its head keeps
    still. While its head is frozen the task goes on to train the backbone.

    Args:
        start: When it begins.
        stop: When it ends; 1: with the training.
        warmup: Share of the training, from ``start`` on, in which the weight of its loss rises from
            0 to what it is.
        weights: Factors of the weight of its loss: each a mapping with ``at``, the progress, and
            ``weight``, 0 or more. In order; the factor goes straight from one to the next, and
            before the first and behind the last nothing changes.
        unfreeze: Before it the head is not moved.
        freeze: From it on the head is not moved.

    Raises:
        TypeError: If a value is of the wrong kind.
        ValueError: If a value is out of range, or what ends does so before it begins.

    Example:
        >>> schedule = TaskSchedule(start=0.2, warmup=0.2)
        >>> [round(schedule.factor(progress), 2) for progress in (0.1, 0.3, 0.9)]
        [0.0, 0.5, 1.0]
    """

    start: float = 0.0
    stop: float = 1.0
    warmup: float = 0.0
    weights: Sequence[Mapping[str, float]] = ()
    unfreeze: float = 0.0
    freeze: float = 1.0

    def __post_init__(self) -> None:
        for name in ("start", "stop", "warmup", "unfreeze", "freeze"):
            check_interval(f"schedule.{name}", getattr(self, name), "[0, 1]")
        for first, last in (("start", "stop"), ("unfreeze", "freeze")):
            if getattr(self, first) >= getattr(self, last):
                raise ValueError(
                    f"`schedule.{first}` must be before `{last}`, but got {getattr(self, first)} "
                    f"and {getattr(self, last)}."
                )
        if self.start + self.warmup > self.stop + _ROUNDING:
            raise ValueError(
                f"`schedule.warmup` must be over when the task stops at {self.stop}, but got "
                f"{self.warmup} from {self.start} on."
            )
        _check_weights(self.weights)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "TaskSchedule":
        """The schedule of a mapping of its fields.

        Raises:
            TypeError: If it is no mapping, or a field is unknown; the nearest one is offered.
        """
        if not isinstance(given, Mapping):
            raise TypeError(f"`schedule` must be a mapping of its fields, but got {given!r}.")
        known = [item.name for item in fields(cls)]
        for name in given:
            if name not in known:
                raise TypeError(unknown_name("field of `schedule`", str(name), known))
        return cls(**given)

    def factor(self, progress: float) -> float:
        """What the weight of the task's loss is multiplied by; 0 where the task is absent."""
        if not self.start <= progress < self.stop:
            return 0.0
        risen = min(1.0, (progress - self.start) / self.warmup) if self.warmup else 1.0
        return risen * self._given_factor(progress)

    def moves_head(self, progress: float) -> bool:
        """Whether the head of the task is trained."""
        return self.unfreeze <= progress < self.freeze

    @property
    def turns(self) -> tuple[float, ...]:
        """Progress at which something begins, ends or bends."""
        bends = (point["at"] for point in self.weights)
        return (self.start, self.start + self.warmup, self.stop, self.unfreeze, self.freeze, *bends)

    def _given_factor(self, progress: float) -> float:
        if not self.weights:
            return 1.0
        left, right, share = around(self.weights, progress)
        return float(left["weight"] + share * (right["weight"] - left["weight"]))


def _check_weights(weights: Sequence[Mapping[str, float]]) -> None:
    check_points("schedule.weights", weights, "weight")
    for i, point in enumerate(weights):
        check_not_negative(f"schedule.weights[{i}].weight", point["weight"])
