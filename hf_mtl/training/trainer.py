# SPDX-License-Identifier: Apache-2.0
"""The Trainer of transformers, for several tasks."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from transformers import TrainerCallback

from hf_mtl.data import SourceCollection, StepPlan, StreamPositions, train_dataloader
from hf_mtl.evaluation import ResultRow
from hf_mtl.models import MultiTaskModel, total_weight
from hf_mtl.training.adaptive_checks import adaptive_sampler_of, check_sampler_evaluations
from hf_mtl.training.adaptive_sampling import AdaptiveSampling
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.balancing import BalancingTrainer
from hf_mtl.training.checkpoints import Stateful
from hf_mtl.training.checks import (
    check_construction,
    check_early_stopping,
    check_sampler,
    check_schedules,
    set_best_metric_direction,
)
from hf_mtl.training.compilation import compile_backbone
from hf_mtl.training.evaluation import ComputeMetrics
from hf_mtl.training.faults import out_of_memory_named
from hf_mtl.training.held_weights import weighting_backbone
from hf_mtl.training.loading import Datasets, loader_settings
from hf_mtl.training.log_state import LogState
from hf_mtl.training.loss_log import LossLog
from hf_mtl.training.mixture import Mixture, step_plan
from hf_mtl.training.model_init import then, with_label_names
from hf_mtl.training.nonfinite import NonFiniteLoss, tasks_to_skip
from hf_mtl.training.ranks import Ranks
from hf_mtl.training.step import Step, check_some_label, plan_step, total_loss
from hf_mtl.training.strategies import strategy_of

__all__ = ["MultiTaskTrainer"]


class MultiTaskTrainer(BalancingTrainer):
    """Trains one model on several tasks, and reports each of them.

    Everything a user of ``Trainer`` knows works as there. What is overridden, and why (what
    concerns checkpoints, evaluation and weightings stands in the classes that it is built on):

    ==========================  ==============================================  =================
    hook                        why                                             done by
    ==========================  ==============================================  =================
    ``get_train_dataloader``    draws of several sources, in an order that is   ``data``
                                a pure function of seed and epoch
    ``get_total_...``           a step has batches of several sources           ``data``
    ``get_batch_samples``       denominators of the whole step                  ``step``
    ``training_step``           one backward for each forward; losses that are  ``nonfinite``
                                not finite
    ``compute_loss``            one loss a task, then one number                ``step``
    ``log``                     the loss of each task                           ``loss_log``
    ``floating_point_ops``      batches of several forwards                     ``Trainer``
    ``num_examples``            rows of an epoch, repeated ones included        ``data``
    ``create_optimizer``        heads of absent tasks keep still                ``strategies``
    ``_wrap_model``             no gradient is awaited from absent heads; the   ``strategies``,
                                backbone is compiled once for all tasks         ``compilation``
    ``create_accelerator_...``  the strategy belongs to it                      ``strategies``
    ``_run_epoch``              the plan learns epoch and position on resume    ``data``
    ``on_step_begin``, ...      samplers that follow the run                    ``adaptive_``
    (of a callback)                                                             ``sampling``
    ==========================  ==============================================  =================

    Args:
        model: The model. Label names that it lacks are found in the training data.
        args: The arguments.
        train_dataset: A data set for each source; a task on a source of its own has its name.
            What ``hf_mtl.data.prepare`` gives is taken as well.
        eval_dataset: Likewise, for evaluation; of all sources or of some.
        processing_class: Tokenizer, image processor or processor. ``None``: the model's.
        model_init: Called for a new model at each ``train`` instead of ``model``.
        compute_metrics: More metrics for some tasks, by task: a function of an
            ``EvalPrediction`` that gives names and values, or a module of ``evaluate``.
        callbacks: As in ``Trainer``.
        optimizers: As in ``Trainer``.

    Raises:
        ValueError: If data, model and arguments do not fit each other, or something is asked for
            that would not happen.
        KeyError: If a metric is unknown.
    """

    # Losses are means over the whole step already, so upstream must not divide them again.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: MultiTaskModel | None = None,
        args: MultiTaskTrainingArguments | None = None,
        train_dataset: Datasets | None = None,
        eval_dataset: Datasets | None = None,
        processing_class: Any = None,
        model_init: Callable[..., MultiTaskModel] | None = None,
        compute_metrics: Mapping[str, ComputeMetrics] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
    ) -> None:
        args = args or MultiTaskTrainingArguments(output_dir="tmp_trainer")
        if not isinstance(args, MultiTaskTrainingArguments):
            raise TypeError(
                f"`args` must be `MultiTaskTrainingArguments`, but got {type(args).__name__}. It "
                f"takes the same arguments."
            )
        self._task_metrics = dict(compute_metrics or {})
        self._loss_log = LossLog()
        self._results: list[ResultRow] = []
        self._plan: StepPlan | None = None  # of the epoch that runs
        self._stream_positions = StreamPositions()
        self.ranks = Ranks(args.world_size, args.process_index, timeout_seconds=args.ddp_timeout)
        self._log_state = LogState(self, self._loss_log, self.ranks)
        self._sampling = AdaptiveSampling(lambda: self.suite, self.ranks)

        def complete(built: MultiTaskModel) -> MultiTaskModel:
            if processing_class is not None:
                built.processing_class = processing_class
            return with_label_names(built, train_dataset, args.seed)

        super().__init__(
            model=None if model is None else complete(model),
            args=args,
            train_dataset=train_dataset,  # prepared below, when the label names are known
            eval_dataset=eval_dataset,
            processing_class=processing_class or getattr(model, "processing_class", None),
            model_init=model_init and then(model_init, complete),
            callbacks=callbacks,
            optimizers=optimizers,
        )
        self.add_callback(self._sampling)
        check_construction(args, self.suite, self._task_metrics)
        check_sampler(args, self.suite)
        check_schedules(args, self.suite)
        self.processing_class = self.processing_class or self.model.processing_class
        self.train_dataset = self._prepared(train_dataset, "train")
        self.eval_dataset = self._prepared(eval_dataset, "eval")
        evaluated = None if self.eval_dataset is None else self.eval_dataset.suite
        check_early_stopping(args, self.suite, evaluated)
        check_sampler_evaluations(args, self.suite, evaluated)
        set_best_metric_direction(args, evaluated or self.suite, self._task_metrics)

    def create_accelerator_and_postprocess(self) -> None:
        """The accelerator, and the strategy that it is for; anew for each trial of a search."""
        super().create_accelerator_and_postprocess()
        self.strategy = strategy_of(self.accelerator, self.args, self.ranks)

    # Data

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Loader of micro-batches, in the order of the step plan."""
        collection = self._train_collection()
        return train_dataloader(
            collection,
            self._step_plan(collection),
            merged=self.args.batches == "merged",
            **loader_settings(self.args),
        )

    def num_examples(self, dataloader: DataLoader[Any]) -> int:
        """Rows of an epoch of training, repeated ones included."""
        plan = cast("StepPlan", dataloader.batch_sampler)
        return round(plan.rows_per_step * plan.num_steps)

    def get_total_train_batch_size(self, args: Any) -> int:
        """Rows of a step on average, over all sources, micro-batches and ranks."""
        del args
        return round(self._step_plan(self._train_collection()).rows_per_step)

    def _train_collection(self) -> SourceCollection:
        collection = self._prepared(self.train_dataset, "train")
        if collection is None:
            raise ValueError("`train_dataset` must be given to train, but got None.")
        return collection

    def _step_plan(self, collection: SourceCollection) -> StepPlan:
        return step_plan(collection, self.args, self._train_batch_size, self._sampling.settled)

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """The optimizer, as the strategy needs it."""
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if is_new:
            self.strategy.share_out(optimizer, self.model)
        return optimizer

    def _wrap_model(self, model: nn.Module, training: bool = True, dataloader: Any = None) -> Any:
        if self.strategy.compiles_backbone:
            compile_backbone(self.model, self.accelerator)
        wrapped = super()._wrap_model(model, training, dataloader)
        return self.strategy.wrapped(wrapped) if training else wrapped

    def _run_epoch(self, *args: Any, **settings: Any) -> Any:
        # Upstream sets the epoch after it has wrapped the loader to skip to the position of a
        # checkpoint, where the call no longer reaches the sampler.
        loader = settings["train_dataloader"]
        plan, collection = loader.batch_sampler, loader.dataset
        self._plan = plan
        is_resumed = bool(settings["resume_from_checkpoint"])
        keeps_position = is_resumed and not self.args.ignore_data_skip
        skipped = 0
        if settings["epoch"] == settings["epochs_trained"]:  # the first epoch of this call
            self._log_state.begin(is_resumed=is_resumed)
            if keeps_position:
                skipped = settings["steps_trained_in_current_epoch"]
            else:
                self._stream_positions.load_state_dict({})  # of another run of this trainer
        plan.set_epoch(settings["epoch"], first_step=skipped // plan.accumulation)
        collection.start_streams(
            seed=plan.seed,
            shuffle_rows=self.args.stream_shuffle_rows,
            positions=self._stream_positions,
        )
        return super()._run_epoch(*args, **settings)

    def _stateful_parts(self) -> Mapping[str, Stateful]:
        parts = {**super()._stateful_parts(), "log": self._log_state}
        if self._train_collection().has_streams:
            parts["streams"] = self._stream_positions
        if adaptive_sampler_of(self.args) is not None:
            parts["sampler"] = self._sampling
        return parts

    # One step

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Micro-batches of a step, and the ``Step``, which upstream hands on to our hooks."""
        micro_batches = list(islice(epoch_iterator, num_batches))
        for micro_batch in micro_batches:
            self._stream_positions.add(micro_batch.get("positions", {}))
        step = plan_step(micro_batches, self._task_weights(), self.ranks, weigh=self._weight_of)
        if self.accelerator.scaler is not None:
            check_some_label(step, self.state.global_step + 1)
        return micro_batches, step

    def _weight_of(self, task: str, labels: Tensor) -> float:
        return float(total_weight(self.suite[task], labels))

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """The whole step when the last of its micro-batches comes: its total, detached.

        One backward for each forward. A loss that is not finite is found before the last one, so
        that the step can be begun anew without its task.
        """
        step: Step = num_items_in_batch
        while self.accelerator.sync_gradients and step.forwards:
            try:
                return self._run(model, step)
            except NonFiniteLoss as found:
                self.strategy.take_back(model)
                step = self._without_nonfinite(step, found)
        return torch.zeros((), device=self.args.device)

    def _run(self, model: nn.Module, step: Step) -> Tensor:
        self._losses = {}
        run = self._run_by_task if self._has_to_compare(step) else self._run_together
        total = run(model, step)
        self.strategy.after_step(self.model, step.scale.weights)
        self._keep_frozen(step.scale.weights)
        self._loss_log.add_step(self._losses, self._keep_to_learn_from(step, self._losses))
        self._sampling.add_step({task: self._losses[task] for task in step.scale.weights})
        return total

    def _run_together(self, model: nn.Module, step: Step) -> Tensor:
        """A step whose gradients add up where they are formed: its total, detached."""
        total = torch.zeros((), device=self.args.device)
        self._shares = self._shares_before(model, step)
        moved = self._moved_heads(step.scale.weights)
        for index, forward in enumerate(step.forwards):
            self._is_last = index == len(step.forwards) - 1
            with (
                out_of_memory_named(forward["labels"], forward["inputs"]),
                self.strategy.during_forward(model, moved, is_last=self._is_last),
                weighting_backbone(self.model, self._gradient_weights),
            ):
                total += super().training_step(model, dict(forward), cast("Any", step))
        return total

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Share of one forward in the total of the step, times the number of ranks."""
        outputs, factors = self._forward(model, inputs, cast("Step", num_items_in_batch))
        total = total_loss(outputs.losses or {}, factors)
        return (total, outputs) if return_outputs else total

    def _without_nonfinite(self, step: Step, found: NonFiniteLoss) -> Step:
        self._loss_log.add_skipped(found.tasks)
        present = list(step.scale.weights)
        number = self.state.global_step + 1
        skipped = tasks_to_skip(found, present, self.args.on_nonfinite, number)
        return step.without(skipped, self._task_weights())

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Estimate for all forwards of a micro-batch, as upstream makes it for one."""
        return sum(
            super(MultiTaskTrainer, self).floating_point_ops(forward["inputs"])
            for forward in inputs["forwards"]
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs, with the loss of each task and the rate of each source beside the total."""
        if "loss" in logs:
            logs |= self._loss_log.pop(self.ranks)
            logs |= self._rates()
        super().log(logs, start_time)

    def _rates(self) -> dict[str, float]:
        """``rate/{source}``: share of each source in the examples, where a sampler chooses."""
        if self.args.tasks_per_step == "all":
            return {}
        rates = self._sampling.rates(self.state.global_step - 1)
        if not rates:
            # Not made anew for each line: cutting long sources into draws takes its time.
            plan = self._plan or self._step_plan(self._train_collection())
            rates = plan.rates(min(1.0, self.state.global_step / max(1, self.state.max_steps)))
        return {f"rate/{source}": rate for source, rate in rates.items()}

    def _mixture(self) -> Mixture:
        plan = self._step_plan(self._train_collection())
        return Mixture.of(
            plan,
            self.args.stream_shuffle_rows,
            is_scheduled=any(spec.schedule for spec in self.suite.values()),
        )
