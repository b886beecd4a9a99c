# SPDX-License-Identifier: Apache-2.0
"""``pipeline("multi-task")`` of transformers: all tasks of a model in one pass."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, final

import datasets
from torch.utils.data import Dataset
from transformers import AutoModel, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from hf_mtl.models import MultiTaskModel

__all__ = ["MultiTaskPipeline"]

_TASK = "multi-task"
_BATCH_SIZE = 32
# What is read in batches instead of being one input; a picture may be an array, which has rows too.
_READ_ON = (Iterator, Dataset, datasets.Dataset, datasets.IterableDataset)


@final
class MultiTaskPipeline(Pipeline):
    """Readable answers of all tasks to raw inputs, or of some tasks.

    To import it registers it: ``pipeline("multi-task", model=...)`` then loads a model with its
    tokenizer or image processor. What inputs and answers look like says ``MultiTaskModel.predict``.
    """

    # The model knows its own.
    _load_processor = False  # type: ignore[assignment]  # upstream writes its default only
    _load_image_processor = False  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]
    _load_tokenizer = False  # type: ignore[assignment]

    def __init__(self, model: MultiTaskModel, *args: Any, **kwargs: Any) -> None:
        if not isinstance(model, MultiTaskModel):
            raise TypeError(
                f"`model` must be a multi-task model, but got {type(model).__name__}. Load one "
                f"with `MultiTaskModel.from_pretrained`, or choose a pipeline for single tasks."
            )
        self._given = next(
            filter(None, map(kwargs.get, ("processor", "tokenizer", "image_processor"))), None
        )
        self._tasks: Any = kwargs.get("tasks")
        super().__init__(model, *args, **kwargs)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Answers to one input or to several.

        Args:
            inputs: One input, a list, or an iterator or data set, which is read in batches.
            args: Not used; here for the signature of ``Pipeline``.
            kwargs: ``tasks``, the names of the tasks to answer, and ``batch_size``; as given at
                construction if they are left out.

        Returns:
            ``{task: answer}`` for one input; a list of such for a list; an iterator over them for
            anything else that is iterated over.
        """
        del args
        given = {"batch_size": self._batch_size, "tasks": self._tasks, **kwargs}
        settings = {"batch_size": given["batch_size"] or _BATCH_SIZE, "tasks": given["tasks"]}
        self._sanitize_parameters(**kwargs)
        if isinstance(inputs, _READ_ON):
            return self._read(iter(inputs), **settings)
        return self._answers(inputs, **settings)

    def _read(self, inputs: Iterator[Any], **settings: Any) -> Iterator[dict[str, Any]]:
        while rows := list(islice(inputs, settings["batch_size"])):
            yield from self._answers(rows, **settings)

    def _answers(self, inputs: Any, **settings: Any) -> Any:
        with self.device_placement():
            model: Any = self.model
            return model.predict(inputs, processing_class=self._given, **settings)

    def _sanitize_parameters(
        self, **given: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if unknown := sorted(given.keys() - {"tasks", "batch_size", "num_workers"}):
            raise TypeError(
                f"A multi-task pipeline takes `tasks` and `batch_size`, but got {unknown}. Leave "
                f"them out."
            )
        return {}, {}, {}

    def preprocess(self, input_: Any, **parameters: Any) -> dict[str, Any]:
        """The input as it is: ``MultiTaskModel.predict`` encodes it."""
        return {"input": input_}

    def _forward(self, input_tensors: dict[str, Any], **parameters: Any) -> Any:
        return {"answers": self._answers(input_tensors["input"], **parameters)}

    def postprocess(self, model_outputs: Any, **parameters: Any) -> Any:
        """The answers."""
        return model_outputs["answers"]


PIPELINE_REGISTRY.register_pipeline(
    _TASK, pipeline_class=MultiTaskPipeline, pt_model=AutoModel, type="multimodal"
)
