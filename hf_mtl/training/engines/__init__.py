# SPDX-License-Identifier: Apache-2.0
"""How the gradient of each task of a step is obtained."""

from collections.abc import Mapping

from hf_mtl.training.engines.base import BufferedEngine, Engine, Joined
from hf_mtl.training.engines.block import Block
from hf_mtl.training.engines.grouped import ungroupable
from hf_mtl.training.engines.merged import GroupedEngine, GroupedTwiceEngine
from hf_mtl.training.engines.per_task import RetainedEngine, StreamingEngine
from hf_mtl.training.engines.representation import RepresentationEngine
from hf_mtl.training.engines.scattered import ScatteredBlocks, with_same_rows
from hf_mtl.training.engines.scope import Scope
from hf_mtl.training.engines.whole import WholeBlocks

__all__ = [
    "Block",
    "BufferedEngine",
    "ENGINES",
    "Engine",
    "Joined",
    "ScatteredBlocks",
    "Scope",
    "WholeBlocks",
    "ungroupable",
    "with_same_rows",
]

ENGINES: Mapping[str, type[Engine]] = {
    "grouped": GroupedEngine,
    "grouped_twice": GroupedTwiceEngine,
    "streaming": StreamingEngine,
    "retained": RetainedEngine,
    "representation": RepresentationEngine,
}
"""The engines by the names that users give them."""
