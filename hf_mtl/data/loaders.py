# SPDX-License-Identifier: Apache-2.0
"""The data loaders of training and of evaluation: PyTorch's own, with our plan and our batches."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from hf_mtl._numbers import check_positive
from hf_mtl.data.collate import Collate
from hf_mtl.data.collection import SourceCollection, SourceRows
from hf_mtl.data.draw import Draw
from hf_mtl.data.step_plan import StepPlan, share

__all__ = ["eval_dataloader", "train_dataloader"]


def train_dataloader(
    collection: SourceCollection,
    plan: StepPlan,
    *,
    merged: bool = False,
    num_workers: int = 0,
    **options: Any,
) -> DataLoader[SourceRows]:
    """Micro-batches of one rank in the order of the plan, whatever the number of workers.

    Args:
        collection: Prepared rows.
        plan: Which rows come when; its ``set_epoch`` chooses the epoch.
        merged: Whether the draws of a micro-batch share one forward.
        num_workers: Processes that read ahead; 0: none.
        **options: Further arguments of ``torch.utils.data.DataLoader``, such as ``pin_memory``.

    Raises:
        ValueError: If sources of the plan are not those of the collection, or draws of different
            kinds of input are to be merged.
    """
    if list(plan.sizes) != list(collection.sources):
        raise ValueError(
            f"`plan` must be made for the sources of `collection`, {list(collection.sources)}, "
            f"but got {list(plan.sizes)}. Make it from `collection.sizes(...)`."
        )
    return _dataloader(collection, plan, merged=merged, num_workers=num_workers, **options)


def eval_dataloader(
    collection: SourceCollection,
    *,
    batch_size: int = 32,
    world_size: int = 1,
    rank: int = 0,
    num_workers: int = 0,
    **options: Any,
) -> DataLoader[SourceRows]:
    """Every row once over all ranks, source after source, in order; one forward a batch.

    Each batch is dealt out to the ranks in order: the parts of all ranks, one batch after the
    other, are the rows in their order. A rank without a row of a batch gets one without labels.

    Args:
        collection: Prepared rows.
        batch_size: Rows of a batch on each rank, for sources that say nothing else.
        world_size: Number of ranks.
        rank: This rank.
        num_workers: Processes that read ahead; 0: none.
        **options: Further arguments of ``torch.utils.data.DataLoader``, such as ``pin_memory``.

    Raises:
        TypeError: If ``batch_size`` is no whole number.
        ValueError: If it is not positive.
    """
    check_positive("batch_size", batch_size, whole=True)
    in_order = _InOrder(collection, batch_size, world_size, rank)
    return _dataloader(collection, in_order, merged=False, num_workers=num_workers, **options)


class _InOrder(Sampler[list[Draw]]):
    """One draw a batch: the rows of each source from the first to the last."""

    def __init__(
        self, collection: SourceCollection, batch_size: int, world_size: int, rank: int
    ) -> None:
        self.sizes = collection.sizes(batch_size=batch_size, num_slots=world_size)
        self.world_size = world_size
        self.rank = rank

    def __len__(self) -> int:
        return sum(size.num_batches for size in self.sizes.values())

    def __iter__(self) -> Iterator[list[Draw]]:
        for name, size in self.sizes.items():
            for start in range(0, size.num_rows, size.batch_size):
                rows = np.arange(start, min(start + size.batch_size, size.num_rows))
                own = tuple(share(rows, self.rank, self.world_size).tolist())
                yield [Draw(name, own or (start,), is_filler=not own)]


def _dataloader(
    collection: SourceCollection,
    batches: Sampler[list[Draw]],
    *,
    merged: bool,
    num_workers: int,
    **options: Any,
) -> DataLoader[SourceRows]:
    return DataLoader(
        collection,
        batch_sampler=batches,
        collate_fn=Collate(collection.suite, collection.processing_class, merged=merged),
        num_workers=num_workers,
        # Its own, so that making an iterator takes nothing from the generator of dropout.
        generator=torch.Generator().manual_seed(0),
        **options,
    )
