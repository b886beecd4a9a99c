# SPDX-License-Identifier: Apache-2.0
"""The Trainer of transformers with a gradient method: task gradients of a step, and their mean."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hf_mtl.models import MultiTaskOutput
from hf_mtl.training.checkpoints import Stateful
from hf_mtl.training.checkpoints.tensor_files import GRADIENT_MEMORY_FILE, TensorPart
from hf_mtl.training.checks import check_gradient_method
from hf_mtl.training.detached import check_detached
from hf_mtl.training.engine_choice import chosen_engine, shared_parameters
from hf_mtl.training.engines import Block, BufferedEngine, Engine
from hf_mtl.training.faults import out_of_memory_named
from hf_mtl.training.gradient_balance import GradientBalance
from hf_mtl.training.gradient_log import GradientLog, of_whole_step
from hf_mtl.training.loss_log import added
from hf_mtl.training.loss_weights import losses_over_ranks
from hf_mtl.training.nonfinite import check_finite
from hf_mtl.training.step import Step, total_loss
from hf_mtl.training.weighing import WeighingTrainer

__all__ = ["BalancingTrainer"]


class BalancingTrainer(WeighingTrainer):
    """Weighs the gradients of the tasks of each step.

    It uses the hooks that ``WeighingTrainer`` uses; where no gradient method is set, nothing of it
    is run.
    """

    _balance: GradientBalance | None = None
    _engine: Engine | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._losses: dict[str, Tensor] = {}
        self._shares: dict[str, float] | None = None
        self._is_last = True
        self._gradient_weights: Mapping[str, float] = {}
        self.gradient_log = GradientLog()
        super().__init__(*args, **kwargs)

    def create_accelerator_and_postprocess(self) -> None:
        """The accelerator, and the gradient method; anew for each trial of a search."""
        super().create_accelerator_and_postprocess()
        self._balance = self._engine = None
        if self.args.gradient_method is not None:
            self._balance = GradientBalance(
                self.args.gradient_method,
                lambda: list(self.suite),
                update_every=self.args.gradient_update_every,
                seed=self.args.seed,
            )

    def _begin_weighting(self) -> None:
        super()._begin_weighting()
        check_detached(self.args, self.model, type(self.strategy))
        self.gradient_log.begin()
        self.model.config.balancing = {
            "weighting": self._loss_weights.to_config(),
            "gradient_method": None if self._balance is None else self._balance.to_config(),
        }
        if self._balance is not None:
            self.args.check_gradient_method()
            check_gradient_method(self.args, self.suite)
            self._balance.begin()
            self._engine = chosen_engine(self.args, self.model, self.strategy, self.ranks)

    def _stateful_parts(self) -> Mapping[str, Stateful]:
        parts = {**super()._stateful_parts(), "gradient_log": self.gradient_log}
        return parts if self._balance is None else {**parts, "gradient_method": self._balance}

    def _tensor_parts(self) -> Mapping[str, TensorPart]:
        parts = super()._tensor_parts()
        if self._balance is None or not self._balance.method.memory:
            return parts
        return {**parts, GRADIENT_MEMORY_FILE: self._balance.memory}

    def _has_to_compare(self, step: Step) -> bool:
        """Whether the gradients of a step have to be compared; else their weights are known."""
        self._gradient_weights = {}
        if self._balance is None:
            return False
        held = self._balance.held(list(step.scale.weights), self.state.global_step)
        self._gradient_weights = held or {}
        return held is None

    def _run_by_task(self, model: nn.Module, step: Step) -> Tensor:
        """A step in which the gradients of the tasks are compared: its total, detached."""
        engine, balance = self._engine, self._balance
        assert engine is not None
        assert balance is not None
        step = engine.prepared(step)
        self._shares = self._shares_before(model, step)
        tasks = list(step.scale.weights)
        total = torch.zeros((), device=self.args.device)
        during = (
            self.strategy.during_forward(model, self._moved_heads(tasks), is_last=True)
            if engine.is_exchanged
            else self.strategy.during_task_gradients(model)
        )
        with engine.step(shared_parameters(self.model), tasks), during:
            for index, forward in enumerate(step.forwards):
                self._is_last = index == len(step.forwards) - 1
                with (
                    out_of_memory_named(forward["labels"], forward["inputs"]),
                    engine.around(forward),
                ):
                    total += self._add_gradients(engine, model, forward, step)
            if balance.method.needs_whole_gradients:
                assert isinstance(engine, BufferedEngine)  # others are refused
                engine.hand_over(partial(self._combine, balance, tasks))
            else:
                engine.finish(partial(self._weigh, balance, tasks))
        return total

    def _weigh(self, balance: GradientBalance, tasks: list[str], gramian: Tensor) -> Tensor:
        """Weight of the gradient of each task of a step, by their inner products."""
        # The engine's gradients have a factor of 1 / S, as the shares have.
        gramian = gramian * len(tasks) ** 2
        losses = losses_over_ranks({task: self._losses[task] for task in tasks}, self.ranks)
        step_number = self.state.global_step
        self._gradient_weights = balance.weights(gramian, losses, self._task_weights(), step_number)
        weights = list(self._gradient_weights.values())
        self.gradient_log.add_step(tasks, of_whole_step(gramian, len(tasks)), weights)
        return torch.tensor(weights, dtype=torch.float64).repeat(balance.method.num_batches)

    def _combine(self, balance: GradientBalance, tasks: list[str], blocks: Sequence[Block]) -> None:
        """Gives the shared parameters their gradients, by those of the tasks themselves."""
        gramian, self._gradient_weights = balance.combine(
            blocks,
            shared_parameters(self.model),
            losses_over_ranks({task: self._losses[task] for task in tasks}, self.ranks),
            self._task_weights(),
            self.state.global_step,
        )
        self.gradient_log.add_step(tasks, gramian)

    def _add_gradients(
        self, engine: Engine, model: nn.Module, forward: Mapping[str, Any], step: Step
    ) -> Tensor:
        """One forward, and the gradients of its tasks: its share in the total, detached."""
        model.train()
        optimizer: Any = self.optimizer
        optimizer.train()  # as upstream does, for optimizers that average in evaluation
        inputs = self._prepare_inputs(dict(forward))
        with self.compute_loss_context_manager():
            outputs, factors = self._forward(model, inputs, step)
        losses = outputs.losses or {}
        engine.add({task: loss * factors[task] for task, loss in losses.items()})
        return total_loss(losses, factors).detach()

    def _forward(
        self, model: nn.Module, inputs: Mapping[str, Any], step: Step
    ) -> tuple[MultiTaskOutput, dict[str, float]]:
        """One forward of a step, and what its losses are multiplied by in the total.

        Every strategy averages gradients over ranks, while the shares of the ranks add up: so these
        are multiplied by the number of ranks.
        """
        outputs = self._outputs(model, inputs, step)
        self._losses = added(self._losses, outputs.losses or {})
        if self._is_last:
            check_finite(self._losses, self.ranks)
        shares = self._shares
        if shares is None:
            shares = self._weighted_shares(step, self._losses)
        return outputs, {task: share * self.ranks.world_size for task, share in shares.items()}

    def _keep_to_learn_from(self, step: Step, losses: Mapping[str, Tensor]) -> dict[str, float]:
        weights = super()._keep_to_learn_from(step, losses)
        if self._balance is None:
            return weights
        by_schedule = self._task_weights()
        by_losses = weights or {task: by_schedule[task] for task in step.scale.weights}
        return {task: w * self._gradient_weights[task] for task, w in by_losses.items()}

    def _learn_from_step(self) -> None:
        super()._learn_from_step()
        if self._balance is None:
            return
        if self.accelerator.optimizer_step_was_skipped:
            self._balance.step_was_not_made()
        else:
            self._balance.step_was_made()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs, with how gradients compare."""
        if "loss" in logs:
            logs |= self.gradient_log.pop()
        super().log(logs, start_time)
