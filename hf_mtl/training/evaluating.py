# SPDX-License-Identifier: Apache-2.0
"""The Trainer of transformers with an evaluation of every task."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput, PredictionOutput

from hf_mtl.data import SourceCollection, eval_dataloader
from hf_mtl.evaluation import ResultRow
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.card import write_card
from hf_mtl.training.evaluation import ComputeMetrics, evaluate_tasks
from hf_mtl.training.faults import lost_rank_named
from hf_mtl.training.loading import loader_settings, prepared
from hf_mtl.training.resumable import ResumableTrainer

__all__ = ["EvaluatingTrainer"]


class EvaluatingTrainer(ResumableTrainer):
    """Measures every task by its own metrics, and tells of it in a card.

    ==========================  ==============================================  =================
    hook                        why                                             done by
    ==========================  ==============================================  =================
    ``get_eval_dataloader``     all sources in one loader                       ``data``
    ``get_test_dataloader``     the same                                        ``data``
    ``evaluate``, ``predict``   raw data sets, keyed by source                  ``data``
    ``evaluation_loop``         metrics of each task                            ``evaluation``
    ``create_model_card``       a card with every task                          ``hub``
    ==========================  ==============================================  =================
    """

    _task_metrics: Mapping[str, ComputeMetrics]
    _results: list[ResultRow]

    @property
    def suite(self) -> TaskSuite:
        """The tasks of the model."""
        # Not `accelerator.unwrap_model`, which takes milliseconds: wrappers pass it on.
        suite: TaskSuite = self.model.suite
        return suite

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Loader of all rows of all sources, in order."""
        datasets = self.eval_dataset if eval_dataset is None else eval_dataset
        collection = self._prepared(datasets, "eval")
        if collection is None:
            raise ValueError("`eval_dataset` must be given to evaluate, but got None.")
        return eval_dataloader(
            collection,
            batch_size=self.args.eval_batch_size,
            world_size=self.ranks.world_size,
            rank=self.ranks.rank,
            **loader_settings(self.args),
        )

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader[Any]:
        """Loader of all rows of all sources, in order."""
        return self.get_eval_dataloader(self._prepared(test_dataset, "test"))

    def _prepared(self, datasets: Any, split: str) -> SourceCollection | None:
        if datasets is None or isinstance(datasets, SourceCollection):
            return prepared(datasets, self.model, self.processing_class, split)
        # The others find in the cache what the first rank has encoded.
        with self.args.main_process_first(desc=f"encoding of {split} data"):
            return prepared(datasets, self.model, self.processing_class, split)

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
        self.strategy.place(self.model, self.args.device)
        with lost_rank_named(lambda: self.state.global_step, self.ranks.world_size):
            output, self._results = evaluate_tasks(
                self.model,
                self._on_device(dataloader),
                self._task_metrics,
                prefix=metric_key_prefix,
                ranks=self.ranks,
                forward_context=self.accelerator.autocast,
                baseline_scores=self.args.baseline_scores,
            )
        dataset: Any = dataloader.dataset
        return output._replace(num_samples=len(dataset))

    def _on_device(self, dataloader: DataLoader[Any]) -> Iterator[Any]:
        for micro_batch in dataloader:
            yield self._prepare_inputs(micro_batch)
            self.control = self.callback_handler.on_prediction_step(
                self.args, self.state, self.control
            )

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
