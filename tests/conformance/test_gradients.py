# SPDX-License-Identifier: Apache-2.0
"""Laws that every registered gradient method obeys, and proof that a faulty one is caught."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from faulty_gradient_methods import (
    Correct,
    CountsTheAbsent,
    CountsZeros,
    Forgetful,
    GlobalRandomness,
    GrowsANewEntry,
    Imprecise,
    InPlace,
    Lengths,
    Multiplies,
    Unfair,
    Unscaled,
    Unstored,
)
from torch import Tensor
from torch.testing import assert_close
from toy_gradient_methods import (
    NAMES,
    NUM_TASKS,
    VARIANTS,
    Given,
    first_weights,
    inner_products,
    random_history,
    run,
)

from hf_mtl.gradients import GRADIENT_METHODS, GramianMethod, PCGrad, State

METHODS_AND_VARIANTS = [GRADIENT_METHODS.build(entry) for entry in (*NAMES, *VARIANTS)]

over_methods = pytest.mark.parametrize("method", METHODS_AND_VARIANTS, ids=str)


def with_preferences(history: Sequence[Given], preferences: Tensor) -> list[Given]:
    return [replace(given, preferences=preferences[given.tasks]) for given in history]


def copied(state: State) -> State:
    return {name: value.clone() for name, value in state.items()}


def assert_same_state(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert_close(found[name], expected[name], rtol=0, atol=0, equal_nan=True)


def difficult_gradients() -> Iterator[Tensor]:
    """Gradients that are equal, opposite, zero, nearly so, or of very different lengths."""
    a, b, c, d = torch.eye(4, dtype=torch.float64)
    tiny = 1e-9 * d
    yield from (
        torch.stack(rows)
        for rows in (
            (a, a),
            (a, -a),
            (a, -2 * a, b),
            (a, a + tiny, b),
            (a, tiny - a, b),
            (a, b, -a - b),
            (a, b, -a - b + tiny, c),
            (0 * a, b, c, 0 * d),
            (0 * a, 0 * a, 0 * a),
            (a, 1e-9 * b, 1e9 * c, a + b),
            (a, -a, b, -b),
            (0 * a, b, -b),
            (-a, a + b, a + c, a + d),
        )
    )


def assert_weights_can_be_used(method: GramianMethod) -> None:
    """One float64 number for each present task, finite, through which no gradient flows."""
    for step in run(method, random_history()):
        assert step.weights.dtype == torch.float64
        assert step.weights.shape == step.given.tasks.shape
        assert not step.weights.requires_grad
        assert bool(step.weights.isfinite().all())


def assert_equal_orthogonal_gradients_are_averaged(method: GramianMethod) -> None:
    """Tasks that are different ways to go, equally far, at first have weights of 1 at any scale.

    It is what makes methods, and learning rates that were found with one of them, comparable.
    """
    for num_tasks in range(1, NUM_TASKS + 1):
        for length in (1e-6, 1.0, 1e6):
            weights = first_weights(method, length * torch.eye(num_tasks).double())
            assert_close(weights, torch.ones_like(weights), rtol=1e-6, atol=0)


def assert_one_task_keeps_its_direction(method: GramianMethod) -> None:
    """A step of one task is what it would be without the method, whatever came before it."""
    for step in run(method, random_history()):
        if len(step.weights) == 1:
            assert step.weights.tolist() == [1.0]


def assert_zero_gradients_leave_the_others_alone(method: GramianMethod) -> None:
    """A task that has nothing to say does not change what the others have to say."""
    for given in random_history(15):
        if len(given.tasks) > 1:
            padded = torch.cat([given.gradients, torch.zeros_like(given.gradients[:1])])[:NUM_TASKS]
            others = len(padded) - 1
            expected = first_weights(method, padded[:others])
            assert_close(first_weights(method, padded * _but_the_last(padded))[:others], expected)


def _but_the_last(rows: Tensor) -> Tensor:
    return (torch.arange(len(rows)) < len(rows) - 1).double()[:, None]


def assert_order_of_tasks_is_irrelevant(method: GramianMethod) -> None:
    """Tasks that change places take their weights along."""
    history = random_history()
    for order in ([3, 2, 1, 0], [2, 0, 3, 1]):
        place = torch.tensor(order).argsort()
        moved = []
        for given in history:
            tasks, index = place[given.tasks].sort()
            moved.append(
                Given(given.gradients[index], tasks, given.losses[index], given.preferences[index])
            )
        for step, moved_step in zip(run(method, history), run(method, moved), strict=True):
            index = place[step.given.tasks].argsort()
            assert_close(moved_step.weights, step.weights[index], rtol=1e-5, atol=1e-7)


def assert_scale_of_all_gradients_is_kept(method: GramianMethod) -> None:
    """Gradients that are all longer by a factor give a direction that is longer by it."""
    history = random_history()
    for factor in (1e-6, 1e6):
        scaled = [replace(given, gradients=factor * given.gradients) for given in history]
        for step, other in zip(run(method, history), run(method, scaled), strict=True):
            assert_close(other.weights, step.weights, rtol=1e-5, atol=1e-7)


def assert_equal_preferences_are_none(method: GramianMethod) -> None:
    """Preferences say how tasks compare: their average has no influence on weights."""
    history = random_history()
    preferred = with_preferences(history, torch.full((NUM_TASKS,), 7.0).double())
    for step, other in zip(run(method, history), run(method, preferred), strict=True):
        assert_close(other.weights, step.weights, rtol=1e-5, atol=1e-7)


def assert_preferences_count(method: GramianMethod) -> None:
    """What the user prefers changes where steps lead to."""
    history = random_history()
    preferred = with_preferences(history, torch.tensor([4.0, 0.5, 1.0, 0.1]).double())
    turned = [
        torch.cosine_similarity(step.direction, other.direction, dim=0) < 0.999
        for step, other in zip(run(method, history), run(method, preferred), strict=True)
    ]
    assert any(turned)


def assert_pure(method: GramianMethod) -> None:
    """Equal questions get equal answers, and asking changes neither arguments nor randomness."""
    randomness = torch.get_rng_state()
    for i, step in enumerate(run(method, random_history())):
        before, after = copied(step.before), copied(step.after)
        expected = inner_products(method, step.given.gradients)
        told, weights = expected.clone(), step.weights.clone()
        answer, state = method.weights(told, step.given.tasks, step.before, step.context)
        assert_close(answer, weights, rtol=0, atol=0)
        assert_same_state(state, after)
        (again,) = run(method, [step.given], step.before, start=i)
        assert_same_state(again.after, after)
        assert_same_state(step.before, before)
        assert_same_state(step.after, after)
        assert_close(told, expected, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), randomness)


def assert_absent_tasks_keep_still(method: GramianMethod) -> None:
    """A step changes what is remembered of the tasks, and of the pairs, that were in it."""
    for step in run(method, random_history()):
        is_absent = torch.ones(NUM_TASKS, dtype=torch.bool).scatter(0, step.given.tasks, False)
        for name, value in step.before.items():
            if value.dim():
                absent = is_absent if value.dim() == 1 else is_absent[:, None] | is_absent
                assert_close(
                    step.after[name][absent], value[absent], rtol=0, atol=0, equal_nan=True
                )


def assert_state_keeps_its_form(method: GramianMethod) -> None:
    """Names never change; values are float64, of each task, each pair or all, and plain."""
    names = method.init_state(NUM_TASKS).keys()
    for step in run(method, random_history()):
        assert step.after.keys() == names
        for name, value in step.after.items():
            assert value.shape in {(NUM_TASKS, NUM_TASKS), (NUM_TASKS,), ()}
            assert value.shape == step.before[name].shape
            assert value.dtype == torch.float64
            assert not value.requires_grad


def assert_difficult_gradients_stay_finite(method: GramianMethod) -> None:
    """No gradients break anything, of whatever length, those that overflowed included."""
    history = []
    for gradients in difficult_gradients():
        tasks, ones = torch.arange(len(gradients)), torch.ones(len(gradients)).double()
        history += [
            Given(scale * gradients, tasks, loss * ones, ones)
            for scale, loss in ((1e-6, 0.0), (1.0, 1.0), (1e6, 1e6), (torch.inf, 1.0))
        ]
    for step in run(method, history):
        assert bool(step.weights.isfinite().all())
        assert all(bool(value.isfinite().all()) for value in step.after.values())


def assert_resumes(method: GramianMethod) -> None:
    """A run that is taken up from a state in JSON goes on as if it had not been interrupted."""
    history = random_history()
    whole = list(run(method, history))
    text = json.dumps({name: value.tolist() for name, value in whole[16].after.items()})
    state = {
        name: torch.tensor(value, dtype=torch.float64) for name, value in json.loads(text).items()
    }
    for step, resumed in zip(whole[17:], run(method, history[17:], state, 17), strict=True):
        assert_close(resumed.weights, step.weights, rtol=0, atol=0)
        assert_same_state(resumed.after, step.after)


LAWS = [
    assert_weights_can_be_used,
    assert_equal_orthogonal_gradients_are_averaged,
    assert_one_task_keeps_its_direction,
    assert_zero_gradients_leave_the_others_alone,
    assert_order_of_tasks_is_irrelevant,
    assert_scale_of_all_gradients_is_kept,
    assert_equal_preferences_are_none,
    assert_preferences_count,
    assert_pure,
    assert_absent_tasks_keep_still,
    assert_state_keeps_its_form,
    assert_difficult_gradients_stay_finite,
    assert_resumes,
]
LAW_BY_NAME = {law.__name__.removeprefix("assert_"): law for law in LAWS}
EXEMPTABLE = {
    "order_of_tasks_is_irrelevant",
    "equal_orthogonal_gradients_are_averaged",
    "zero_gradients_leave_the_others_alone",
}


@over_methods
@pytest.mark.parametrize("law", LAW_BY_NAME)
def test_a_method_obeys_the_law_or_declares_that_it_breaks_it(method, law):
    if law not in method.breaks:
        LAW_BY_NAME[law](method)
        return
    # A declaration that is no longer true has to go.
    with pytest.raises(AssertionError):
        LAW_BY_NAME[law](method)


@over_methods
def test_only_laws_that_a_definition_may_break_are_declared_broken(method):
    assert method.breaks.keys() <= EXEMPTABLE
    assert all(method.breaks.values())


@over_methods
def test_a_config_builds_an_equal_method(method):
    assert GRADIENT_METHODS.build(GRADIENT_METHODS.to_config(method)) == method


@pytest.mark.parametrize(
    ("law", "faulty"),
    [
        ("weights_can_be_used", Imprecise()),
        ("equal_orthogonal_gradients_are_averaged", Unscaled()),
        ("equal_orthogonal_gradients_are_averaged", Lengths()),
        ("one_task_keeps_its_direction", Unfair()),
        ("zero_gradients_leave_the_others_alone", CountsZeros()),
        ("order_of_tasks_is_irrelevant", Unfair()),
        ("order_of_tasks_is_irrelevant", PCGrad()),
        ("scale_of_all_gradients_is_kept", Lengths()),
        ("equal_preferences_are_none", Multiplies()),
        ("preferences_count", Forgetful()),
        ("pure", GlobalRandomness()),
        ("pure", Unstored()),
        ("pure", InPlace()),
        ("absent_tasks_keep_still", CountsTheAbsent()),
        ("state_keeps_its_form", GrowsANewEntry()),
        ("difficult_gradients_stay_finite", Lengths()),
        ("resumes", Unstored()),
    ],
)
def test_the_law_catches_a_faulty_method(law, faulty):
    with pytest.raises(AssertionError):
        LAW_BY_NAME[law](faulty)


@pytest.mark.parametrize("law", LAW_BY_NAME)
def test_the_laws_let_a_correct_method_pass(law):
    LAW_BY_NAME[law](Correct())
