# SPDX-License-Identifier: Apache-2.0
"""Sources that have stopped getting better come rarely, until they get worse."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, final

from hf_mtl._numbers import check_not_negative, check_positive
from hf_mtl._typing import Entry
from hf_mtl.data.samplers.adaptive import AdaptiveSampler, State
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import shares

__all__ = ["StopAndGoSampler"]


@dataclass(frozen=True)
class _Control:
    """What is known of one source.

    Args:
        best: Its best score; ``None`` before the first.
        num_worse: Evaluations in a row that did not beat it.
        cooldown: Evaluations to come in which being no better does not count.
        is_stopped: Whether it comes rarely.
    """

    best: float | None = None
    num_worse: int = 0
    cooldown: int = 0
    is_stopped: bool = False


@SAMPLERS.register("stop_and_go")
@final
@dataclass(frozen=True)
class StopAndGoSampler(AdaptiveSampler):
    """Draws a source rarely once its score has stopped rising, and fully again once it falls.

    For many tasks that converge at different times: what is learned is kept alive at little cost,
    and is not overfitted while the others go on. It needs evaluations; the split that decides
    cannot be the one that reports results. A source is judged by the first metric of its task, or
    by the mean of several, with a minus where lower is better.

    Args:
        base: Entry of the sampler for the rates of sources that go.
        update_every: Steps of a segment; an evaluation counts from the segment after the next.
        gap: How many times more rarely a source comes once it has stopped; above 1.
        patience: Evaluations in a row without a better score that stop a source.
        threshold: How much better a score has to be than the best one, relative to it.
        continue_threshold: How far a score has to fall below the best one for the source to go
            again, relative to it.
        cooldown: Evaluations after a stop or go in which being no better does not count.

    Raises:
        TypeError: If a number is none, or no whole one.
        KeyError: If ``base`` is unknown.
        ValueError: If a number is out of range, or the rates of ``base`` change.

    Example:
        >>> sizes = [SourceSize(100, 8), SourceSize(100, 8)]
        >>> sampler = StopAndGoSampler()
        >>> state = sampler.init_state(2)
        >>> for scores in ([0.5, 0.5], [0.6, 0.5], [0.7, 0.5]):
        ...     state = sampler.state_after_evaluation(state, [None, None], scores)
        >>> sampler.adapted_rates(sizes, state)
        [0.8, 0.2]

    Source:
        Lu et al. 2020, "12-in-1: Multi-Task Vision and Language Representation Learning",
        https://arxiv.org/abs/1912.02315 (dynamic stop-and-go). A quarter of the rate stands for one
        step in four. Their controllers forget everything when the learning rate is dropped;
        ours do not.
    """

    needs_evaluation: ClassVar[bool] = True

    base: Entry = "uniform"
    gap: float = 4.0
    patience: int = 2
    threshold: float = 0.001
    continue_threshold: float = 0.005
    cooldown: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("gap", self.gap)
        if self.gap <= 1:
            raise ValueError(
                f"`gap` must be above 1, but got {self.gap}. Else a source that has stopped would "
                f"come as often as before."
            )
        check_positive("patience", self.patience, whole=True)
        check_not_negative("threshold", self.threshold)
        check_not_negative("continue_threshold", self.continue_threshold)
        if self.cooldown != 0:
            check_positive("cooldown", self.cooldown, whole=True)

    @property
    def idle_evaluations(self) -> int:
        return self.patience + 1  # the first one is what the others are compared with

    def init_state(self, num_sources: int) -> State:
        return {"controls": [asdict(_Control()) for _ in range(num_sources)]}

    def adapted_rates(self, sizes: Sequence[SourceSize], state: State) -> list[float]:
        return shares(
            [
                rate / self.gap if control["is_stopped"] else rate
                for rate, control in zip(self.rates(sizes), state["controls"], strict=True)
            ]
        )

    def state_after_evaluation(
        self, state: State, losses: Sequence[float | None], scores: Sequence[float | None]
    ) -> State:
        known = [_Control(**control) for control in state["controls"]]
        return {
            "controls": [
                asdict(control if score is None else self._after(control, score))
                for control, score in zip(known, scores, strict=True)
            ]
        }

    def _after(self, control: _Control, score: float) -> _Control:
        best = control.best
        if best is None or score > best + self.threshold * abs(best):
            now = replace(control, best=score, num_worse=0)
        else:
            now = replace(control, num_worse=control.num_worse + 1)
        if control.cooldown:
            now = replace(now, cooldown=control.cooldown - 1, num_worse=0)
        if not now.is_stopped and now.num_worse >= self.patience:
            return replace(now, is_stopped=True, num_worse=0, cooldown=self.cooldown)
        has_fallen = best is not None and score < best - self.continue_threshold * abs(best)
        if now.is_stopped and has_fallen:
            return replace(now, is_stopped=False, num_worse=0, cooldown=self.cooldown)
        return now
