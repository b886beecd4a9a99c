# SPDX-License-Identifier: Apache-2.0
"""Gradients by task from one backward over a merged batch."""

from hf_mtl.training.engines.grouped.grouping import Grouping
from hf_mtl.training.engines.grouped.patching import grouped, ungroupable
from hf_mtl.training.engines.grouped.rows import RowGroups
from hf_mtl.training.engines.grouped.sink import DoneSink, GradientSink

__all__ = ["DoneSink", "GradientSink", "Grouping", "RowGroups", "grouped", "ungroupable"]
