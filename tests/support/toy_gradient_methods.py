# SPDX-License-Identifier: Apache-2.0
"""Gradient methods in runs of a few steps, over gradients that are made up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from hf_mtl.gradients import (
    GRADIENT_METHODS,
    GradientContext,
    GramianMethod,
    SeveralBatchesMethod,
    State,
)

__all__ = [
    "NAMES",
    "NUM_TASKS",
    "VARIANTS",
    "Given",
    "Step",
    "first_weights",
    "gradient_settings",
    "inner_products",
    "random_history",
    "run",
]

NUM_TASKS = 4
_SUBSETS = [
    torch.tensor(subset) for size in (1, 2, 3, 4) for subset in combinations(range(NUM_TASKS), size)
]

VARIANTS = [
    *({"name": "mgda", "normalization": each} for each in ("l2", "loss", "loss+")),
    {"name": "cagrad", "c": 0.9},
    {"name": "aligned_mtl", "scale": "rmse"},
    {"name": "upgrad", "regularization": 0},
    {"name": "fairgrad", "alpha": 1.0},
    {"name": "gradvac", "beta": 0.5},
    {"name": "pcd", "primary": 2, "tau": 0.5, "beta": 0.5},
    {"name": "cr_mogm", "method": {"name": "gradnorm", "alpha": 0.5}, "momentum": 0.5},
    {"name": "cr_mogm", "method": "pcgrad"},
    {"name": "modo", "gamma": 0.5, "rho": 0.0},
    {"name": "sdmgrad", "lam": 0.0, "learning_rate": 0.1},
    {"name": "auto_lambda", "primary": [0, 2], "learning_rate": 0.05},
]
"""Entries that make methods take other paths than with their defaults."""


NAMES = [
    name
    for name in GRADIENT_METHODS.names()
    if not GRADIENT_METHODS.get(name).needs_whole_gradients
]
"""Methods of the registry for which inner products of gradients are enough."""


@dataclass(frozen=True)
class Given:
    """What a step of a run has: gradients ``[S, P]``, and of each task ``[S]`` the rest."""

    gradients: Tensor
    tasks: Tensor
    losses: Tensor
    preferences: Tensor

    @property
    def gramian(self) -> Tensor:
        return self.gradients @ self.gradients.T


@dataclass(frozen=True)
class Step:
    """One step of a run: what the method was told, and what it answered."""

    given: Given
    context: GradientContext
    weights: Tensor
    before: State
    after: State

    @property
    def direction(self) -> Tensor:
        return self.weights @ self.given.gradients / len(self.weights)


def run(
    method: GramianMethod | SeveralBatchesMethod,
    history: Sequence[Given],
    state: State | None = None,
    start: int = 0,
) -> Iterator[Step]:
    """Steps of a run, in which preferences are put to use as the trainer does."""
    state = method.init_state(NUM_TASKS) if state is None else state
    for index, given in enumerate(history, start):
        if not method.uses_preferences:
            given = replace(
                given,
                gradients=given.gradients * given.preferences[:, None],
                preferences=torch.ones_like(given.preferences),
            )
        context = GradientContext(index, given.losses, given.preferences, seed=3)
        told = inner_products(method, given.gradients)
        weights, after = method.weights(told, given.tasks, state, context)
        yield Step(given, context, weights, state, after)
        state = after


def inner_products(method: GramianMethod | SeveralBatchesMethod, gradients: Tensor) -> Tensor:
    """What a method is told of gradients: ``[S, P] -> [S, S]``, or ``[K, S, K, S]``.

    The latter where it needs several batches: each has noise, which is gone in their mean.
    """
    if not isinstance(method, SeveralBatchesMethod):
        return gradients @ gradients.T
    num = method.num_batches
    noise = torch.cos(2 * torch.pi * torch.arange(num, dtype=torch.float64) / num) / 2
    parts = gradients + noise[:, None, None] * gradients.roll(1, dims=1)
    return torch.einsum("aip,bjp->aibj", parts, parts)


def random_history(num_steps: int = 20, *, num_parameters: int = 6, seed: int = 0) -> list[Given]:
    """Gradients at all angles, one of them long; the subsets of tasks take turns."""
    generator = torch.Generator().manual_seed(seed)
    history = []
    for step in range(num_steps):
        tasks = _SUBSETS[-1 - step % len(_SUBSETS)]
        gradients = torch.randn(NUM_TASKS, num_parameters, generator=generator).double()
        gradients[1] *= 3
        losses = torch.rand(NUM_TASKS, generator=generator).double() * 2.9 + 0.1
        history.append(
            Given(gradients[tasks], tasks, losses[tasks], torch.ones(len(tasks)).double())
        )
    return history


def first_weights(method: GramianMethod | SeveralBatchesMethod, gradients: Tensor) -> Tensor:
    """Weights of a first step with these gradients: ``[S, P] -> [S]``."""
    ones = torch.ones(len(gradients), dtype=torch.float64)
    given = Given(gradients, torch.arange(len(gradients)), ones, ones)
    return next(run(method, [given])).weights


def gradient_settings(name: str) -> dict[str, Any]:
    """Training arguments for a gradient method.

    Args:
        name: Its name in the registry.
    """
    num_batches = GRADIENT_METHODS.get(name).num_batches
    return {
        "gradient_method": name,
        "tasks_per_step": "all",
        "gradient_accumulation_steps": num_batches,
    }
