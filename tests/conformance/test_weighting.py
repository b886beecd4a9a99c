# SPDX-License-Identifier: Apache-2.0
"""Laws that every registered loss weighting obeys, and proof that a faulty one is caught."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from hf_mtl.weighting import (
    WEIGHTINGS,
    RLWWeighting,
    State,
    Weighting,
    WeightingContext,
)

NUM_TASKS = 4
SUBSETS = [
    torch.tensor(subset) for size in (1, 2, 3, 4) for subset in combinations(range(NUM_TASKS), size)
]
ENTRIES = [
    *WEIGHTINGS.names(),
    {"name": "uncertainty", "penalty": "log1p"},
    {"name": "famo", "min_loss": 0.05},
    {"name": "dwa", "interval_steps": 2},
    {"name": "validation_loss", "smoothing": 0.9, "temperature": 0.1},
]
WEIGHTINGS_AND_VARIANTS = [WEIGHTINGS.build(entry) for entry in ENTRIES]

over_weightings = pytest.mark.parametrize("weighting", WEIGHTINGS_AND_VARIANTS, ids=str)


@dataclass(frozen=True)
class Step:
    """One step of a run: what the weighting was told, and what it answered."""

    losses: Tensor
    tasks: Tensor
    weights: Tensor
    before: State
    after: State


def context_of(step: int) -> WeightingContext:
    return WeightingContext(step=step, epoch=step // 5, seed=3)


def weights_of(
    weighting: Weighting, losses: Tensor, tasks: Tensor, state: State, step: int
) -> Tensor:
    """Weights as the trainer asks for them: losses are hidden unless the weighting needs them."""
    told = losses if weighting.needs_losses else torch.full_like(losses, torch.nan)
    return weighting.weights(told, tasks, state, context_of(step))


def run(
    weighting: Weighting, history: Tensor, state: State | None = None, start: int = 0
) -> Iterator[Step]:
    """Steps of a run with these losses: ``[N, T]``, NaN for tasks that are absent."""
    state = weighting.init_state(history.shape[1]) if state is None else state
    for step, row in enumerate(history, start):
        tasks = (~row.isnan()).nonzero().flatten()
        losses = row[tasks]
        weights = weights_of(weighting, losses, tasks, state, step)
        losses_after = losses / 2 + losses.sqrt() / 10 if weighting.needs_losses_after else None
        after = weighting.next_state(losses, tasks, state, context_of(step), losses_after)
        if weighting.needs_evaluation and step % 3 == 2:
            after = weighting.state_after_evaluation(2 * losses, tasks, after)
        yield Step(losses, tasks, weights, state, after)
        state = after


def random_history(num_steps: int = 45, *, seed: int = 0) -> Tensor:
    """Losses between 0.1 and 3; the subsets of tasks take turns."""
    generator = torch.Generator().manual_seed(seed)
    losses = torch.rand(num_steps, NUM_TASKS, generator=generator, dtype=torch.float64) * 2.9 + 0.1
    history = torch.full_like(losses, torch.nan)
    for step in range(num_steps):
        tasks = SUBSETS[-1 - step % len(SUBSETS)]
        history[step, tasks] = losses[step, tasks]
    return history


def copied(state: State) -> State:
    return {name: value.clone() for name, value in state.items()}


def assert_same_state(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert_close(found[name], expected[name], rtol=0, atol=0, equal_nan=True)


def assert_weights_can_be_used(weighting: Weighting) -> None:
    """One float64 number for each present task, finite, not negative, and not all of them 0."""
    for step in run(weighting, random_history()):
        assert step.weights.dtype == torch.float64
        assert step.weights.shape == step.tasks.shape
        assert not step.weights.requires_grad
        assert bool((step.weights.isfinite() & (step.weights >= 0)).all())
        assert step.weights.sum() > 0


def assert_equal_losses_equal_weights(weighting: Weighting) -> None:
    """Tasks with the same losses all along have the same weights; at first, and at 1, these are 1.

    The average of 1 is what makes weightings, and learning rates that were found with one of
    them, comparable.
    """
    for tasks in SUBSETS:
        ones, state = torch.ones(len(tasks)).double(), weighting.init_state(NUM_TASKS)
        assert_close(weights_of(weighting, ones, tasks, state, 0), ones)
    for step in run(weighting, torch.rand(20, 1).double().expand(20, NUM_TASKS) + 0.1):
        assert_close(step.weights, step.weights.mean().expand(NUM_TASKS))


def assert_order_of_tasks_is_irrelevant(weighting: Weighting) -> None:
    """Tasks that change places take their weights along."""
    history = random_history()
    for order in ([3, 2, 1, 0], [2, 0, 3, 1]):
        moved = history[:, order]
        for step, moved_step in zip(run(weighting, history), run(weighting, moved), strict=True):
            row = torch.full((NUM_TASKS,), torch.nan).double()
            expected = row.scatter(0, step.tasks, step.weights)[order]
            found = row.scatter(0, moved_step.tasks, moved_step.weights)
            assert_close(found, expected, equal_nan=True)


def assert_lower_loss_lowers_total(weighting: Weighting) -> None:
    """At the weights of a step, no loss that falls raises the total, and some loss lowers it.

    Weights are those of the gradient: a step lowers the losses along it.
    """
    for step in run(weighting, random_history()):
        total = step.weights @ step.losses
        totals = (step.losses - 0.1 * step.losses.diag()) @ step.weights
        assert bool((totals <= total).all())
        assert bool((totals < total).any())


def assert_pure(weighting: Weighting) -> None:
    """Equal questions get equal answers, and asking changes neither arguments nor randomness."""
    randomness = torch.get_rng_state()
    for i, step in enumerate(run(weighting, random_history())):
        losses, before, after = step.losses.clone(), copied(step.before), copied(step.after)
        weights = weights_of(weighting, step.losses, step.tasks, step.before, i)
        assert_close(weights, step.weights, rtol=0, atol=0)
        history = torch.full((1, NUM_TASKS), torch.nan).double()
        history[0, step.tasks] = step.losses
        (again,) = run(weighting, history, step.before, start=i)
        assert_same_state(again.after, step.after)
        assert_same_state(step.before, before)
        assert_same_state(step.after, after)
        assert_close(step.losses, losses, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), randomness)


def assert_absent_tasks_keep_still(weighting: Weighting) -> None:
    """A step changes what is remembered of the tasks that were in it, and of no others."""
    for step in run(weighting, random_history()):
        absent = torch.ones(NUM_TASKS, dtype=torch.bool).scatter(0, step.tasks, False)
        for name, value in step.before.items():
            if value.shape == (NUM_TASKS,):
                assert_close(
                    step.after[name][absent], value[absent], rtol=0, atol=0, equal_nan=True
                )


def assert_state_keeps_its_form(weighting: Weighting) -> None:
    """Names never change; values are float64, one number for each task or one in all, and plain."""
    names = weighting.init_state(NUM_TASKS).keys()
    for step in run(weighting, random_history()):
        assert step.after.keys() == names
        for name, value in step.after.items():
            assert value.shape in {(NUM_TASKS,), ()}
            assert value.shape == step.before[name].shape
            assert value.dtype == torch.float64
            assert not value.requires_grad


def assert_extremes_stay_finite(weighting: Weighting) -> None:
    """Hundreds of steps with losses of 0, of almost 0 and of a million break nothing."""
    extremes = torch.tensor([0.0, 1e-12, 1.0, 1e6], dtype=torch.float64)
    constant, jumping = extremes.expand(200, 4), extremes[torch.randint(4, (200, 4))]
    for step in run(weighting, torch.cat([constant, jumping])):
        assert bool((step.weights.isfinite() & (step.weights >= 0)).all())
        assert all(bool(value.isfinite().all()) for value in step.after.values())


def assert_resumes(weighting: Weighting) -> None:
    """A run that is taken up from a state in JSON goes on as if it had not been interrupted."""
    history = random_history()
    whole = list(run(weighting, history))
    text = json.dumps({name: value.tolist() for name, value in whole[20].after.items()})
    state = {
        name: torch.tensor(value, dtype=torch.float64) for name, value in json.loads(text).items()
    }
    for step, resumed in zip(whole[21:], run(weighting, history[21:], state, 21), strict=True):
        assert_close(resumed.weights, step.weights, rtol=0, atol=0)
        assert_same_state(resumed.after, step.after)


LAWS = [
    assert_weights_can_be_used,
    assert_equal_losses_equal_weights,
    assert_order_of_tasks_is_irrelevant,
    assert_lower_loss_lowers_total,
    assert_pure,
    assert_absent_tasks_keep_still,
    assert_state_keeps_its_form,
    assert_extremes_stay_finite,
    assert_resumes,
]
LAW_BY_NAME = {law.__name__.removeprefix("assert_"): law for law in LAWS}
EXEMPTABLE = {
    "lower_loss_lowers_total",
    "order_of_tasks_is_irrelevant",
    "equal_losses_equal_weights",
    "absent_tasks_keep_still",
}


@over_weightings
@pytest.mark.parametrize("law", LAW_BY_NAME)
def test_a_weighting_obeys_the_law_or_declares_that_it_breaks_it(weighting, law):
    if law not in weighting.breaks:
        LAW_BY_NAME[law](weighting)
        return
    # A declaration that is no longer true has to go.
    with pytest.raises(AssertionError):
        LAW_BY_NAME[law](weighting)


@over_weightings
def test_only_laws_that_a_definition_may_break_are_declared_broken(weighting):
    assert weighting.breaks.keys() <= EXEMPTABLE
    assert all(weighting.breaks.values())


@over_weightings
def test_a_config_builds_an_equal_weighting(weighting):
    assert WEIGHTINGS.build(WEIGHTINGS.to_config(weighting)) == weighting


@dataclass(frozen=True)
class Correct(Weighting):
    """Remembers how often each task was present; correct, until a subclass makes a mistake."""

    needs_losses: ClassVar[bool] = True

    def init_state(self, num_tasks: int) -> State:
        return {"count": torch.zeros(num_tasks, dtype=torch.float64)}

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        return torch.ones_like(losses)

    def next_state(
        self,
        losses: Tensor,
        tasks: Tensor,
        state: State,
        context: WeightingContext,
        losses_after: Tensor | None = None,
    ) -> State:
        return {"count": state["count"].scatter_add(0, tasks, torch.ones_like(losses))}


@dataclass(frozen=True)
class Secretive(Correct):
    """Uses losses without saying that it needs them."""

    needs_losses: ClassVar[bool] = False

    def weights(self, losses, tasks, state, context) -> Tensor:
        return 1 / losses


@dataclass(frozen=True)
class Negative(Correct):
    """Pushes the second task of a step away."""

    def weights(self, losses, tasks, state, context) -> Tensor:
        return torch.where(torch.arange(len(losses)) == 1, -1.0, 1.0).double()


@dataclass(frozen=True)
class Imprecise(Correct):
    """Answers in float32."""

    def weights(self, losses, tasks, state, context) -> Tensor:
        return torch.ones(len(losses))


@dataclass(frozen=True)
class Unfair(Correct):
    """Prefers tasks by their position."""

    def weights(self, losses, tasks, state, context) -> Tensor:
        return 1.0 + tasks.double()


@dataclass(frozen=True)
class Unscaled(Correct):
    """Weights that add up to 1: the more tasks, the smaller the steps."""

    def weights(self, losses, tasks, state, context) -> Tensor:
        return torch.full_like(losses, 1 / len(losses))


@dataclass(frozen=True)
class GlobalRandomness(Correct):
    """Draws from the generator that dropout uses."""

    def weights(self, losses, tasks, state, context) -> Tensor:
        return torch.rand(len(losses), dtype=torch.float64)


@dataclass(frozen=True)
class Unstored(Correct):
    """Remembers beside its state how often it was asked."""

    asked: list[int] = field(default_factory=list, compare=False)

    def weights(self, losses, tasks, state, context) -> Tensor:
        self.asked.append(1)
        return torch.ones_like(losses) / len(self.asked)


@dataclass(frozen=True)
class InPlace(Correct):
    """Changes the state that it was handed."""

    def next_state(self, losses, tasks, state, context, losses_after=None) -> State:
        state["count"][tasks] += 1
        return state


@dataclass(frozen=True)
class CountsTheAbsent(Correct):
    """Changes what it remembers of tasks that were not there."""

    def next_state(self, losses, tasks, state, context, losses_after=None) -> State:
        return {"count": state["count"] + 1}


@dataclass(frozen=True)
class GrowsANewEntry(Correct):
    """Has a state of another form after the first step."""

    def next_state(self, losses, tasks, state, context, losses_after=None) -> State:
        return {**state, "new": losses.mean()}


@dataclass(frozen=True)
class Overflowing(Correct):
    """Doubles what it remembers, until it is infinite."""

    def next_state(self, losses, tasks, state, context, losses_after=None) -> State:
        return {"count": (state["count"] + 1) ** 2}


@pytest.mark.parametrize(
    ("law", "faulty"),
    [
        ("weights_can_be_used", Secretive()),
        ("weights_can_be_used", Negative()),
        ("weights_can_be_used", Imprecise()),
        ("equal_losses_equal_weights", Unfair()),
        ("equal_losses_equal_weights", Unscaled()),
        ("equal_losses_equal_weights", RLWWeighting()),
        ("order_of_tasks_is_irrelevant", Unfair()),
        ("lower_loss_lowers_total", Negative()),
        ("pure", GlobalRandomness()),
        ("pure", Unstored()),
        ("pure", InPlace()),
        ("absent_tasks_keep_still", CountsTheAbsent()),
        ("state_keeps_its_form", GrowsANewEntry()),
        ("extremes_stay_finite", Overflowing()),
        ("resumes", Unstored()),
    ],
)
def test_the_law_catches_a_faulty_weighting(law, faulty):
    with pytest.raises(AssertionError):
        LAW_BY_NAME[law](faulty)


@pytest.mark.parametrize("law", LAW_BY_NAME)
def test_the_laws_let_a_correct_weighting_pass(law):
    LAW_BY_NAME[law](Correct())
