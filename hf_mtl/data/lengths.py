# SPDX-License-Identifier: Apache-2.0
"""How long rows are, and whether the backbone has a position for each of their tokens."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import nn

from hf_mtl.data.collection import PreparedSource, SourceCollection
from hf_mtl.data.labels import arrow_column, is_list
from hf_mtl.data.streams import StreamSource

__all__ = ["check_lengths", "max_positions", "row_lengths", "row_sizes"]


def row_lengths(source: PreparedSource | StreamSource) -> Any | None:
    """Tokens of each row as an Arrow array; ``None`` where rows are encoded when they are read.

    Of a row that is several sequences, those of the longest.
    """
    values = _tokens(source)
    if values is None:
        return None
    lengths, counts = _sequences(values)
    return lengths if counts is None else _longest(lengths, counts)


def row_sizes(source: PreparedSource | StreamSource) -> Any | None:
    """Tokens that each row fills when its sequences are padded; ``None`` as for ``row_lengths``."""
    values = _tokens(source)
    if values is None:
        return None
    lengths, counts = _sequences(values)
    return lengths if counts is None else pc.multiply(_longest(lengths, counts), counts)


def _tokens(source: PreparedSource | StreamSource) -> pa.ChunkedArray | None:
    """The first input column, if it is known and holds lists."""
    if isinstance(source, StreamSource):
        return None
    values = arrow_column(source.dataset, source.input_columns[0])
    return values if is_list(values) else None


def _sequences(values: pa.ChunkedArray) -> tuple[Any, Any | None]:
    """Length of each sequence, and how many a row has; ``None``: one, whose length comes first."""
    inner = pc.list_flatten(values)
    counts = pc.list_value_length(values)
    return (pc.list_value_length(inner), counts) if is_list(inner) else (counts, None)


def _longest(lengths: Any, counts: Any) -> Any:
    """Longest sequence of each row."""
    starts = np.cumsum(counts.to_numpy())[:-1]
    return pa.array(np.maximum.reduceat(lengths.to_numpy(), np.append(0, starts)))


def max_positions(backbone: nn.Module) -> int | None:
    """Longest row that a backbone can read; ``None`` where positions are computed, not looked up.

    Args:
        backbone: The backbone; one on the meta device will do.
    """
    config: Any = backbone.config
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    tables = [
        module
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Embedding) and _is_of_positions(name.rpartition(".")[2])
    ]
    if not isinstance(limit, int) or not tables:
        return None
    # RoBERTa and its relatives count positions from behind that of the padding token.
    reserved = [
        table.padding_idx + 1
        for table in tables
        if table.padding_idx is not None and table.num_embeddings == limit
    ]
    return limit - max(reserved, default=0)


def check_lengths(collection: SourceCollection, max_positions: int | None) -> None:
    """Raises unless the backbone has a position for every token of every row.

    Rows of a stream are checked when they are read, from here on.

    Args:
        collection: The rows.
        max_positions: Tokens of the longest row that the backbone can read; ``None``: any.

    Raises:
        ValueError: If a row is longer.
    """
    if max_positions is None:
        return
    for name, source in collection.sources.items():
        if collection.suite[source.tasks[0]].task_type.input_kind.on_the_fly:
            continue
        if isinstance(source, StreamSource):
            source.max_positions = max_positions
            continue
        lengths = row_lengths(source)
        if lengths is not None and (longest := pc.max(lengths).as_py()) > max_positions:
            row = pc.index(lengths, longest).as_py()
            tasks = ", ".join(repr(task) for task in source.tasks)
            raise ValueError(
                f"Rows must have at most {max_positions} tokens, which is what the backbone has "
                f"positions for, but row {row} of source {name!r} has {longest}. Give "
                f"`max_length` (at most {max_positions}) to its tasks: {tasks}."
            )


def _is_of_positions(name: str) -> bool:
    """Whether a table of that name holds a vector for each position of a row."""
    return name == "wpe" or ("position" in name and "relative" not in name)
