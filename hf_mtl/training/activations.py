# SPDX-License-Identifier: Apache-2.0
"""How much a forward keeps for its backward, counted without computing it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc
import torch
from torch import Tensor

from hf_mtl.data import (
    Collate,
    Draw,
    PreparedSource,
    SourceCollection,
    SourceRows,
    row_sizes,
    token_batches,
)
from hf_mtl.models import MultiTaskModel
from hf_mtl.models.backbone import drop_cache
from hf_mtl.training.arguments import MultiTaskTrainingArguments

__all__ = ["largest_forwards", "longest_rows", "most_bytes", "output_bytes", "saved_bytes"]

_SAMPLED_BATCHES = 10


def longest_rows(source: PreparedSource, count: int) -> tuple[int, ...]:
    """Indices of a source's longest rows, the longest first; any rows where they have no length.

    A row of several sequences counts with what these fill when they are padded.
    """
    count = min(count, source.num_rows)
    sizes = row_sizes(source)
    if sizes is None:
        return tuple(range(count))
    order = pc.sort_indices(sizes, sort_keys=[("", "descending")])
    return tuple(order[:count].to_pylist())


def largest_forwards(
    train: SourceCollection,
    batch_size: int,
    *,
    batch_tokens: int | None = None,
    draws: int | None,
    merged: bool,
) -> list[dict[str, Tensor]]:
    """Inputs of the largest forwards that training may see, one for each kind of step.

    Args:
        train: Rows to train on. A stream's longest rows are taken from its first ones.
        batch_size: Rows of a batch for sources that say nothing else.
        batch_tokens: Tokens of one, in place of rows.
        draws: Draws of a step; ``None``: one of each source.
        merged: Whether the draws of a step share a forward.
    """
    by_tokens = token_batches(train, batch_tokens)
    largest = [
        [train[Draw(name, tuple(rows.tolist()))] for rows in by_tokens[name].largest()]
        if name in by_tokens
        else [_largest_rows(train, name, source.batch_size or batch_size)]
        for name, source in train.sources.items()
    ]
    collate = Collate(train.suite, train.processing_class, merged=merged)
    if not merged:
        steps = [[rows] for each in largest for rows in each]
    elif draws is None:
        steps = _together(largest)
    else:
        steps = [[rows, *[each[-1]] * (draws - 1)] for each in largest for rows in each]
    return _largest(forward["inputs"] for step in steps for forward in collate(step)["forwards"])


def _together(largest: Sequence[Sequence[SourceRows]]) -> list[list[SourceRows]]:
    """Draws of all sources with most rows, and likewise with another one of one source."""
    most_rows = [each[-1] for each in largest]
    others = [
        [*most_rows[:source], rows, *most_rows[source + 1 :]]
        for source, each in enumerate(largest)
        for rows in each[:-1]
    ]
    return [most_rows, *others]


def _largest(forwards: Iterable[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Those that are not smaller in every dimension than another, which keeps more."""
    largest: list[dict[str, Tensor]] = []
    for inputs in forwards:
        if not any(_fits_in(inputs, other) for other in largest):
            largest = [*(each for each in largest if not _fits_in(each, inputs)), inputs]
    return largest


def _fits_in(inputs: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return inputs.keys() <= other.keys() and all(
        tensor.ndim == other[name].ndim
        and all(a <= b for a, b in zip(tensor.shape, other[name].shape, strict=True))
        for name, tensor in inputs.items()
    )


def _largest_rows(train: SourceCollection, name: str, count: int) -> SourceRows:
    """A source's longest rows; of a stream those among its first ones, as others are not known."""
    source = train.sources[name]
    if isinstance(source, PreparedSource):
        return train[Draw(name, longest_rows(source, count))]
    rows = train.first_rows(name, _SAMPLED_BATCHES * count)
    kind = train.suite[source.tasks[0]].task_type.input_kind
    sizes = [_size(kind.sequences(features)) for features in rows.features]
    chosen = sorted(range(len(sizes)), key=lambda row: -sizes[row])[:count]
    return SourceRows(
        name,
        [rows.features[row] for row in chosen],
        {task: [labels[row] for row in chosen] for task, labels in rows.labels.items()},
    )


def _size(sequences: Sequence[Mapping[str, Any]]) -> int:
    """What a row fills when it is padded; pictures, of one shape, count by their first axis."""
    return len(sequences) * max(len(next(iter(each.values()))) for each in sequences)


def most_bytes(
    count: Callable[[MultiTaskModel, Mapping[str, Tensor]], int | None],
    model: MultiTaskModel,
    args: MultiTaskTrainingArguments,
    train: SourceCollection,
) -> int | None:
    """What the forward that needs most bytes needs; ``None`` if that is not known of all.

    Args:
        count: Bytes for the inputs of one forward, such as ``saved_bytes``.
        model: A model on the meta device.
        args: The training arguments.
        train: Rows to train on.
    """
    forwards = largest_forwards(
        train,
        args.train_batch_size,
        batch_tokens=args.batch_tokens,
        draws=None if args.tasks_per_step == "all" else int(args.tasks_per_step),
        merged=args.batches == "merged",
    )
    sizes = [count(model, inputs) for inputs in forwards]
    known = [size for size in sizes if size is not None]
    return max(known) if len(known) == len(sizes) else None


def output_bytes(model: MultiTaskModel, inputs: Mapping[str, Tensor]) -> int | None:
    """Bytes of what the backbone gives to heads and gets gradients for, of one forward.

    Args:
        model: A model on the meta device.
        inputs: As for ``saved_bytes``, which gives ``None`` for the same architectures.
    """
    output = _outputs(model, inputs)
    if output is None:
        return None
    tensors = (each for each in output.values() if isinstance(each, Tensor))
    return sum(tensor.nbytes for tensor in tensors if tensor.requires_grad)


def _outputs(model: MultiTaskModel, inputs: Mapping[str, Tensor]) -> Mapping[str, Any] | None:
    """What the backbone gives; ``None`` if it needs values, not only shapes."""
    main_input = {model.main_input_name: inputs[model.main_input_name].to("meta")}
    try:
        outputs: Mapping[str, Any] = model.backbone(**drop_cache(model.backbone, main_input))
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return None
    return outputs


def saved_bytes(model: MultiTaskModel, inputs: Mapping[str, Tensor]) -> int | None:
    """Bytes that the backbone keeps of one forward for its backward, beside its parameters.

    Args:
        model: A model on the meta device.
        inputs: Inputs of one forward, of which only the main one is used: what a mask says
            cannot be read on the meta device.

    Returns:
        The bytes, or ``None`` if the architecture needs values, not only shapes.
    """
    parameters = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            # The storage is held on to, so that no other one gets its address.
            storages[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if _outputs(model, inputs) is None:
            return None
    return sum(storage.nbytes() for storage in storages.values())
