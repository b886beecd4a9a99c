# SPDX-License-Identifier: Apache-2.0
"""How far a run has come in its streams: what a checkpoint keeps of them."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from hf_mtl.data.streams.reader import BlockStart

__all__ = ["StreamPositions"]


class StreamPositions:
    """For every shard of every stream, the last block that a consumed micro-batch used.

    A batch says where a block begins when it is the first to use it. Batches that were read ahead
    but not used have no part in it, because only what was consumed is added here.

    Example:
        >>> positions = StreamPositions()
        >>> positions.add({"news": {"0": {"epoch": 0, "start": 0}}})
        >>> positions.add({"news": {"0": {"epoch": 0, "start": 64}, "1": {"epoch": 0, "start": 0}}})
        >>> positions.of("news")["0"]["start"]
        64
    """

    is_required = True

    def __init__(self) -> None:
        self._starts: dict[str, dict[str, BlockStart]] = {}

    def add(self, positions: Mapping[str, Mapping[str, BlockStart]]) -> None:
        """Takes up what a micro-batch carries under ``"positions"``.

        Args:
            positions: For each source, where blocks begin, by shard.
        """
        for source, starts in positions.items():
            known = self._starts.setdefault(source, {})
            for shard, start in starts.items():
                if shard not in known or _progress(known[shard]) <= _progress(start):
                    known[shard] = start

    def of(self, source: str) -> dict[str, BlockStart]:
        """Where to go on in one source, by shard."""
        return dict(self._starts.get(source, {}))

    def state_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return deepcopy(self._starts)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of ``state_dict``.

        Args:
            state: What it gave.
        """
        self._starts = {source: dict(starts) for source, starts in state.items()}

    @classmethod
    def merge(cls, states: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """One state of those of all ranks, each of which knows of the shards that it reads.

        Args:
            states: What ``state_dict`` gave on each rank.
        """
        merged = cls()
        for state in states:
            merged.add(state)
        return merged.state_dict()


def _progress(start: BlockStart) -> tuple[int, int]:
    return start["epoch"], start["start"]
