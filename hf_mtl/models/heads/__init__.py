# SPDX-License-Identifier: Apache-2.0
"""Heads: from the output of the backbone to the logits of one task, one form a file."""

from hf_mtl.models.heads.base import HEADS, Head, HeadModule, change_output, check_heads
from hf_mtl.models.heads.chain import Chain, ChainModule
from hf_mtl.models.heads.native import Native, NativeModule
from hf_mtl.models.heads.pooled import Pooled, PooledModule

__all__ = [
    "HEADS",
    "Chain",
    "ChainModule",
    "Head",
    "HeadModule",
    "Native",
    "NativeModule",
    "Pooled",
    "PooledModule",
    "change_output",
    "check_heads",
]
