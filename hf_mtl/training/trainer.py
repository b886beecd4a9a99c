# SPDX-License-Identifier: Apache-2.0
"""The Trainer of transformers, for several tasks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback
from transformers.trainer_utils import EvalLoopOutput, PredictionOutput

from hf_mtl.data import (
    SourceCollection,
    StepPlan,
    eval_dataloader,
    train_dataloader,
)
from hf_mtl.evaluation import ResultRow
from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.card import write_card
from hf_mtl.training.checks import (
    check_construction,
    set_best_metric_direction,
)
from hf_mtl.training.evaluation import ComputeMetrics, evaluate_tasks
from hf_mtl.training.loading import Datasets, loader_settings, prepared
from hf_mtl.training.loss_log import LossLog
from hf_mtl.training.mixture import Mixture, step_plan
from hf_mtl.training.model_init import then, with_label_names
from hf_mtl.training.ranks import Ranks
from hf_mtl.training.resumable import ResumableTrainer
from hf_mtl.training.step import StepScale, check_some_label, present_labels, step_scale, total_loss

__all__ = ["MultiTaskTrainer"]


class MultiTaskTrainer(ResumableTrainer):
    """Trains one model on several tasks, and reports each of them.

    Everything a user of ``Trainer`` knows works as there. What is overridden, and why (what
    concerns checkpoints stands in ``ResumableTrainer``):

    ==========================  ==============================================  =================
    hook                        why                                             done by
    ==========================  ==============================================  =================
    ``get_train_dataloader``    draws of several sources, in an order that is   ``data``
                                a pure function of seed and epoch
    ``get_eval_dataloader``     all sources in one loader                       ``data``
    ``get_test_dataloader``     the same                                        ``data``
    ``get_total_...``           a step has batches of several sources           ``data``
    ``get_batch_samples``       denominators of the whole step                  ``step``
    ``training_step``           one backward for each forward                   ``Trainer``
    ``compute_loss``            one loss a task, then one number                ``step``
    ``evaluate``, ``predict``   raw data sets, keyed by source                  ``data``
    ``evaluation_loop``         metrics of each task                            ``evaluation``
    ``log``                     the loss of each task                           ``loss_log``
    ``floating_point_ops``      batches of several forwards                     ``Trainer``
    ``create_model_card``       a card with every task                          ``hub``
    ``num_examples``            rows of an epoch, repeated ones included        ``data``
    ``_run_epoch``              the sampler learns the epoch on resume, too     ``data``
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
        self.ranks = Ranks(args.world_size, args.process_index)
        check_construction(args, self.suite, self._task_metrics)
        self.processing_class = self.processing_class or self.model.processing_class
        self.train_dataset = self._prepared(train_dataset, "train")
        self.eval_dataset = self._prepared(eval_dataset, "eval")
        evaluated = self.suite if self.eval_dataset is None else self.eval_dataset.suite
        set_best_metric_direction(args, evaluated, self._task_metrics)

    @property
    def suite(self) -> TaskSuite:
        """The tasks of the model."""
        suite: TaskSuite = self.accelerator.unwrap_model(self.model).suite
        return suite

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
        return step_plan(collection, self.args, self._train_batch_size)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Loader of all rows of all sources, in order."""
        datasets = self.eval_dataset if eval_dataset is None else eval_dataset
        collection = self._prepared(datasets, "eval")
        if collection is None:
            raise ValueError("`eval_dataset` must be given to evaluate, but got None.")
        return eval_dataloader(
            collection,
            batch_size=self.args.eval_batch_size,
            **loader_settings(self.args),
        )

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader[Any]:
        """Loader of all rows of all sources, in order."""
        return self.get_eval_dataloader(self._prepared(test_dataset, "test"))

    def _prepared(self, datasets: Any, split: str) -> SourceCollection | None:
        return prepared(datasets, self.model, self.processing_class, split)

    def _run_epoch(self, *args: Any, **settings: Any) -> Any:
        # Upstream sets the epoch after it has wrapped the loader to skip to the position of a
        # checkpoint, where the call no longer reaches the sampler.
        settings["train_dataloader"].batch_sampler.set_epoch(settings["epoch"])
        return super()._run_epoch(*args, **settings)

    # One step

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Micro-batches of a step, and its ``StepScale``, which upstream hands on to our hooks."""
        micro_batches = list(islice(epoch_iterator, num_batches))
        scale = step_scale(micro_batches, self.suite.weights)
        if self.accelerator.scaler is not None:
            check_some_label(scale, self.state.global_step + 1)
        self._loss_log.start_step(scale.num_labelled)
        return micro_batches, scale

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """One backward for each forward of a micro-batch; the total over them, detached."""
        total = torch.zeros((), device=self.args.device)
        for forward in inputs["forwards"]:
            if labels := present_labels(forward, num_items_in_batch):
                own = {**forward, "labels": labels}
                total += super().training_step(model, own, num_items_in_batch)
        return total

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Share of one forward in the total of the step."""
        scale: StepScale = num_items_in_batch
        outputs = model(
            **inputs["inputs"],
            labels=inputs["labels"],
            rows=inputs["rows"],
            denominators=scale.num_labelled,
        )
        self._loss_log.add(outputs.losses)
        total = total_loss(outputs.losses, scale.weights)
        return (total, outputs) if return_outputs else total

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Estimate for all forwards of a micro-batch, as upstream makes it for one."""
        return sum(
            super(MultiTaskTrainer, self).floating_point_ops(forward["inputs"])
            for forward in inputs["forwards"]
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs, with the loss of each task beside the total."""
        if "loss" in logs:
            logs |= {f"loss/{task}": loss for task, loss in self._loss_log.pop().items()}
        super().log(logs, start_time)

    # Evaluation

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Metrics of every task: ``eval_{task}_{metric}``, ``eval_loss`` and ``eval_mean``.

        Args:
            eval_dataset: A data set for each source, or for some: then only their tasks are
                measured. ``None``: those given at construction.
            ignore_keys: Not used; here for the signature of ``Trainer``.
            metric_key_prefix: Prefix of the keys in place of ``eval``.
        """
        prepared = self._prepared(eval_dataset, "eval")
        return super().evaluate(prepared, ignore_keys, metric_key_prefix)

    def predict(
        self,
        test_dataset: Any,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "test",
    ) -> PredictionOutput:
        """Predictions and references by task, and metrics as ``evaluate`` gives them.

        Only rows with a label for a task are among its predictions; ``model.predict`` answers
        any input.

        Args:
            test_dataset: A data set for each source, or for some.
            ignore_keys: Not used; here for the signature of ``Trainer``.
            metric_key_prefix: Prefix of the keys.
        """
        prepared: Any = self._prepared(test_dataset, "test")
        return super().predict(prepared, ignore_keys, metric_key_prefix)

    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """One pass over all sources; every task is measured by its own metrics."""
        del description, prediction_loss_only, ignore_keys
        self.callback_handler.eval_dataloader = dataloader
        output, self._results = evaluate_tasks(
            self.model,
            self._on_device(dataloader),
            self._task_metrics,
            prefix=metric_key_prefix,
            forward_context=self.accelerator.autocast,
        )
        dataset: Any = dataloader.dataset
        return output._replace(num_samples=len(dataset))

    def _on_device(self, dataloader: DataLoader[Any]) -> Iterator[Any]:
        for micro_batch in dataloader:
            yield self._prepare_inputs(micro_batch)
            self.control = self.callback_handler.on_prediction_step(
                self.args, self.state, self.control
            )

    # Card

    def create_model_card(  # type: ignore[override]  # tasks and data sets are known here
        self,
        *,
        license: str | None = None,
        tags: str | Sequence[str] | None = None,
        model_name: str | None = None,
    ) -> None:
        """Writes ``README.md`` into ``output_dir``: the tasks, and the last evaluation of each.

        Args:
            license: Licence of the weights, as the Hub spells it, such as ``"apache-2.0"``.
            tags: More tags for the Hub.
            model_name: Name of the model. ``None``: that of the Hub, or of the folder.
        """
        if not self.is_world_process_zero():
            return
        write_card(
            self.model,
            self.args,
            self._results,
            self._prepared(self.train_dataset, "train"),
            license_name=license,
            tags=[tags] if isinstance(tags, str) else tags or (),
            model_name=model_name,
            hub_name=self.hub_model_id,
        )

    def _mixture(self) -> Mixture:
        return Mixture.of(self._step_plan(self._train_collection()))
