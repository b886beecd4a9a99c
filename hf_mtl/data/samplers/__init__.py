# SPDX-License-Identifier: Apache-2.0
"""Which source comes next: the samplers, one file each."""

from hf_mtl.data.samplers.adaptive import AdaptiveSampler, Segment
from hf_mtl.data.samplers.alpha import AlphaSampler
from hf_mtl.data.samplers.annealed import AnnealedSampler
from hf_mtl.data.samplers.base import SAMPLERS, WHOLE, SourceSize, Span, TaskSampler
from hf_mtl.data.samplers.by_rate import RandomSampler
from hf_mtl.data.samplers.dst import DSTSampler
from hf_mtl.data.samplers.fixed import FixedSampler
from hf_mtl.data.samplers.learning_progress import LearningProgressSampler
from hf_mtl.data.samplers.loss_driven import LossDrivenSampler
from hf_mtl.data.samplers.nested import NestedSampler
from hf_mtl.data.samplers.online_mixing import OnlineMixingSampler
from hf_mtl.data.samplers.proportional import ProportionalSampler
from hf_mtl.data.samplers.round_robin import RoundRobinSampler
from hf_mtl.data.samplers.rounds import STOPPING_RULES
from hf_mtl.data.samplers.scheduled import ScheduledSampler
from hf_mtl.data.samplers.settled import SettledRates
from hf_mtl.data.samplers.sqrt import SqrtSampler
from hf_mtl.data.samplers.stages import StagesSampler
from hf_mtl.data.samplers.stop_and_go import StopAndGoSampler
from hf_mtl.data.samplers.temperature import TemperatureSampler
from hf_mtl.data.samplers.uniform import UniformSampler
from hf_mtl.data.samplers.unimax import UniMaxSampler

__all__ = [
    "SAMPLERS",
    "STOPPING_RULES",
    "WHOLE",
    "AdaptiveSampler",
    "AlphaSampler",
    "AnnealedSampler",
    "DSTSampler",
    "FixedSampler",
    "LearningProgressSampler",
    "LossDrivenSampler",
    "NestedSampler",
    "OnlineMixingSampler",
    "ProportionalSampler",
    "RandomSampler",
    "RoundRobinSampler",
    "ScheduledSampler",
    "Segment",
    "SettledRates",
    "SourceSize",
    "Span",
    "SqrtSampler",
    "StagesSampler",
    "StopAndGoSampler",
    "TaskSampler",
    "TemperatureSampler",
    "UniMaxSampler",
    "UniformSampler",
]
