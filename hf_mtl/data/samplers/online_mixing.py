# SPDX-License-Identifier: Apache-2.0
"""Sources with the highest losses, found by a bandit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hf_mtl.data.samplers.adaptive import AdaptiveSampler, Segment, State
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import shares

__all__ = ["OnlineMixingSampler"]

_LOSS_SCALE = 10.0


@SAMPLERS.register("online_mixing")
@final
@dataclass(frozen=True)
class OnlineMixingSampler(AdaptiveSampler):
    """Draws more from the sources with higher losses, and explores less as the run goes on.

    For sources that share one task type, such as domains of text, whose losses can be compared: a
    high loss is taken for something to learn. Losses of different kinds would only be ranked by
    their scale; then take ``learning_progress`` or ``loss_driven``.

    Args:
        base: Entry of the sampler for the rates until the first segment has been seen.
        update_every: Steps of a segment; what it shows counts from the segment after the next.

    Raises:
        TypeError: If ``update_every`` is no whole number.
        KeyError: If ``base`` is unknown.
        ValueError: If ``update_every`` is not positive, or the rates of ``base`` change.

    Example:
        >>> sizes = [SourceSize(900, 8), SourceSize(100, 8)]
        >>> sampler = OnlineMixingSampler()
        >>> segment = Segment([1.0, 5.0], [500, 500], [0.5, 0.5], num_steps=1000)
        >>> state = sampler.state_after_segment(sampler.init_state(2), segment)
        >>> [round(rate, 2) for rate in sampler.adapted_rates(sizes, state)]
        [0.02, 0.98]

    Source:
        Albalak et al. 2023, "Efficient Online Data Mixing For Language Model Pre-Training",
        algorithm 1, https://arxiv.org/abs/2312.02406, with a tenth of the loss as reward, as in
        their code. Rewards of a segment are added up at once, each divided by the chance of its
        source to be in a step.
    """

    def init_state(self, num_sources: int) -> State:
        return {"rewards": [0.0] * num_sources, "num_steps": 0}

    def adapted_rates(self, sizes: Sequence[SourceSize], state: State) -> list[float]:
        num_steps, rewards = state["num_steps"], state["rewards"]
        if not num_steps:
            return self.rates(sizes)
        power = _exploration(len(sizes), num_steps)
        highest = max(rewards)
        exploited = shares([math.exp(power * (reward - highest)) for reward in rewards])
        explored = _exploration(len(sizes), num_steps + 1)
        return shares([(1 - len(sizes) * explored) * each + explored for each in exploited])

    def state_after_segment(self, state: State, segment: Segment) -> State:
        seen = zip(segment.losses, segment.counts, segment.chances, strict=True)
        added = [
            0.0 if loss is None else count * loss / _LOSS_SCALE / chance
            for loss, count, chance in seen
        ]
        return {
            "rewards": [a + b for a, b in zip(state["rewards"], added, strict=True)],
            "num_steps": state["num_steps"] + segment.num_steps,
        }


def _exploration(num_sources: int, step: int) -> float:
    """Least rate of each source in a step; all of them are alike at first."""
    if num_sources == 1:
        return 1.0
    return min(1 / num_sources, math.sqrt(math.log(num_sources) / (num_sources * step)))
