# SPDX-License-Identifier: Apache-2.0
"""Streamed sources: rows that are read when they are drawn, in an order that is exact on resume."""

from hf_mtl.data.streams.order import StreamOrder
from hf_mtl.data.streams.pipeline import is_shuffled
from hf_mtl.data.streams.positions import StreamPositions
from hf_mtl.data.streams.raw import first_row
from hf_mtl.data.streams.reader import BlockStart
from hf_mtl.data.streams.source import StreamSource

__all__ = [
    "BlockStart",
    "StreamOrder",
    "StreamPositions",
    "StreamSource",
    "first_row",
    "is_shuffled",
]
