# SPDX-License-Identifier: Apache-2.0
"""From what users hand to a trainer to rows that it can draw, and how they are read."""

from collections.abc import Mapping
from typing import Any

import torch
from datasets import Dataset

from hf_mtl.data import SourceCollection, check_lengths, max_positions, prepare
from hf_mtl.models import MultiTaskModel
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.checkpoints.preemption import outlive_sigterm
from hf_mtl.training.checks import check_by_source, check_prepared

__all__ = ["Datasets", "loader_settings", "prepared"]

Datasets = Mapping[str, Dataset] | SourceCollection
"""Raw rows by source, or prepared ones."""


def prepared(
    datasets: Datasets | None, model: MultiTaskModel, processing_class: Any, split: str
) -> SourceCollection | None:
    """Rows that a trainer can draw; ``None`` if there are none.

    Args:
        datasets: What the user gave. To train, every source is needed; else some will do.
        model: The model.
        processing_class: Tokenizer, image processor, or a processor that holds one.
        split: ``"train"``, ``"eval"`` or ``"test"``.

    Raises:
        TypeError: If data sets are not given by source.
        ValueError: If they do not fit the tasks, or a row is longer than the backbone can read.
    """
    if datasets is None:
        return None
    name, suite = f"{split}_dataset", model.suite
    if isinstance(datasets, SourceCollection):
        check_prepared(name, datasets.suite, suite, is_partial=split != "train")
        return datasets
    check_by_source(name, datasets, suite)
    given = [task for task in suite if suite.source_of(task) in datasets]
    if given and split != "train":
        suite = suite.subset(given)
    collection = prepare(suite, datasets, processing_class, split=split)
    check_lengths(collection, max_positions(model.backbone))
    return collection


def loader_settings(args: MultiTaskTrainingArguments) -> dict[str, Any]:
    """Arguments of ``DataLoader`` that training arguments have."""
    return {
        "num_workers": args.dataloader_num_workers,
        "pin_memory": args.dataloader_pin_memory and torch.cuda.is_available(),
        "prefetch_factor": args.dataloader_prefetch_factor,
        "persistent_workers": args.dataloader_persistent_workers,
        "worker_init_fn": outlive_sigterm if args.enable_jit_checkpoint else None,
    }
