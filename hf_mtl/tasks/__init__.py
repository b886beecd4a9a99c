# SPDX-License-Identifier: Apache-2.0
"""What is learned: task specs and suites, task types, kinds of input and of label."""

from hf_mtl.tasks import types
from hf_mtl.tasks.base import TASK_TYPES, TaskType
from hf_mtl.tasks.inputs import (
    INPUTS,
    ROW_OF_SEQUENCE,
    DrawnInput,
    InputKind,
    WrongRowError,
    batch_of,
    split_words,
    tokenizer_of,
)
from hf_mtl.tasks.labels import LABELS, LabelColumn, LabelKind, RowWords, TracedLabelKind
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, labelled_mask, num_labelled
from hf_mtl.tasks.names import check_metric_keys
from hf_mtl.tasks.schedule import TaskSchedule
from hf_mtl.tasks.spec import Columns, TaskSpec
from hf_mtl.tasks.suite import TaskSuite, check_weights
from hf_mtl.tasks.window import RowWindow

__all__ = [
    "IGNORE_INDEX",
    "INPUTS",
    "LABELS",
    "ROW_OF_SEQUENCE",
    "TASK_TYPES",
    "Columns",
    "DrawnInput",
    "InputKind",
    "LabelColumn",
    "LabelKind",
    "RowWindow",
    "RowWords",
    "TaskSchedule",
    "TaskSpec",
    "TaskSuite",
    "TaskType",
    "TracedLabelKind",
    "WrongRowError",
    "batch_of",
    "check_metric_keys",
    "check_weights",
    "labelled_mask",
    "num_labelled",
    "split_words",
    "tokenizer_of",
    "types",
]
