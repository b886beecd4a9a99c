# SPDX-License-Identifier: Apache-2.0
"""One data set per source -> one stream of batches: load, prepare, draw, collate."""

from hf_mtl.data.collate import Collate, Forward, MicroBatch
from hf_mtl.data.collection import PreparedSource, SourceCollection, SourceRows
from hf_mtl.data.columns import label_column_name
from hf_mtl.data.draw import Draw
from hf_mtl.data.labels import find_labels
from hf_mtl.data.lengths import check_lengths, max_positions, row_lengths, row_sizes
from hf_mtl.data.load import load_source
from hf_mtl.data.loaders import eval_dataloader, train_dataloader
from hf_mtl.data.prepare import prepare
from hf_mtl.data.samplers import (
    SAMPLERS,
    STOPPING_RULES,
    WHOLE,
    AdaptiveSampler,
    AlphaSampler,
    AnnealedSampler,
    DSTSampler,
    FixedSampler,
    LearningProgressSampler,
    LossDrivenSampler,
    NestedSampler,
    OnlineMixingSampler,
    ProportionalSampler,
    RandomSampler,
    RoundRobinSampler,
    ScheduledSampler,
    Segment,
    SettledRates,
    SourceSize,
    Span,
    SqrtSampler,
    StagesSampler,
    StopAndGoSampler,
    TaskSampler,
    TemperatureSampler,
    UniformSampler,
    UniMaxSampler,
)
from hf_mtl.data.source_checks import check_source
from hf_mtl.data.splits import split_dataset, subsample
from hf_mtl.data.step_plan import StepPlan
from hf_mtl.data.streams import StreamPositions, StreamSource
from hf_mtl.data.token_batches import TokenBatches
from hf_mtl.data.token_budgets import token_batches, tokens_of_batch

__all__ = [
    "SAMPLERS",
    "STOPPING_RULES",
    "WHOLE",
    "AdaptiveSampler",
    "AlphaSampler",
    "AnnealedSampler",
    "Collate",
    "DSTSampler",
    "Draw",
    "FixedSampler",
    "Forward",
    "LearningProgressSampler",
    "LossDrivenSampler",
    "MicroBatch",
    "NestedSampler",
    "OnlineMixingSampler",
    "PreparedSource",
    "ProportionalSampler",
    "RandomSampler",
    "RoundRobinSampler",
    "ScheduledSampler",
    "Segment",
    "SettledRates",
    "SourceCollection",
    "SourceRows",
    "SourceSize",
    "Span",
    "SqrtSampler",
    "StagesSampler",
    "StepPlan",
    "StopAndGoSampler",
    "StreamPositions",
    "StreamSource",
    "TaskSampler",
    "TemperatureSampler",
    "TokenBatches",
    "UniMaxSampler",
    "UniformSampler",
    "check_lengths",
    "check_source",
    "eval_dataloader",
    "find_labels",
    "label_column_name",
    "load_source",
    "max_positions",
    "prepare",
    "row_lengths",
    "row_sizes",
    "split_dataset",
    "subsample",
    "token_batches",
    "tokens_of_batch",
    "train_dataloader",
]
