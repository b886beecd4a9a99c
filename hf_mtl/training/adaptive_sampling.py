# SPDX-License-Identifier: Apache-2.0
"""The adaptive sampler of a run: its state, what it is told, and the rates that it settles."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from torch import Tensor
from transformers import TrainerCallback

from hf_mtl.data import SAMPLERS, AdaptiveSampler, Segment, SettledRates, SourceSize, StepPlan
from hf_mtl.data.samplers.base import draw_odds
from hf_mtl.evaluation import first_metrics
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.adaptive_checks import (
    adaptive_sampler_of,
    check_adaptive_sampler,
    check_changes_in_time,
)
from hf_mtl.training.loss_log import LossLog
from hf_mtl.training.ranks import Ranks

__all__ = ["AdaptiveSampling"]


@dataclass(frozen=True)
class _Run:
    """What does not change while a run goes on."""

    sampler: AdaptiveSampler
    plan: StepPlan

    @property
    def sizes(self) -> list[SourceSize]:
        return list(self.plan.sizes.values())

    def segment_of(self, step: int) -> int:
        return step // self.sampler.update_every

    def rates(self, state: Mapping[str, Any]) -> list[float]:
        """Rates at a state, checked."""
        rates = self.sampler.adapted_rates(self.sizes, state)
        if not (all(rate > 0 for rate in rates) and math.isclose(sum(rates), 1)):
            raise ValueError(
                f"Rates must be above 0 and together 1, but {type(self.sampler).__name__} gave "
                f"{dict(zip(self.plan.sizes, rates, strict=True))} for the state {dict(state)}."
            )
        return rates

    def chances(self, rates: Sequence[float]) -> list[float]:
        """Chance of a step to have each source, at some rates."""
        odds = draw_odds(rates, self.sizes)
        num_draws = int(self.plan.tasks_per_step)
        return [1 - (1 - own / sum(odds)) ** num_draws for own in odds]


class AdaptiveSampling(TrainerCallback):
    """Tells an adaptive sampler what the run shows, and settles the rates of its segments.

    The rates of a segment are settled when the segment before it begins, so before anything of it
    is drawn: ``check_adaptive_sampler`` sees to it that loaders read less than a segment ahead.
    With another sampler nothing happens. Every rank has the same state, because it is told the
    same.

    Args:
        suite: Gives the tasks.
        ranks: The ranks of the run.
    """

    is_required = True

    def __init__(self, suite: Callable[[], TaskSuite], ranks: Ranks) -> None:
        self._suite = suite
        self._ranks = ranks
        self.settled = SettledRates()
        self._run: _Run | None = None
        self._state: Mapping[str, Any] = {}
        # Of the segment so far; losses are this rank's share.
        self._losses = LossLog()
        self._counts: dict[str, int] = {}
        self._loaded: Mapping[str, Any] | None = None
        self._resumed_at: int | None = None

    def rates(self, step: int) -> dict[str, float]:
        """Rate in examples of each source in a step of the run; none without such a sampler.

        Args:
            step: Steps that were made before it.
        """
        if self._run is None:
            return {}
        return dict(
            zip(self._run.plan.sizes, self.settled.of(self._run.segment_of(step)), strict=True)
        )

    def add_step(self, losses: Mapping[str, Tensor]) -> None:
        """Adds a step that was made.

        Args:
            losses: This rank's share of the loss of each task that was present.
        """
        if self._run is None:
            return
        self._losses.add_step(losses)
        suite = self._suite()
        for source in {suite.source_of(task) for task in losses}:
            self._counts[source] = self._counts.get(source, 0) + 1

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begins a run with what its checkpoint remembers, or with nothing."""
        loaded, self._loaded, self._resumed_at = self._loaded, None, None
        sampler = adaptive_sampler_of(args)
        self._run = None
        if sampler is None:
            return
        check_adaptive_sampler(args)  # a trial of a search may have changed the arguments
        plan: StepPlan = kwargs["train_dataloader"].batch_sampler
        every = plan.num_steps
        if args.eval_strategy == "steps":
            every = state.eval_steps
        check_changes_in_time(sampler, state.max_steps, every, first_is_given=args.eval_on_start)
        self._run = _Run(sampler, plan)
        self._losses.clear()
        self._counts = {}
        if loaded is not None and loaded["mixture"] == self._mixture(self._run):
            self._resumed_at = state.global_step
            self._state, self._counts = loaded["state"], dict(loaded["counts"])
            self.settled.load_state_dict(loaded["settled"])
            self._losses.load_state_dict(self._own_share(loaded["losses"]), args.device)
            return
        self._state = sampler.init_state(len(self._run.sizes))
        self.settled.clear()
        segment = self._run.segment_of(state.global_step)
        for each in (segment, segment + 1):
            self.settled.settle(each, sampler.rates(self._run.sizes))

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """At the first step of a segment, settles the rates of the next one."""
        run = self._run
        if run is None or state.global_step % run.sampler.update_every:
            return
        self.settled.settle(run.segment_of(state.global_step) + 1, run.rates(self._state))
        # A resumed run needs those of its epoch, to know what was drawn.
        self.settled.forget_before(run.segment_of(run.plan.epoch * run.plan.num_steps))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """At the last step of a segment, tells the sampler of it."""
        run = self._run
        if run is None or state.global_step % run.sampler.update_every:
            return
        line = self._losses.pop(self._ranks)
        by_task = {task: line.get(f"loss/{task}") for task in self._suite()}
        segment = Segment(
            losses=self._by_source(by_task),
            counts=[self._counts.get(source, 0) for source in run.plan.sizes],
            chances=run.chances(self.settled.of(run.segment_of(state.global_step - 1))),
            num_steps=run.sampler.update_every,
        )
        self._counts = {}
        self._state = run.sampler.state_after_segment(self._state, segment)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tells the sampler of an evaluation, if it goes by these."""
        run, metrics = self._run, kwargs["metrics"]
        # When it begins, a resumed run repeats an evaluation that it has learned from.
        if run is None or not run.sampler.needs_evaluation:
            return
        if state.global_step == self._resumed_at:
            return
        losses, scores = {}, {}
        suite = self._suite()
        for task, first in first_metrics(suite).items():
            losses[task] = metrics.get(f"eval_{task}_loss")
            score = metrics.get(f"eval_{first.key}")
            scores[task] = score if score is None or first.greater_is_better else -score
        self._state = run.sampler.state_after_evaluation(
            self._state, self._by_source(losses), self._by_source(scores)
        )

    def _by_source(self, values: Mapping[str, float | None]) -> list[float | None]:
        """Mean of the tasks of each source; ``None`` where there is none, or one is not finite."""
        assert self._run is not None
        by_source: dict[str, list[float]] = {source: [] for source in self._run.plan.sizes}
        for task, value in values.items():
            if value is not None:
                by_source[self._suite().source_of(task)].append(value)
        means = [fmean(each) if each else None for each in by_source.values()]
        return [mean if mean is not None and math.isfinite(mean) else None for mean in means]

    def _mixture(self, run: _Run) -> dict[str, Any]:
        """What the state is worth nothing without."""
        mixture = {"sampler": SAMPLERS.to_config(run.sampler), "sources": list(run.plan.sizes)}
        plain: dict[str, Any] = json.loads(json.dumps(mixture))  # as it is in a checkpoint
        return plain

    def _own_share(self, shares: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Losses of the segment on this rank; of another number of ranks, the first has all."""
        if len(shares) == self._ranks.world_size:
            return shares[self._ranks.rank]
        is_first = self._ranks.rank == 0
        sums = {
            task: sum(share["sums"][task] for share in shares) if is_first else 0.0
            for task in shares[0]["sums"]
        }
        return {**shares[0], "sums": sums}

    def state_dict(self) -> dict[str, Any]:
        """What is remembered on this rank, as plain values."""
        assert self._run is not None
        return {
            "mixture": self._mixture(self._run),
            "state": self._state,
            "settled": self.settled.state_dict(),
            "counts": dict(self._counts),
            "losses": self._losses.state_dict(),
        }

    def merge(self, states: list[Any]) -> Any:
        """That of the first rank, with the losses of all of them."""
        return {**states[0], "losses": [state["losses"] for state in states]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Keeps the state until the run begins.

        Args:
            state: What ``merge`` gave.
        """
        self._loaded = state
