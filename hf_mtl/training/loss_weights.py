# SPDX-License-Identifier: Apache-2.0
"""The loss weighting of a run: its state, what it is told, and how it gets into a checkpoint."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.utils import logging

from hf_mtl._typing import Entry
from hf_mtl.training.ranks import Ranks
from hf_mtl.training.task_state import (
    check_same_on_ranks,
    kept_state,
    plain_state,
    positions,
    tensor_of,
)
from hf_mtl.weighting import WEIGHTINGS, State, Weighting, WeightingContext

__all__ = [
    "LOSS_TIMES",
    "LossWeights",
    "losses_over_ranks",
    "num_passes_for_losses",
    "weighting_of",
]

logger = logging.get_logger(__name__)

LOSS_TIMES = ("current", "lagged")
"""Which losses the weights of a step are made of: its own, or those of the last step in which each
task was present."""


def weighting_of(entry: Entry | None) -> Weighting:
    """The weighting that an entry describes; ``None``: the weights that the user gives.

    Raises:
        KeyError: If its name is unknown.
        TypeError: If a field is unknown.
        ValueError: If a field has a value that it cannot have.
    """
    return WEIGHTINGS.build(entry or "static")


def losses_over_ranks(losses: Mapping[str, Tensor], ranks: Ranks) -> dict[str, float]:
    """Losses of one step on the host, over all ranks, each of which has its share.

    Args:
        losses: This rank's share of the loss of each task; the same tasks on every rank.
        ranks: The ranks of the run; all must call this.
    """
    values = torch.stack(list(losses.values())).tolist() if losses else []
    return dict(zip(losses, ranks.sum(values), strict=True))


def num_passes_for_losses(entry: Entry | None, loss_time: str, num_forwards: int) -> int:
    """How often the rows of a step are passed through the model once more, without gradients.

    Args:
        entry: The weighting.
        loss_time: One of ``LOSS_TIMES``.
        num_forwards: Forwards of a step; a single one tells its losses before its backward.
    """
    weighting = weighting_of(entry)
    before = weighting.needs_losses and loss_time == "current" and num_forwards > 1
    return int(before) + int(weighting.needs_losses_after)


class LossWeights:
    """A weighting with its state. All ranks have the same, because they have the same losses.

    Args:
        entry: The weighting; ``None``: the weights that the user gives.
        tasks: Called for the names of all tasks when a run begins.
        loss_time: One of ``LOSS_TIMES``.
        seed: Seed of the run.
    """

    def __init__(
        self,
        entry: Entry | None,
        tasks: Callable[[], Sequence[str]],
        *,
        loss_time: str = "current",
        seed: int = 0,
    ) -> None:
        self.weighting = weighting_of(entry)
        self.is_required = entry is not None
        self._tasks = tasks
        self._seed = seed
        self._is_lagged = loss_time == "lagged"
        self._state: State = {}
        self._is_loaded = False
        # Losses of the last step of each task, and the state that it had before that step.
        self._last: dict[str, float] = {}
        self._state_of_last: State = {}

    @property
    def has_state(self) -> bool:
        """Whether anything of a step has to be remembered."""
        return self._is_lagged or bool(self._state)

    def begin(self) -> bool:
        """Begins a run: with what was loaded, or with nothing.

        Returns:
            Whether a state was loaded.
        """
        is_loaded, self._is_loaded = self._is_loaded, False
        if not is_loaded:
            self._start_fresh()
        return is_loaded

    def _start_fresh(self) -> None:
        self._state = self._state_of_last = self.weighting.init_state(len(self._tasks()))
        self._last = {}

    def context(self, step: int, epoch: int) -> WeightingContext:
        """What the weighting is told of a step.

        Args:
            step: Steps that were made before it.
            epoch: Epochs that were completed before it.
        """
        return WeightingContext(step=step, epoch=epoch, seed=self._seed)

    def needs_losses(self, tasks: Sequence[str]) -> bool:
        """Whether the weights of a step cannot be told before its losses.

        Args:
            tasks: Tasks of the step.
        """
        is_known = self._is_lagged and all(task in self._last for task in tasks)
        return self.weighting.needs_losses and not is_known

    def weights(
        self,
        tasks: Sequence[str],
        context: WeightingContext,
        losses: Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """Weight of each task of a step; 1 is neutral.

        Args:
            tasks: Tasks of the step.
            context: What is known of it.
            losses: Its losses over all ranks, where ``needs_losses``.

        Raises:
            ValueError: If the weighting gives a weight that is negative or not finite.
        """
        known, state = losses or {}, self._state
        if losses is None and self.weighting.needs_losses:
            known, state = self._last, self._state_of_last
        values = tensor_of([known.get(task, torch.nan) for task in tasks])
        weights = self.weighting.weights(values, self._positions(tasks), state, context)
        by_task = dict(zip(tasks, weights.tolist(), strict=True))
        if not bool((weights.isfinite() & (weights >= 0)).all()):
            raise ValueError(
                f"Weights must be finite and not negative, but {type(self.weighting).__name__} "
                f"gave {by_task} at step {context.step + 1}, for losses {dict(known)} and the "
                f"state {plain_state(state)}."
            )
        return by_task

    def add_step(
        self,
        losses: Mapping[str, float],
        context: WeightingContext,
        losses_after: Mapping[str, float] | None = None,
    ) -> None:
        """Learns from a step that was made.

        Args:
            losses: Its losses over all ranks.
            context: What is known of it.
            losses_after: Losses of the same rows after it, where they are needed.
        """
        after = None if losses_after is None else tensor_of([losses_after[task] for task in losses])
        if after is not None and not bool(after.isfinite().all()):
            return  # the next step will find it, and stop or pass it over
        tasks, before = self._positions(losses), self._state
        self._state = self.weighting.next_state(
            tensor_of(losses.values()), tasks, before, context, after
        )
        if self._is_lagged:
            self._last |= losses
            self._state_of_last = kept_state(self._state_of_last, tasks, before, tasks)

    def add_evaluation(self, losses: Mapping[str, float]) -> None:
        """Learns from an evaluation; from losses that are not finite nothing is learned.

        Args:
            losses: Loss of each task that was evaluated, in the order of the suite.
        """
        finite = {task: loss for task, loss in losses.items() if math.isfinite(loss)}
        if not self.weighting.needs_evaluation:
            return
        if unknown := sorted(losses.keys() - finite.keys()):
            logger.warning(f"The evaluation loss of {unknown} is not finite: weights ignore it.")
        if finite:
            self._state = self.weighting.state_after_evaluation(
                tensor_of(finite.values()), self._positions(finite), self._state
            )

    def to_config(self) -> dict[str, Any]:
        """Entry of the weighting, with all its fields."""
        return WEIGHTINGS.to_config(self.weighting)

    def state_dict(self) -> dict[str, Any]:
        """State of this rank, as plain values."""
        return {
            "weighting": self.to_config(),
            "tasks": list(self._tasks()),
            "state": plain_state(self._state),
            "last": self._last,
            "state_of_last": plain_state(self._state_of_last if self._is_lagged else {}),
        }

    def merge(self, states: list[Any]) -> Any:
        """State of the run, which is that of every rank.

        Raises:
            RuntimeError: If the ranks have come apart, which a weighting can do that draws its own
                random numbers.
        """
        own = [state["state"] for state in states]
        check_same_on_ranks(type(self.weighting).__name__, own)
        return states[0]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes the state of a checkpoint; tasks that it does not know start fresh.

        Args:
            state: What ``merge`` gave.

        Raises:
            ValueError: If it is that of another weighting.
        """
        current = self.to_config()
        if state["weighting"] != current:
            raise ValueError(
                f"`weighting` must be that of the checkpoint, {state['weighting']}, but got "
                f"{current}. To go on with another one, start anew from the checkpoint's weights "
                f"with `MultiTaskModel.from_pretrained`."
            )
        self._start_fresh()
        kept = [task for task in state["tasks"] if task in self._tasks()]
        old = positions(kept, state["tasks"])
        new = self._positions(kept)
        self._state, self._state_of_last = (
            kept_state(fresh, new, {name: tensor_of(each) for name, each in saved.items()}, old)
            for fresh, saved in (
                (self._state, state["state"]),
                (self._state_of_last, state["state_of_last"]),
            )
        )
        self._last = {task: loss for task, loss in state["last"].items() if task in kept}
        self._is_loaded = True

    def _positions(self, tasks: Any) -> Tensor:
        return positions(tasks, self._tasks())
