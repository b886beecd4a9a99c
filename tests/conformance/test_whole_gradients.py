# SPDX-License-Identifier: Apache-2.0
"""Laws of the gradient methods that need whole gradients: those of the family, of directions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_gradient_methods import NUM_TASKS, Given, random_history
from toy_whole_gradients import VARIANTS, Kept, direction_of, run_whole

from hf_mtl.gradients import (
    GRADIENT_METHODS,
    MGDA,
    ElementwiseMethod,
    GradientMethod,
    Tracked,
    TrackingMethod,
)

NAMES = [
    name for name in GRADIENT_METHODS.names() if GRADIENT_METHODS.get(name).needs_whole_gradients
]
METHODS = [GRADIENT_METHODS.build(entry) for entry in (*NAMES, *VARIANTS)]

over_methods = pytest.mark.parametrize("method", METHODS, ids=str)


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in tensors.items()}


def assert_same_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert_close(found[name], expected[name], rtol=0, atol=0)


def assert_same_kept(found: Kept, expected: Kept) -> None:
    assert_same_tensors(found.state, expected.state)
    assert_same_tensors(found.memory, expected.memory)


def assert_equal_orthogonal_gradients_are_averaged(method: GradientMethod) -> None:
    """Tasks that are different ways to go, equally far, at first make their mean, at any scale."""
    for num_tasks in range(2, NUM_TASKS + 1):
        for length in (1e-6, 1.0, 1e6):
            gradients = length * torch.eye(num_tasks, 6).double()
            found = direction_of(method, gradients)
            assert_close(found, gradients.mean(dim=0), rtol=1e-6, atol=0)


def assert_zero_gradients_leave_the_others_alone(method: GradientMethod) -> None:
    """A task that has nothing to say does not change what the others have to say."""
    for given in random_history(15):
        if 2 <= len(given.tasks) < NUM_TASKS:
            padded = torch.cat([given.gradients, torch.zeros_like(given.gradients[:1])])
            total = len(given.tasks) * direction_of(method, given.gradients)
            assert_close(len(padded) * direction_of(method, padded), total)


def assert_order_of_tasks_is_irrelevant(method: GradientMethod) -> None:
    """Tasks that change places make the same direction."""
    history = random_history()
    for order in ([3, 2, 1, 0], [2, 0, 3, 1]):
        place = torch.tensor(order).argsort()
        moved = []
        for given in history:
            tasks, index = place[given.tasks].sort()
            moved.append(
                Given(given.gradients[index], tasks, given.losses[index], given.preferences[index])
            )
        for step, other in zip(run_whole(method, history), run_whole(method, moved), strict=True):
            assert_close(other.direction, step.direction, rtol=1e-6, atol=1e-8)


def assert_scale_of_all_gradients_is_kept(method: GradientMethod) -> None:
    """Gradients that are all longer by a factor give a direction that is longer by it."""
    history = random_history()
    for factor in (1e-6, 1e6):
        scaled = [replace(given, gradients=factor * given.gradients) for given in history]
        for step, other in zip(run_whole(method, history), run_whole(method, scaled), strict=True):
            assert_close(other.direction / factor, step.direction, rtol=1e-6, atol=1e-8)


def assert_equal_preferences_are_none(method: GradientMethod) -> None:
    """Preferences say how tasks compare: what they have in common only scales gradients."""
    history = random_history()
    preferred = [replace(given, preferences=7 * given.preferences) for given in history]
    factor = 1 if method.uses_preferences else 7
    for step, other in zip(run_whole(method, history), run_whole(method, preferred), strict=True):
        if len(step.given.tasks) > 1:
            assert_close(other.direction / factor, step.direction, rtol=1e-6, atol=1e-8)


def assert_preferences_count(method: GradientMethod) -> None:
    """What the user prefers changes where steps lead to."""
    history = random_history()
    values = torch.tensor([4.0, 0.5, 1.0, 0.1]).double()
    preferred = [replace(given, preferences=values[given.tasks]) for given in history]
    assert any(
        torch.cosine_similarity(step.direction, other.direction, dim=0) < 0.999
        for step, other in zip(
            run_whole(method, history), run_whole(method, preferred), strict=True
        )
    )


def assert_pure(method: GradientMethod) -> None:
    """Equal questions get equal answers, and asking changes neither arguments nor randomness."""
    randomness = torch.get_rng_state()
    for i, step in enumerate(run_whole(method, random_history())):
        told = [step.given.gradients, *step.before.state.values(), *step.before.memory.values()]
        before = [each.clone() for each in told]
        (again,) = run_whole(method, [step.given], step.before, start=i)
        assert_close(again.direction, step.direction, rtol=0, atol=0)
        assert_same_kept(again.after, step.after)
        for each, expected in zip(told, before, strict=True):
            assert_close(each, expected, rtol=0, atol=0)
        assert_answers_change_nothing(method, step.given, step.context)
    assert torch.equal(torch.get_rng_state(), randomness)


def assert_answers_change_nothing(method: GradientMethod, given: Given, context: object) -> None:
    """Of what one parameter's question hands over."""
    gradients = given.gradients.clone()
    if isinstance(method, TrackingMethod):
        memory = {name: gradients.abs() for name in method.memory}
        expected = copied(memory)
        method.track(gradients, memory, context, gradients.norm(dim=1))
        assert_same_tensors(memory, expected)
    else:
        uniform = torch.full_like(gradients[0], 0.5)
        method.direction(gradients, context, uniform)
        assert bool((uniform == 0.5).all())
    assert_close(gradients, given.gradients, rtol=0, atol=0)


def assert_absent_tasks_keep_still(method: GradientMethod) -> None:
    """A step changes what is remembered of the tasks that were in it."""
    for step in run_whole(method, random_history()):
        is_absent = torch.ones(NUM_TASKS, dtype=torch.bool).scatter(0, step.given.tasks, False)
        for name, value in step.before.state.items():
            assert_close(step.after.state[name][is_absent], value[is_absent], rtol=0, atol=0)
        for key, value in step.before.memory.items():
            assert_close(step.after.memory[key][is_absent], value[is_absent], rtol=0, atol=0)


def assert_memory_keeps_its_form(method: GradientMethod) -> None:
    """Names never change; values are of each task, finite, and without a gradient."""
    names = method.init_state(NUM_TASKS).keys()
    for step in run_whole(method, random_history()):
        assert step.direction.dtype == torch.float64
        assert bool(step.direction.isfinite().all())
        assert step.after.state.keys() == names
        assert {key.split("/")[0] for key in step.after.memory} == {*method.memory}
        for value in (*step.after.state.values(), *step.after.memory.values()):
            assert len(value) == NUM_TASKS
            assert value.dtype == torch.float64
            assert bool(value.isfinite().all())
            assert not value.requires_grad


def assert_difficult_gradients_stay_finite(method: GradientMethod) -> None:
    """No gradients break anything, and those that overflowed are forgotten."""
    a, b, c = torch.eye(3, 6, dtype=torch.float64)
    difficult = [(a, a), (a, -a), (a, -2 * a, b), (0 * a, b, c), (0 * a, 0 * a), (a, 1e-9 * b)]
    difficult += [(1e9 * a, 1e-9 * b, c, -a), (a + 1e-9 * b, -a, b, -b)]
    history = []
    for rows in difficult:
        tasks, ones = torch.arange(len(rows)), torch.ones(len(rows)).double()
        history += [
            Given(scale * torch.stack(rows), tasks, loss * ones, ones)
            for scale, loss in ((1e-6, 0.0), (1.0, 1.0), (1e6, 1e6), (torch.inf, 1.0))
        ]
    for step in run_whole(method, history):
        if bool(step.given.gradients.isfinite().all()):
            assert bool(step.direction.isfinite().all())
        else:
            assert_same_kept(step.after, step.before)
        for value in (*step.after.state.values(), *step.after.memory.values()):
            assert bool(value.isfinite().all())


def assert_resumes(method: GradientMethod) -> None:
    """A run that is taken up from what was saved goes on as if it had not been interrupted."""
    history = random_history()
    whole = list(run_whole(method, history))
    kept = Kept.restored(whole[16].after)
    for step, resumed in zip(whole[17:], run_whole(method, history[17:], kept, 17), strict=True):
        assert_close(resumed.direction, step.direction, rtol=0, atol=0)
        assert_same_kept(resumed.after, step.after)


LAWS = [
    assert_equal_orthogonal_gradients_are_averaged,
    assert_zero_gradients_leave_the_others_alone,
    assert_order_of_tasks_is_irrelevant,
    assert_scale_of_all_gradients_is_kept,
    assert_equal_preferences_are_none,
    assert_preferences_count,
    assert_pure,
    assert_absent_tasks_keep_still,
    assert_memory_keeps_its_form,
    assert_difficult_gradients_stay_finite,
    assert_resumes,
]
LAW_BY_NAME = {law.__name__.removeprefix("assert_"): law for law in LAWS}


@over_methods
@pytest.mark.parametrize("law", LAW_BY_NAME)
def test_a_method_obeys_the_law_or_declares_that_it_breaks_it(method, law):
    if law not in method.breaks:
        LAW_BY_NAME[law](method)
        return
    with pytest.raises(AssertionError):
        LAW_BY_NAME[law](method)


@over_methods
def test_a_config_builds_an_equal_method(method):
    assert GRADIENT_METHODS.build(GRADIENT_METHODS.to_config(method)) == method


@over_methods
def test_a_method_says_whether_the_scale_of_a_task_has_an_influence(method):
    similarities = []
    for seed in range(8):
        (given,) = random_history(1, num_parameters=6, seed=seed)
        scales = torch.tensor([100.0, 1.0, 0.1, 10.0]).double()[given.tasks, None]
        pair = (direction_of(method, each * given.gradients) for each in (1.0, scales))
        similarities.append(torch.cosine_similarity(*pair, dim=0))
    assert bool((torch.stack(similarities) > 1 - 1e-6).all()) == method.cancels_scale


def test_methods_need_inner_products_unless_they_say_otherwise():
    assert {"graddrop", "moco", "db_mtl", "excess_mtl"} == {*NAMES}
    assert not MGDA().needs_whole_gradients


@dataclass(frozen=True)
class Total(ElementwiseMethod):
    """The sum in place of the mean."""

    def direction(self, gradients, context, uniform):
        return gradients.sum(dim=0)


@dataclass(frozen=True)
class OwnRandomness(ElementwiseMethod):
    """Draws from the generator that dropout uses."""

    def direction(self, gradients, context, uniform):
        return gradients.mean(dim=0) * torch.rand(())


@dataclass(frozen=True)
class FirstOnly(ElementwiseMethod):
    """Prefers tasks by their position."""

    def direction(self, gradients, context, uniform):
        return gradients[0]


@dataclass(frozen=True)
class InPlace(TrackingMethod):
    """Changes the memory that it was handed, and divides by what may be 0."""

    memory = ("total",)

    def track(self, gradients, memory, context, norms):
        memory["total"] += gradients
        return Tracked(gradients, gradients / norms[:, None], memory)

    def weights(self, gramian, tasks, state, context):
        return torch.ones(len(tasks), dtype=torch.float64), state


@dataclass(frozen=True)
class Multiplies(ElementwiseMethod):
    """Sees to preferences, and takes longer steps where all are larger."""

    uses_preferences = True

    def direction(self, gradients, context, uniform):
        return (context.preferences[:, None] * gradients).mean(dim=0)


@dataclass(frozen=True)
class Forgetful(ElementwiseMethod):
    """Says that it sees to preferences, and does not."""

    uses_preferences = True

    def direction(self, gradients, context, uniform):
        return gradients.mean(dim=0)


@dataclass(frozen=True)
class CountsTheAbsent(TrackingMethod):
    """Remembers of every task that there was a step."""

    def init_state(self, num_tasks):
        return {"count": torch.zeros(num_tasks, dtype=torch.float64)}

    def track(self, gradients, memory, context, norms):
        return Tracked(gradients, gradients, memory)

    def weights(self, gramian, tasks, state, context):
        return torch.ones(len(tasks), dtype=torch.float64), {"count": state["count"] + 1}


@dataclass(frozen=True)
class GrowsANewEntry(CountsTheAbsent):
    """Remembers under a name that a checkpoint of the first step does not have."""

    def weights(self, gramian, tasks, state, context):
        ones = torch.ones(len(tasks), dtype=torch.float64)
        return ones, {**state, f"step{context.step}": state["count"]}


@pytest.mark.parametrize(
    ("law", "faulty"),
    [
        ("equal_orthogonal_gradients_are_averaged", Total()),
        ("equal_orthogonal_gradients_are_averaged", InPlace()),
        ("zero_gradients_leave_the_others_alone", FirstOnly()),
        ("order_of_tasks_is_irrelevant", FirstOnly()),
        ("scale_of_all_gradients_is_kept", InPlace()),
        ("equal_preferences_are_none", Multiplies()),
        ("preferences_count", Forgetful()),
        ("pure", OwnRandomness()),
        ("pure", InPlace()),
        ("absent_tasks_keep_still", CountsTheAbsent()),
        ("memory_keeps_its_form", GrowsANewEntry()),
        ("difficult_gradients_stay_finite", InPlace()),
        ("resumes", OwnRandomness()),
    ],
)
def test_the_law_catches_a_faulty_method(law, faulty):
    with pytest.raises(AssertionError):
        LAW_BY_NAME[law](faulty)
