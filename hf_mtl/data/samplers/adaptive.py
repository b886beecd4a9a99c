# SPDX-License-Identifier: Apache-2.0
"""Samplers whose rates follow what a run has shown, and what they are told of it.

A run is cut into segments of ``update_every`` steps, counted from its first step through all
epochs. At the end of each the sampler learns the losses that the sources had in it; evaluations it
learns of when they happen. The rates of a segment are settled one segment before it begins: data
loaders read ahead, and what they have drawn cannot be taken back.

A sampler describes. What changes is its state, plain JSON values that the trainer keeps, puts into
checkpoints and hands back. Every rank is told the same, so that every rank draws the same.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from hf_mtl._numbers import check_positive
from hf_mtl._typing import Entry
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize, TaskSampler
from hf_mtl.data.samplers.by_rate import RandomSampler

__all__ = ["AdaptiveSampler", "Segment", "State"]

State = Mapping[str, Any]
"""State of an adaptive sampler by name: plain JSON values, never changed in place."""


@dataclass(frozen=True)
class Segment:
    """What a segment of a run has shown, over all ranks.

    Args:
        losses: Mean training loss of each source, over the steps that had a label of it; ``None``
            for a source without such a step. That of several tasks is the mean of theirs.
        counts: Steps that had a label of each source.
        chances: Chance of a step of this segment to have each source.
        num_steps: Steps of the segment.
    """

    losses: Sequence[float | None]
    counts: Sequence[int]
    chances: Sequence[float]
    num_steps: int


@dataclass(frozen=True)
class AdaptiveSampler(RandomSampler):
    """Draws that are random, at rates that follow what the run has shown.

    An epoch has as many draws as one of the base sampler, whatever the rates become, and outside
    of a run the rates are those of the base sampler.

    Args:
        base: Entry of the sampler for rates as long as nothing is known.
        update_every: Steps of a segment; what it shows counts from the segment after the next.

    Attributes:
        needs_evaluation: Whether it goes by evaluations, in place of training losses.
    """

    needs_evaluation: ClassVar[bool] = False

    base: Entry = "proportional"
    update_every: int = 100

    def __post_init__(self) -> None:
        check_positive("update_every", self.update_every, whole=True)
        base = SAMPLERS.build(self.base)
        if base.changes or isinstance(base, AdaptiveSampler):
            raise ValueError(
                f"`base` must be a sampler whose rates stay as they are, but got {self.base!r}. "
                f"Choose another one, such as 'proportional' or 'uniform'."
            )

    @property
    def needs_sizes(self) -> bool:  # type: ignore[override]  # what it is depends on the base
        """Whether the rates depend on how large the sources are."""
        return self.base_sampler.needs_sizes

    @property
    @final
    def base_sampler(self) -> TaskSampler:
        """The sampler for rates as long as nothing is known."""
        return SAMPLERS.build(self.base)

    @property
    def idle_segments(self) -> int:
        """Segments that it has to see before its rates can change."""
        return 1

    @property
    def idle_evaluations(self) -> int:
        """Evaluations that it has to see before its rates can change, if it goes by these."""
        return 1

    def check_sources(self, names: Sequence[str]) -> None:
        self.base_sampler.check_sources(names)

    @final
    def num_draws(self, sizes: Sequence[SourceSize]) -> int:
        return self.base_sampler.num_draws(sizes)

    @final
    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return self.base_sampler.rates(sizes, progress)

    @abstractmethod
    def init_state(self, num_sources: int) -> State:
        """State before the first step.

        Args:
            num_sources: Sources of the mixture.
        """

    @abstractmethod
    def adapted_rates(self, sizes: Sequence[SourceSize], state: State) -> list[float]:
        """Share of each source in the examples; all above 0, and together 1.

        Args:
            sizes: Size of every source.
            state: The state; it is not changed.
        """

    def state_after_segment(self, state: State, segment: Segment) -> State:
        """State after a segment of the run: a new one.

        Args:
            state: The state before; it is not changed.
            segment: What the segment has shown.
        """
        del segment
        return state

    def state_after_evaluation(
        self, state: State, losses: Sequence[float | None], scores: Sequence[float | None]
    ) -> State:
        """State after an evaluation: a new one; asked only if ``needs_evaluation``.

        Args:
            state: The state before; it is not changed.
            losses: Evaluation loss of each source; ``None`` for one that was not evaluated, or
                whose loss is not finite. That of several tasks is the mean of theirs.
            scores: Likewise, the first metric of its tasks, with a minus where lower is better.
        """
        del losses, scores
        return state
