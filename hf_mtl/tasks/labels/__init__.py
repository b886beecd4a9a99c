# SPDX-License-Identifier: Apache-2.0
"""What is learned: kinds of label, one file each."""

from hf_mtl.tasks.labels.answer_span import AnswerSpan
from hf_mtl.tasks.labels.base import LABELS, LabelKind, TracedLabelKind
from hf_mtl.tasks.labels.choice import Choice
from hf_mtl.tasks.labels.class_label import ClassLabel
from hf_mtl.tasks.labels.class_set import ClassSet
from hf_mtl.tasks.labels.column import LabelColumn, RowWords
from hf_mtl.tasks.labels.masked_token import MaskedToken
from hf_mtl.tasks.labels.ordinal import Ordinal
from hf_mtl.tasks.labels.preference import Preference
from hf_mtl.tasks.labels.score import Score
from hf_mtl.tasks.labels.token_class import TokenClass

__all__ = [
    "LABELS",
    "AnswerSpan",
    "Choice",
    "ClassLabel",
    "ClassSet",
    "LabelColumn",
    "LabelKind",
    "MaskedToken",
    "Ordinal",
    "Preference",
    "RowWords",
    "Score",
    "TokenClass",
    "TracedLabelKind",
]
