# SPDX-License-Identifier: Apache-2.0
"""Models that are completed when the data is known."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from datasets import Dataset
from transformers import set_seed

from hf_mtl.data import SourceCollection, find_labels
from hf_mtl.models import MultiTaskModel

__all__ = ["then", "with_label_names"]


def with_label_names(
    model: MultiTaskModel, datasets: Mapping[str, Dataset] | SourceCollection | None, seed: int
) -> MultiTaskModel:
    """The model, with heads for the tasks whose label names have to be found in data.

    Args:
        model: The model; it is changed.
        datasets: Training rows of every source.
        seed: Seed of the new heads.

    Raises:
        ValueError: If label names are needed and there are no data.
    """
    tasks = [task for task, spec in model.suite.items() if spec.needs_labels]
    if tasks and datasets is None:
        raise ValueError(
            f"`train_dataset` must be given to find the label names of {tasks}, but got None. "
            f"Give them in `TaskSpec(labels=...)`."
        )
    if tasks and datasets is not None:
        if isinstance(datasets, SourceCollection):
            found = datasets.suite
        else:
            found = find_labels(model.suite, datasets)
        set_seed(seed)  # new heads are drawn at random
        model.set_labels({task: found[task].known_labels(task) for task in tasks})
    return model


def then(
    model_init: Callable[..., MultiTaskModel], complete: Callable[[MultiTaskModel], MultiTaskModel]
) -> Callable[..., MultiTaskModel]:
    """Both, one after the other, with the signature of the first, which upstream looks at.

    Args:
        model_init: Makes a model, with or without a trial of a hyperparameter search.
        complete: Completes it.
    """

    @functools.wraps(model_init)
    def build(*trial: Any) -> MultiTaskModel:
        return complete(model_init(*trial))

    return build
