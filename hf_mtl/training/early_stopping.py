# SPDX-License-Identifier: Apache-2.0
"""Tasks, or the run, that are trained no more once they have stopped getting better.

Upstream's callback forgets on resume how long it has waited, and knows one metric.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from transformers import TrainerCallback
from transformers.utils import logging

from hf_mtl.evaluation import first_metrics
from hf_mtl.tasks import TaskSuite

__all__ = ["EarlyStopping"]

logger = logging.get_logger(__name__)


@dataclass
class _Waiting:
    """What is known of one value from evaluation to evaluation.

    Args:
        best: The best value so far.
        num_worse: Evaluations in a row, the last one included, that did not beat it.
    """

    best: float | None = None
    num_worse: int = 0

    def add(self, value: float, *, greater_is_better: bool) -> None:
        """Takes the value of one more evaluation; one that is not defined is no better."""
        sign = 1 if greater_is_better else -1
        if not math.isnan(value) and (self.best is None or sign * value > sign * self.best):
            self.best, self.num_worse = value, 0
        else:
            self.num_worse += 1


@dataclass
class _State:
    last_step: int = -1
    has_ended: bool = False
    run: _Waiting = field(default_factory=_Waiting)
    tasks: dict[str, _Waiting] = field(default_factory=dict)
    stopped: dict[str, int] = field(default_factory=dict)


class EarlyStopping(TrainerCallback):
    """Counts evaluations that bring nothing new, by task and for the run.

    It remembers across a resume. A stopped task stays stopped.

    Args:
        suite: Gives the tasks; asked when a run begins and at each evaluation.
    """

    is_required = True

    def __init__(self, suite: Callable[[], TaskSuite]) -> None:
        self._suite = suite
        self._state = _State()
        self._loaded: _State | None = None

    @property
    def stopped(self) -> Mapping[str, int]:
        """Tasks that are trained no more, each with the step of the evaluation that ended it."""
        return self._state.stopped

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begins a run with what its checkpoint remembers, or with nothing."""
        self._state = self._loaded or _State()
        self._loaded = None
        if self._state.has_ended:
            control.should_training_stop = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Takes the metrics of an evaluation, and ends tasks or the run by them."""
        metrics: Mapping[str, float] = kwargs["metrics"]
        # A resumed run with `eval_on_start` repeats an evaluation; users make others of their own.
        is_known = state.global_step == self._state.last_step
        if is_known or not self._keys(args) <= metrics.keys():
            return
        self._state.last_step = state.global_step
        if args.task_patience is not None:
            self._stop_tasks(metrics, args.task_patience, state)
            if not any(self.remaining(self._suite().weights).values()):
                self._state.has_ended = True
        if args.early_stopping_patience is not None:
            value = metrics[_best_key(args)]
            self._state.run.add(value, greater_is_better=args.greater_is_better)
            if self._state.run.num_worse >= args.early_stopping_patience:
                self._state.has_ended = True
        if self._state.has_ended:
            control.should_training_stop = True

    def _keys(self, args: Any) -> set[str]:
        """Keys of the metrics that it goes by."""
        keys = set() if args.early_stopping_patience is None else {_best_key(args)}
        if args.task_patience is not None:
            suite = self._suite()
            first = first_metrics(suite)
            keys |= {f"eval_{first[task].key}" for task in suite if suite.weights[task]}
        return keys

    def remaining(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Weights of tasks, with 0 for those that are trained no more."""
        return {task: 0.0 if task in self.stopped else own for task, own in weights.items()}

    def _stop_tasks(self, metrics: Mapping[str, float], patience: int, state: Any) -> None:
        suite = self._suite()
        present = suite.weights_at(state.global_step / max(1, state.max_steps))
        for task, first in first_metrics(suite).items():
            if task in self.stopped or not present[task]:
                continue
            value = metrics[f"eval_{first.key}"]
            waiting = self._state.tasks.setdefault(task, _Waiting())
            waiting.add(value, greater_is_better=first.greater_is_better)
            if waiting.num_worse >= patience:
                self._state.stopped[task] = state.global_step
                if state.is_world_process_zero:
                    logger.warning(
                        f"Task {task!r} is trained no more from step {state.global_step} on: for "
                        f"{patience} evaluations, eval_{first.key} was not better than "
                        f"{waiting.best}."
                    )

    def state_dict(self) -> dict[str, Any]:
        """The counts, as plain values; every rank has the same."""
        return asdict(self._state)

    def merge(self, states: list[Any]) -> Any:
        """That of the first rank."""
        return states[0]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Keeps the counts until the run begins.

        Args:
            state: What ``merge`` gave.
        """
        self._loaded = _State(
            last_step=state["last_step"],
            has_ended=state["has_ended"],
            run=_Waiting(**state["run"]),
            tasks={task: _Waiting(**waiting) for task, waiting in state["tasks"].items()},
            stopped=dict(state["stopped"]),
        )


def _best_key(args: Any) -> str:
    return f"eval_{args.metric_for_best_model.removeprefix('eval_')}"
