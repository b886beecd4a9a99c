# SPDX-License-Identifier: Apache-2.0
"""The Trainer of transformers with rates and schedules by task."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from hf_mtl.training.checkpoints import Stateful
from hf_mtl.training.checkpoints.optimizer_state import plain_name
from hf_mtl.training.early_stopping import EarlyStopping
from hf_mtl.training.evaluating import EvaluatingTrainer
from hf_mtl.training.learning_rates import has_groups, own_rates, split_by_rate

__all__ = ["SchedulingTrainer"]


class SchedulingTrainer(EvaluatingTrainer):
    """Trains heads and layers at rates of their own, and tasks at times of their own.

    ==========================  ==============================================  =================
    hook                        why                                             done by
    ==========================  ==============================================  =================
    ``on_evaluate``             tasks that get no better end                    ``early_stopping``
    (of a callback)
    ``create_optimizer``        rates by layer and head                         ``learning_rates``
    ``log``                     the rate that the user set, not the first       ``learning_rates``
                                group's
    ==========================  ==============================================  =================
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._first_rate: float | None = None
        if self.optimizer is not None and has_groups(self.args, self.suite):
            raise ValueError(
                "`optimizers` must be left out where heads or layers have rates of their own, "
                "because the groups of a given optimizer are the user's, but got one. Leave out "
                "`head_learning_rate`, `layer_decay`, and `learning_rate` and `weight_decay` of "
                "tasks, or the optimizer."
            )
        self._early_stopping = EarlyStopping(lambda: self.suite)
        self.add_callback(self._early_stopping)

    def _stateful_parts(self) -> Mapping[str, Stateful]:
        parts = super()._stateful_parts()
        if self.args.task_patience is None and self.args.early_stopping_patience is None:
            return parts
        return {**parts, "early_stopping": self._early_stopping}

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """The optimizer, with groups by learning rate and weight decay."""
        is_new = self.optimizer is None
        optimizer: Optimizer = super().create_optimizer(model)
        if not is_new:
            return optimizer
        self._first_rate = None
        if has_groups(self.args, self.suite):
            wrapped = self.model if model is None else model
            decayed = {plain_name(name) for name in self.get_decay_parameter_names(wrapped)}
            split_by_rate(optimizer, wrapped, self.model, self.args, decayed)
            self._first_rate = optimizer.param_groups[0]["lr"]
        return optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs the learning rate that the user set, and that of heads with one of their own."""
        if "learning_rate" in logs and self._first_rate:
            # Upstream's is that of the first group.
            share = logs["learning_rate"] / self._first_rate
            rates = own_rates(self.args, self.suite)
            logs |= {f"learning_rate/{task}": share * rate for task, rate in rates.items()}
            logs["learning_rate"] = share * self.args.learning_rate
        super().log(logs, start_time)

    @property
    def _progress(self) -> float:
        """Progress of the training in the middle of the step that is made."""
        return (self.state.global_step + 0.5) / max(1, self.state.max_steps)

    def _task_weights(self) -> dict[str, float]:
        """Weight of each task in the step that is made, 0 for one that is absent from it."""
        return self._early_stopping.remaining(self.suite.weights_at(self._progress))

    def _moved_heads(self, tasks: Iterable[str]) -> list[str]:
        """Those of some tasks whose heads the step that is made is to move."""
        suite, progress = self.suite, self._progress
        return [task for task in tasks if suite[task].task_schedule.moves_head(progress)]

    def _keep_frozen(self, tasks: Collection[str]) -> None:
        """Takes the gradients of frozen heads back."""
        for task in set(tasks) - set(self._moved_heads(tasks)):
            self.model.heads[task].zero_grad(set_to_none=True)
