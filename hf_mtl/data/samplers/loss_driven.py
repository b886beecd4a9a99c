# SPDX-License-Identifier: Apache-2.0
"""More of the sources whose losses have come down least."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import final

from hf_mtl._numbers import check_interval, check_positive
from hf_mtl.data.samplers.adaptive import AdaptiveSampler, Segment, State
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import shares

__all__ = ["LossDrivenSampler"]

_LEAST_LOSS = 1e-8


@SAMPLERS.register("loss_driven")
@final
@dataclass(frozen=True)
class LossDrivenSampler(AdaptiveSampler):
    """Draws more from the sources whose training loss has come down least since the first segment.

    Losses are compared with themselves, so that their scales do not matter. It is what the
    weighting ``lbtw`` does, done to the mixture: a slow source gets more examples, not larger
    gradients.

    Args:
        base: Entry of the sampler for the rates that are multiplied.
        update_every: Steps of a segment; what it shows counts from the segment after the next.
        alpha: Power of a loss in terms of its first one, above 0: the larger, the further rates
            are apart.
        floor: Share of the examples that comes at the base rates whatever happens, above 0 and
            below 1.

    Raises:
        TypeError: If a number is none, or no whole one.
        KeyError: If ``base`` is unknown.
        ValueError: If a number is out of range, or the rates of ``base`` change.

    Example:
        >>> sizes = [SourceSize(100, 8), SourceSize(100, 8)]
        >>> sampler = LossDrivenSampler(floor=0.1)
        >>> state = sampler.init_state(2)
        >>> for losses in ([1.0, 4.0], [1.0, 1.0]):
        ...     segment = Segment(losses, [10, 10], [0.5, 0.5], num_steps=20)
        ...     state = sampler.state_after_segment(state, segment)
        >>> [round(rate, 2) for rate in sampler.adapted_rates(sizes, state)]  # 1 to 1 / 2, floored
        [0.65, 0.35]

    Source:
        The weights of Liu, Liang and Gitter 2019, "Loss-Balanced Task Weighting to Reduce Negative
        Transfer in Multi-Task Learning", as rates; 0.5 is their choice. Means over segments stand
        in for single batches, and the first segment for the first batch of an epoch. The floor is
        ours, so that a source whose loss is near 0 is not forgotten.
    """

    alpha: float = 0.5
    floor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("alpha", self.alpha)
        check_interval("floor", self.floor, "(0, 1)")

    @property
    def idle_segments(self) -> int:
        return 2  # the first one is what the others are compared with

    def init_state(self, num_sources: int) -> State:
        return {"first": [None] * num_sources, "last": [None] * num_sources}

    def adapted_rates(self, sizes: Sequence[SourceSize], state: State) -> list[float]:
        ratios = [
            1.0 if last is None else (max(last, _LEAST_LOSS) / first) ** self.alpha
            for first, last in zip(state["first"], state["last"], strict=True)
        ]
        base = self.rates(sizes)
        driven = shares(list(map(mul, base, ratios)))
        return [
            self.floor * own + (1 - self.floor) * each
            for own, each in zip(base, driven, strict=True)
        ]

    def state_after_segment(self, state: State, segment: Segment) -> State:
        first, last = list(state["first"]), list(state["last"])
        for source, loss in enumerate(segment.losses):
            if loss is None:
                continue
            last[source] = loss
            if first[source] is None:
                first[source] = max(loss, _LEAST_LOSS)
        return {"first": first, "last": last}
