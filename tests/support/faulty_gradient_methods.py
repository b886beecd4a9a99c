# SPDX-License-Identifier: Apache-2.0
"""Gradient methods with one mistake each, which the laws have to catch."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from hf_mtl.gradients import GramianMethod, State

__all__ = [
    "Correct",
    "CountsTheAbsent",
    "CountsZeros",
    "Forgetful",
    "GlobalRandomness",
    "GrowsANewEntry",
    "Imprecise",
    "InPlace",
    "Lengths",
    "Multiplies",
    "Unfair",
    "Unscaled",
    "Unstored",
]


@dataclass(frozen=True)
class Correct(GramianMethod):
    """Remembers how often each task was present; correct, until a subclass makes a mistake."""

    def init_state(self, num_tasks: int) -> State:
        return {"count": torch.zeros(num_tasks, dtype=torch.float64)}

    def weights(self, gramian, tasks, state, context):
        return self.answer(gramian, tasks, context), self.next_state(tasks, state)

    def answer(self, gramian, tasks, context) -> Tensor:
        return torch.ones(len(tasks), dtype=torch.float64)

    def next_state(self, tasks, state) -> State:
        ones = torch.ones(len(tasks), dtype=torch.float64)
        return {"count": state["count"].scatter_add(0, tasks, ones)}


@dataclass(frozen=True)
class Imprecise(Correct):
    """Answers in float32."""

    def answer(self, gramian, tasks, context) -> Tensor:
        return torch.ones(len(tasks))


@dataclass(frozen=True)
class Unscaled(Correct):
    """Weights that add up to 1: the more tasks, the smaller the steps."""

    def answer(self, gramian, tasks, context) -> Tensor:
        return torch.full((len(tasks),), 1 / len(tasks), dtype=torch.float64)


@dataclass(frozen=True)
class Lengths(Correct):
    """Divides by lengths of gradients, without a look at what is left of their scale, or at 0."""

    def answer(self, gramian, tasks, context) -> Tensor:
        return 1 / gramian.diagonal().sqrt()


@dataclass(frozen=True)
class Unfair(Correct):
    """Prefers tasks by their position."""

    def answer(self, gramian, tasks, context) -> Tensor:
        return 1.0 + tasks.double()


@dataclass(frozen=True)
class CountsZeros(Correct):
    """Shares among all tasks what those have that do not vanish."""

    def answer(self, gramian, tasks, context) -> Tensor:
        share = (gramian.diagonal() > 0).double().mean()
        return torch.ones(len(tasks), dtype=torch.float64) * share


@dataclass(frozen=True)
class Multiplies(Correct):
    """Uses preferences as they are."""

    uses_preferences: ClassVar[bool] = True

    def answer(self, gramian, tasks, context) -> Tensor:
        return context.preferences


@dataclass(frozen=True)
class Forgetful(Correct):
    """Says that it uses preferences, and does not."""

    uses_preferences: ClassVar[bool] = True


@dataclass(frozen=True)
class GlobalRandomness(Correct):
    """Draws from the generator that dropout uses."""

    def answer(self, gramian, tasks, context) -> Tensor:
        return torch.rand(len(tasks), dtype=torch.float64)


@dataclass(frozen=True)
class Unstored(Correct):
    """Remembers beside its state how often it was asked."""

    asked: list[int] = field(default_factory=list, compare=False)

    def answer(self, gramian, tasks, context) -> Tensor:
        self.asked.append(1)
        return torch.ones(len(tasks), dtype=torch.float64) / len(self.asked)


@dataclass(frozen=True)
class InPlace(Correct):
    """Changes the state that it was handed."""

    def next_state(self, tasks, state) -> State:
        state["count"][tasks] += 1
        return state


@dataclass(frozen=True)
class CountsTheAbsent(Correct):
    """Changes what it remembers of tasks that were not there."""

    def next_state(self, tasks, state) -> State:
        return {"count": state["count"] + 1}


@dataclass(frozen=True)
class GrowsANewEntry(Correct):
    """Has a state of another form after the first step."""

    def next_state(self, tasks, state) -> State:
        return {**state, "new": tasks.double().mean()}
