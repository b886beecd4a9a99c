# SPDX-License-Identifier: Apache-2.0
"""How long rows are, and whether the backbone has a position for each of their tokens."""

from typing import Any

import pyarrow.compute as pc
from torch import nn

from hf_mtl.data.collection import PreparedSource, SourceCollection
from hf_mtl.data.labels import arrow_column, is_list
from hf_mtl.data.streams import StreamSource

__all__ = ["check_lengths", "max_positions", "row_lengths"]


def row_lengths(source: PreparedSource | StreamSource) -> Any | None:
    """Tokens of each row as an Arrow array; ``None`` where rows are encoded when they are read."""
    if isinstance(source, StreamSource):
        return None
    values = arrow_column(source.dataset, source.input_columns[0])
    return pc.list_value_length(values) if is_list(values) else None


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
