# SPDX-License-Identifier: Apache-2.0
"""The gradient method of a run: its state, what it is told, and how it gets into a checkpoint."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hf_mtl._typing import Entry
from hf_mtl.gradients import (
    GRADIENT_METHODS,
    GradientContext,
    GradientMethod,
    GramianMethod,
    SeveralBatchesMethod,
    State,
)
from hf_mtl.training.engines import Block
from hf_mtl.training.gradient_memory import GradientMemory
from hf_mtl.training.task_state import (
    check_same_on_ranks,
    kept_state,
    plain_state,
    positions,
    tensor_of,
)
from hf_mtl.training.whole_gradients import WholeGradients

__all__ = ["GradientBalance", "gradient_method_of"]


def gradient_method_of(entry: Entry) -> GradientMethod:
    """The gradient method that an entry describes.

    Raises:
        KeyError: If its name is unknown.
        TypeError: If a field is unknown.
        ValueError: If a field has a value that it cannot have.
    """
    return GRADIENT_METHODS.build(entry)


class GradientBalance:
    """A gradient method with its state. All ranks have the same, because the Gramian is the same.

    Args:
        entry: The gradient method.
        tasks: Called for the names of all tasks when a run begins.
        update_every: Steps from one update of the weights to the next.
        seed: Seed of the run.
    """

    is_required = True

    def __init__(
        self,
        entry: Entry,
        tasks: Callable[[], Sequence[str]],
        *,
        update_every: int = 1,
        seed: int = 0,
    ) -> None:
        self.method = gradient_method_of(entry)
        self._tasks = tasks
        self._update_every = update_every
        self._seed = seed
        self.memory = GradientMemory(self.method.memory, tasks)
        self._state: State = {}
        self._held: dict[str, float] = {}
        self._compared_at: int | None = None
        # What the step in hand leaves behind, once the optimizer has made it.
        self._next: tuple[State, dict[str, float], int] | None = None
        self._is_loaded = False

    def begin(self) -> None:
        """Begins a run: with what was loaded, or with nothing."""
        self.memory.begin()
        is_loaded, self._is_loaded = self._is_loaded, False
        if not is_loaded:
            self._start_fresh()

    def _start_fresh(self) -> None:
        self._state = self.method.init_state(len(self._tasks()))
        self._held, self._compared_at, self._next = {}, None, None

    def held(self, tasks: Sequence[str], step: int) -> dict[str, float] | None:
        """Weight of each task in a step whose gradients need not be compared; else ``None``.

        Args:
            tasks: Tasks of the step.
            step: Steps that were made before it.
        """
        if len(tasks) == 1:
            return {tasks[0]: 1.0}
        is_known = all(task in self._held for task in tasks)
        is_due = self._compared_at is None or step - self._compared_at >= self._update_every
        if is_known and not is_due:
            return {task: self._held[task] for task in tasks}
        return None

    def weights(
        self,
        gramian: Tensor,
        losses: Mapping[str, float],
        preferences: Mapping[str, float],
        step: int,
    ) -> dict[str, float]:
        """Weight of each task of a step; 1 is neutral.

        Args:
            gramian: Inner products of the gradients of the tasks, ``[S, S]``, over all ranks, of
                ``preference x weight x loss``. ``[K S, K S]``, part by part, for a method that
                needs ``K`` batches; gradients on parts of a step add up to those of the step.
            losses: Loss of each task of the step, over all ranks, in the order of the Gramian.
            preferences: Weight of each task of the suite that the user gives.
            step: Steps that were made before it.

        Raises:
            ValueError: If the method gives a weight that is not finite.
        """
        context = self.context(losses, preferences, step)
        scale = context.preferences
        assert isinstance(self.method, GramianMethod | SeveralBatchesMethod)
        weights, state = self.method.weights(
            self._told(gramian, scale),
            positions(losses, self._tasks()),
            self._state,
            context,
        )
        by_task = dict(zip(losses, (weights / scale).tolist(), strict=True))
        self._check_finite(by_task, gramian, step)
        self._next = state, by_task, step
        return by_task

    def _told(self, gramian: Tensor, scale: Tensor) -> Tensor:
        """Inner products as the method wants them, of gradients that are divided by a scale."""
        num = self.method.num_batches
        # Times the number of parts, each is an estimate of the gradient of the whole step.
        divisors = (scale / num).repeat(num)
        gramian = gramian / torch.outer(divisors, divisors)
        if isinstance(self.method, SeveralBatchesMethod):
            return gramian.view(num, len(scale), num, len(scale))
        return gramian

    def combine(
        self,
        blocks: Sequence[Block],
        parameters: Mapping[str, nn.Parameter],
        losses: Mapping[str, float],
        preferences: Mapping[str, float],
        step: int,
    ) -> tuple[Tensor, dict[str, float]]:
        """Gives parameters their gradients, by a method that needs those of the tasks themselves.

        Args:
            blocks: Gradients of ``preference x weight x loss / S`` by parameter, averaged over the
                ranks; they are changed.
            parameters: Shared parameters that are trained, by name.
            losses: As for ``weights``.
            preferences: As for ``weights``.
            step: As for ``weights``.

        Returns:
            The Gramian, and the weight of each task; both as for ``weights``.

        Raises:
            ValueError: If the method gives a weight that is not finite.
        """
        context = self.context(losses, preferences, step)
        scale = context.preferences
        for block in blocks:
            block.gradients.mul_((len(losses) / scale).to(block.gradients)[:, None])
        gradients = WholeGradients(blocks, parameters, positions(losses, self._tasks()), context)
        gramian = gradients.gramian()
        weights, state = gradients.set_direction(self.method, self.memory, self._state, gramian)
        by_task = dict(zip(losses, (weights / scale).tolist(), strict=True))
        self._check_finite(by_task, gramian, step)
        self._next = state, by_task, step
        return gramian * torch.outer(scale, scale), by_task

    def _check_finite(self, weights: Mapping[str, float], gramian: Tensor, step: int) -> None:
        if not all(map(math.isfinite, weights.values())):
            raise ValueError(
                f"Weights must be finite, but {type(self.method).__name__} gave {dict(weights)} at "
                f"step {step + 1}, for the Gramian {gramian.tolist()} and the state "
                f"{plain_state(self._state)}."
            )

    def context(
        self, losses: Mapping[str, float], preferences: Mapping[str, float], step: int
    ) -> GradientContext:
        """What the method is told of a step besides its gradients; arguments as for ``weights``."""
        scale = torch.ones(len(losses), dtype=torch.float64)
        if self.method.uses_preferences:
            scale = tensor_of([preferences[task] for task in losses])
        return GradientContext(
            step=step, losses=tensor_of(losses.values()), preferences=scale, seed=self._seed
        )

    def step_was_made(self) -> None:
        """Keeps what the step in hand leaves behind."""
        if self._next is not None:
            self._state, weights, self._compared_at = self._next
            self._held |= weights
        self._next = None

    def step_was_not_made(self) -> None:
        """Forgets the step in hand."""
        self._next = None

    def to_config(self) -> dict[str, Any]:
        """Entry of the method, with all its fields."""
        return GRADIENT_METHODS.to_config(self.method)

    def state_dict(self) -> dict[str, Any]:
        """State of this rank, as plain values."""
        return {
            "gradient_method": self.to_config(),
            "tasks": list(self._tasks()),
            "state": plain_state(self._state),
            "held": self._held,
            "compared_at": self._compared_at,
        }

    def merge(self, states: list[Any]) -> Any:
        """State of the run, which is that of every rank.

        Raises:
            RuntimeError: If the ranks have come apart, which a method can do that draws its own
                random numbers.
        """
        own = [state["state"] | {"held": list(state["held"].values())} for state in states]
        check_same_on_ranks(type(self.method).__name__, own)
        return states[0]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes the state of a checkpoint; tasks that it does not know start fresh.

        Args:
            state: What ``merge`` gave.

        Raises:
            ValueError: If it is that of another method, or has other primary tasks.
        """
        current = self.to_config()
        if state["gradient_method"] != current:
            raise ValueError(
                f"`gradient_method` must be that of the checkpoint, {state['gradient_method']}, "
                f"but got {current}. To go on with another one, start anew from the checkpoint's "
                f"weights with `MultiTaskModel.from_pretrained`."
            )
        self._check_same_primaries(state["tasks"])
        self._start_fresh()
        self._compared_at = state["compared_at"]
        kept = [task for task in state["tasks"] if task in self._tasks()]
        self._state = kept_state(
            self._state,
            positions(kept, self._tasks()),
            {name: tensor_of(each) for name, each in state["state"].items()},
            positions(kept, state["tasks"]),
        )
        self._held = {task: weight for task, weight in state["held"].items() if task in kept}
        self._is_loaded = True

    def _check_same_primaries(self, saved: Sequence[str]) -> None:
        own = list(self._tasks())
        for position in self.method.primaries:
            if saved[position : position + 1] != own[position : position + 1]:
                raise ValueError(
                    f"`primary` must stand for the task of the checkpoint, whose tasks were "
                    f"{list(saved)}, but position {position} is another one of {own}. Keep the "
                    f"order of the tasks."
                )
