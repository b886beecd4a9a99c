# SPDX-License-Identifier: Apache-2.0
"""Which source comes next: the samplers, one file each."""

from hf_mtl.data.samplers.base import SAMPLERS, SourceSize, TaskSampler
from hf_mtl.data.samplers.proportional import ProportionalSampler
from hf_mtl.data.samplers.round_robin import RoundRobinSampler
from hf_mtl.data.samplers.rounds import STOPPING_RULES
from hf_mtl.data.samplers.temperature import TemperatureSampler
from hf_mtl.data.samplers.uniform import UniformSampler

__all__ = [
    "SAMPLERS",
    "STOPPING_RULES",
    "ProportionalSampler",
    "RoundRobinSampler",
    "SourceSize",
    "TaskSampler",
    "TemperatureSampler",
    "UniformSampler",
]
