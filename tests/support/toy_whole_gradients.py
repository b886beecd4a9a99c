# SPDX-License-Identifier: Apache-2.0
"""Gradient methods that need whole gradients, in runs of a few steps over made-up gradients.

Gradients are handed to a method as the trainer does it: a parameter at a time, with its memory.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from toy_gradient_methods import NUM_TASKS, Given

from hf_mtl.gradients import GradientContext, GradientMethod, State
from hf_mtl.training.engines import Block
from hf_mtl.training.gradient_memory import GradientMemory
from hf_mtl.training.whole_gradients import WholeGradients

__all__ = ["VARIANTS", "Kept", "WholeStep", "direction_of", "run_whole"]

VARIANTS = [
    {"name": "graddrop", "leak": 0.3},
    {"name": "moco", "beta": 1.0, "gamma": 1.0, "rho": 0.5},
    {"name": "db_mtl", "beta": 0.0},
    {"name": "excess_mtl", "learning_rate": 1.0},
]
"""Entries that make methods take other paths than with their defaults."""

_TASKS = [f"task{number}" for number in range(NUM_TASKS)]


@dataclass(frozen=True)
class Kept:
    """What a method remembers after a step: of tasks, and of their elements ``[T, n]`` by key."""

    state: State
    memory: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def restored(cls, other: "Kept") -> "Kept":
        """The same, out of JSON and safetensors."""
        text = json.dumps({name: value.tolist() for name, value in other.state.items()})
        state = {
            name: torch.tensor(each, dtype=torch.float64) for name, each in json.loads(text).items()
        }
        return cls(state, load(save(dict(other.memory))))


@dataclass(frozen=True)
class WholeStep:
    """One step of a run: what the method was told, and what became of it."""

    given: Given
    context: GradientContext
    direction: Tensor
    before: Kept
    after: Kept


def run_whole(
    method: GradientMethod, history: Sequence[Given], kept: Kept | None = None, start: int = 0
) -> Iterator[WholeStep]:
    """Steps of a run, in which preferences are put to use as the trainer does.

    So are steps of one task, which are plain ones.
    """
    kept = Kept(method.init_state(NUM_TASKS)) if kept is None else kept
    for index, given in enumerate(history, start):
        if not method.uses_preferences:
            given = replace(
                given,
                gradients=given.gradients * given.preferences[:, None],
                preferences=torch.ones_like(given.preferences),
            )
        context = GradientContext(index, given.losses, given.preferences, seed=3)
        if len(given.tasks) == 1:
            direction, after = given.gradients[0], kept
        else:
            direction, after = _step(method, given, context, kept)
        yield WholeStep(given, context, direction, kept, after)
        kept = after


def direction_of(method: GradientMethod, gradients: Tensor) -> Tensor:
    """Direction of a first step with these gradients: ``[S, P] -> [P]``."""
    ones = torch.ones(len(gradients), dtype=torch.float64)
    given = Given(gradients, torch.arange(len(gradients)), ones, ones)
    return next(run_whole(method, [given])).direction


def _step(
    method: GradientMethod, given: Given, context: GradientContext, kept: Kept
) -> tuple[Tensor, Kept]:
    sizes = [2, given.gradients.shape[1] - 2]
    parameters = {f"p{i}": nn.Parameter(torch.zeros(n).double()) for i, n in enumerate(sizes)}
    parts = given.gradients.split(sizes, dim=1)
    blocks = [
        Block(each, part.clone()) for each, part in zip(parameters.values(), parts, strict=True)
    ]
    memory = GradientMemory(method.memory, lambda: _TASKS)
    memory.load({key: each.clone() for key, each in kept.memory.items()}, memory.tensors()[1])
    gradients = WholeGradients(blocks, parameters, given.tasks, context)
    state = gradients.set_direction(method, memory, kept.state, gradients.gramian())[1]
    found = [each.grad for each in parameters.values() if each.grad is not None]
    return torch.cat(found), Kept(state, memory.tensors()[0])
