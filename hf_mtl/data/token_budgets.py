# SPDX-License-Identifier: Apache-2.0
"""Which sources draw by tokens and not by rows, and whether their rows fit into a batch."""

import numpy as np
import pyarrow.compute as pc

from hf_mtl.data.collection import PreparedSource, SourceCollection
from hf_mtl.data.lengths import row_lengths, row_sizes
from hf_mtl.data.streams import StreamSource
from hf_mtl.data.token_batches import TokenBatches

__all__ = ["token_batches", "tokens_of_batch"]


def tokens_of_batch(
    collection: SourceCollection, source: str, batch_tokens: int | None
) -> int | None:
    """Tokens of a source's batch on each device; ``None`` where its rows are counted.

    What its tasks say comes first, be it rows or tokens.

    Args:
        collection: The rows.
        source: The source.
        batch_tokens: Tokens of a batch for sources that say nothing else; ``None``: not given.
    """
    spec = collection.suite[collection.sources[source].tasks[0]]
    return spec.batch_tokens or (batch_tokens if spec.batch_size is None else None)


def token_batches(
    collection: SourceCollection, batch_tokens: int | None, *, num_slots: int = 1
) -> dict[str, TokenBatches]:
    """How the sources that draw by tokens are cut into draws, by source.

    Args:
        collection: The rows.
        batch_tokens: Tokens of a batch on each device for sources that say nothing else; ``None``:
            these count rows.
        num_slots: Ranks times micro-batches that share one draw.

    Raises:
        ValueError: If a row does not fit, or lengths are not known before rows are read.
    """
    budgets = {name: tokens_of_batch(collection, name, batch_tokens) for name in collection.sources}
    return {
        name: _batches_of(collection.sources[name], tokens, num_slots)
        for name, tokens in budgets.items()
        if tokens is not None
    }


def _batches_of(source: PreparedSource | StreamSource, tokens: int, num_slots: int) -> TokenBatches:
    lengths, sizes = row_lengths(source), row_sizes(source)
    if lengths is None or isinstance(source, StreamSource):
        reason = "is a stream" if isinstance(source, StreamSource) else "is encoded when it is read"
        raise ValueError(
            f"`batch_tokens` must be left out for rows whose length is not known before they are "
            f"read, but got {tokens} and source {source.name!r} {reason}. Give `batch_size` to its "
            f"tasks: {_names(source)}."
        )
    if (largest := pc.max(sizes).as_py()) > tokens:
        raise ValueError(
            f"`batch_tokens` must be at least as large as every row, but got {tokens} and row "
            f"{pc.index(sizes, largest).as_py()} of source {source.name!r} has {largest} tokens. "
            f"Raise it, or give a smaller `max_length` to its tasks: {_names(source)}."
        )
    # A row without any token still has its place in a batch.
    long = np.maximum(np.asarray(lengths), 1)
    return TokenBatches(long, np.maximum(np.asarray(sizes) // long, 1), tokens * num_slots)


def _names(source: PreparedSource | StreamSource) -> str:
    return ", ".join(repr(task) for task in source.tasks)
