# SPDX-License-Identifier: Apache-2.0
"""The Trainer of transformers with a weighting of the losses, and how it gets what it needs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hf_mtl.models import MultiTaskOutput
from hf_mtl.training.checkpoints import Stateful
from hf_mtl.training.checks import check_long_enough, check_weighting
from hf_mtl.training.faults import out_of_memory_named
from hf_mtl.training.loss_log import added
from hf_mtl.training.loss_weights import LossWeights, losses_over_ranks
from hf_mtl.training.nonfinite import check_finite
from hf_mtl.training.scheduling import SchedulingTrainer
from hf_mtl.training.side_effects import RandomState, random_state, without_side_effects
from hf_mtl.training.step import Step
from hf_mtl.training.weighting_callback import WeightingCallback

__all__ = ["WeighingTrainer"]


class WeighingTrainer(SchedulingTrainer):
    """Weighs the losses of each step.

    ==========================  ==============================================  =================
    hook                        why                                             done by
    ==========================  ==============================================  =================
    ``create_accelerator_...``  a trial of a search may choose a weighting      ``loss_weights``
    ``_run_epoch``              the weighting is told the epoch                 ``loss_weights``
    ``on_train_begin``          a run begins with the state of its checkpoint,  ``weighting_``
    (of a callback)             or with none                                    ``callback``
    ``on_step_end`` (likewise)  the weighting learns from a step that is made,  the same
                                before a checkpoint is saved
    ``on_evaluate`` (likewise)  and from evaluations                            the same
    ==========================  ==============================================  =================
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._weights: dict[str, float] = {}
        self._to_learn_from: tuple[Step, dict[str, float]] | None = None
        self._random_state: RandomState | None = None
        self._epoch = 0
        self._resumed_at: int | None = None
        self.add_callback(
            WeightingCallback(
                self._begin_weighting, self._learn_from_step, self._learn_from_evaluation
            )
        )

    def create_accelerator_and_postprocess(self) -> None:
        """The accelerator, and the weighting; anew for each trial of a search."""
        super().create_accelerator_and_postprocess()
        self._loss_weights = LossWeights(
            self.args.weighting,
            lambda: list(self.suite),
            loss_time=self.args.weighting_losses,
            seed=self.args.seed,
        )

    def _run_epoch(self, *args: Any, **settings: Any) -> Any:
        self._epoch = settings["epoch"]
        return super()._run_epoch(*args, **settings)

    def _begin_weighting(self) -> None:
        # Not only at construction: a trial of a search may have changed the arguments since.
        self.args.check_weighting()
        check_weighting(self.args, self.suite)
        loader: Any = self.callback_handler.train_dataloader
        plan = loader.batch_sampler
        check_long_enough(self.args, steps=self.state.max_steps, steps_per_epoch=plan.num_steps)
        self._to_learn_from = None
        is_resumed = self._loss_weights.begin()
        self._resumed_at = self.state.global_step if is_resumed else None

    def _stateful_parts(self) -> Mapping[str, Stateful]:
        return {**super()._stateful_parts(), "weighting": self._loss_weights}

    def _outputs(self, model: nn.Module, inputs: Mapping[str, Any], step: Step) -> MultiTaskOutput:
        """What the model gives for one forward of a step."""
        outputs: MultiTaskOutput = model(
            **inputs["inputs"],
            labels=inputs["labels"],
            rows=inputs["rows"],
            denominators=step.scale.denominators,
        )
        return outputs

    def _shares_before(self, model: nn.Module, step: Step) -> dict[str, float] | None:
        """Shares in the total; ``None`` where the only forward of the step has to tell them."""
        if self._loss_weights.weighting.needs_losses_after:
            self._random_state = random_state(self.args.device)
        if not self._loss_weights.needs_losses(list(step.scale.weights)):
            return self._weighted_shares(step)
        if len(step.forwards) == 1:
            return None
        losses = self._losses_only(model, step)
        check_finite(losses, self.ranks)
        return self._weighted_shares(step, losses)

    def _weighted_shares(
        self, step: Step, losses: Mapping[str, Tensor] | None = None
    ) -> dict[str, float]:
        """Shares in the total, by what the user prefers and by the weighting.

        Args:
            step: The step.
            losses: This rank's share of its losses, where the weighting needs them.
        """
        shares = step.scale.weights
        over_ranks = None if losses is None else losses_over_ranks(losses, self.ranks)
        context = self._loss_weights.context(self.state.global_step, self._epoch)
        self._weights = self._loss_weights.weights(list(shares), context, over_ranks)
        return {task: share * self._weights[task] for task, share in shares.items()}

    def _losses_only(
        self, model: nn.Module, step: Step, start: RandomState | None = None
    ) -> dict[str, Tensor]:
        """This rank's share of the losses of a step, without gradients, as if it had not been run.

        Args:
            model: The wrapped model.
            step: The step.
            start: Where generators begin, so that dropout is that of a pass that was made.
        """
        losses: dict[str, Tensor] = {}
        model.train()
        with torch.no_grad(), without_side_effects(model, self.args.device, start):
            for forward in step.forwards:
                inputs = self._prepare_inputs(dict(forward))
                with (
                    out_of_memory_named(forward["labels"], forward["inputs"]),
                    self.compute_loss_context_manager(),
                ):
                    losses = added(losses, self._outputs(model, inputs, step).losses or {})
        self.strategy.after_pass(model)
        return losses

    def _keep_to_learn_from(self, step: Step, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Keeps what the weighting will learn from a step once the optimizer has moved.

        Returns:
            Weight of each task in it; none where weights never change.
        """
        if self._loss_weights.has_state:
            tasks = step.scale.weights
            own = {task: losses[task] for task in tasks}
            self._to_learn_from = step, losses_over_ranks(own, self.ranks)
        is_scheduled = any(spec.schedule for spec in self.suite.values())
        if self._loss_weights.weighting.is_constant and not is_scheduled:
            return {}
        by_schedule = self._task_weights()
        return {task: by_schedule[task] * weight for task, weight in self._weights.items()}

    def _learn_from_step(self) -> None:
        made, self._to_learn_from = self._to_learn_from, None
        if made is None or self.accelerator.optimizer_step_was_skipped:
            return
        step, losses = made
        after = None
        if self._loss_weights.weighting.needs_losses_after:
            again = self._losses_only(self.model_wrapped, step, self._random_state)
            after = losses_over_ranks(again, self.ranks)
        context = self._loss_weights.context(self.state.global_step - 1, self._epoch)
        self._loss_weights.add_step(losses, context, after)

    def _learn_from_evaluation(self, metrics: Mapping[str, float]) -> None:
        # When it begins, a resumed run repeats an evaluation that it has learned from.
        if self.is_in_train and self.state.global_step != self._resumed_at:
            losses = {task: metrics.get(f"eval_{task}_loss") for task in self.suite}
            known = {task: loss for task, loss in losses.items() if loss is not None}
            self._loss_weights.add_evaluation(known)
