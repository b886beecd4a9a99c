# SPDX-License-Identifier: Apache-2.0
"""What a stream must be, and what cannot be done with one."""

from collections.abc import Sequence

from datasets import IterableDataset

from hf_mtl._checks import message_of
from hf_mtl.data.samplers import SAMPLERS, TaskSampler
from hf_mtl.data.streams.pipeline import is_shuffled
from hf_mtl.data.streams.raw import first_row

__all__ = ["check_stream", "check_unknown_lengths"]


def check_stream(name: str, dataset: IterableDataset, *, is_train: bool) -> list[str]:
    """Names of a stream's columns, found in its first row.

    Args:
        name: The stream, for messages.
        dataset: It.
        is_train: Whether it is there to train on.

    Raises:
        TypeError: If it is there for something else.
        ValueError: If it is shuffled, has no row, or its first row cannot be read.
    """
    if not is_train:
        raise TypeError(
            f"{name} must be a `datasets.Dataset`, but got {type(dataset).__name__}: every row is "
            f"evaluated, each time. Take some into memory: "
            f"`Dataset.from_list(list(stream.take(1000)))`."
        )
    if is_shuffled(dataset):
        raise ValueError(
            f"{name} must not be shuffled by `stream.shuffle`, whose buffer is lost when a run is "
            f"resumed. Leave it out: rows are shuffled here, see `stream_shuffle_rows`."
        )
    try:
        row = first_row(dataset)
    except Exception as error:  # whatever the format's reader raises
        raise ValueError(
            f"The first row of {name} cannot be read: {message_of(error)} Correct the data."
        ) from error
    if row is None:
        raise ValueError(f"{name} must have at least one row, but its stream is empty.")
    return list(row)


def check_unknown_lengths(
    sources: Sequence[str], max_steps: int, sampler: TaskSampler | None
) -> None:
    """Raises ``ValueError`` unless a run can do without the lengths of some streams.

    Args:
        sources: Streams of unknown length.
        max_steps: Steps of the run; below 1: not given.
        sampler: What chooses between the sources; ``None``: nothing does.
    """
    advice = "say how many rows they have, in `num_rows` of `prepare` or of the recipe's source"
    if sampler is not None and sampler.needs_sizes:
        others = [name for name in SAMPLERS.names() if not SAMPLERS.get(name).needs_sizes]
        raise ValueError(
            f"`sampler` must be one that does without the sizes of the sources, such as {others}, "
            f"because the lengths of streams {list(sources)} are not known, but got {sampler!r}. "
            f"Choose one, or `tasks_per_step` 'all', or {advice}."
        )
    if max_steps < 1:
        raise ValueError(
            f"`max_steps` must be given, because the lengths of streams {list(sources)} are not "
            f"known, but got {max_steps}. Give it, or {advice}."
        )
