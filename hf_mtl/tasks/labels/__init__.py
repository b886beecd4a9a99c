# SPDX-License-Identifier: Apache-2.0
"""What is learned: kinds of label, one file each."""

from hf_mtl.tasks.labels.base import LABELS, LabelKind
from hf_mtl.tasks.labels.class_label import ClassLabel
from hf_mtl.tasks.labels.class_set import ClassSet
from hf_mtl.tasks.labels.column import LabelColumn, RowWords
from hf_mtl.tasks.labels.ordinal import Ordinal
from hf_mtl.tasks.labels.score import Score
from hf_mtl.tasks.labels.token_class import TokenClass

__all__ = [
    "LABELS",
    "ClassLabel",
    "ClassSet",
    "LabelColumn",
    "LabelKind",
    "Ordinal",
    "RowWords",
    "Score",
    "TokenClass",
]
