# SPDX-License-Identifier: Apache-2.0
"""Gradient methods that need whole gradients, against numbers by hand and against torchjd."""

import math

import pytest
import torch
from torch.testing import assert_close
from torchjd.aggregation import ExcessMTLWeighting
from torchjd.aggregation import GradDrop as TorchjdGradDrop
from toy_gradient_methods import Given
from toy_whole_gradients import run_whole

from hf_mtl.gradients import DBMTL, ExcessMTL, GradDrop, GradientContext, MoCo


def context_of(num_tasks):
    ones = torch.ones(num_tasks, dtype=torch.float64)
    return GradientContext(step=0, losses=ones, preferences=ones)


def vectors(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def given(gradients, losses=None, preferences=None):
    """A step of the first tasks of the suite."""
    ones = torch.ones(len(gradients), dtype=torch.float64)
    return Given(
        gradients,
        torch.arange(len(gradients)),
        ones if losses is None else torch.tensor(losses, dtype=torch.float64),
        ones if preferences is None else torch.tensor(preferences, dtype=torch.float64),
    )


def directions(method, history):
    return [step.direction.tolist() for step in run_whole(method, history)]


def test_graddrop_keeps_the_side_that_is_drawn():
    # 2 of 3 is positive: below 2/3 the positive side is kept, above it the negative one.
    gradients, uniform = vectors([2, 2], [-1, -1]), vectors([0.6, 0.7])[0]
    assert GradDrop().direction(gradients, context_of(2), uniform).tolist() == [2 / 2, -1 / 2]
    leaking = GradDrop(leak=0.5).direction(gradients, context_of(2), uniform)
    assert leaking.tolist() == [(2 - 0.5) / 2, (0.5 * 2 - 1) / 2]


def test_graddrop_drops_nothing_where_all_tasks_agree():
    gradients = vectors([2, -3, 0], [1, -1, 0])
    for drawn in (0.0, 0.999999):
        found = GradDrop().direction(gradients, context_of(2), torch.full((3,), drawn))
        assert found.tolist() == [1.5, -2, 0]


@pytest.mark.parametrize("seed", range(10))
def test_graddrop_is_that_of_torchjd_with_its_random_numbers(seed):
    generator = torch.Generator().manual_seed(seed)
    num_tasks = 2 + seed % 4
    gradients = torch.randn(num_tasks, 50, generator=generator, dtype=torch.float64)
    torch.manual_seed(seed)
    uniform = torch.rand(50, dtype=torch.float64)
    torch.manual_seed(seed)
    theirs = TorchjdGradDrop(leak=torch.full((num_tasks,), 0.2).double())(gradients)
    found = GradDrop(leak=0.2).direction(gradients, context_of(num_tasks), uniform)
    assert_close(found, theirs / num_tasks)


def test_graddrop_draws_other_numbers_for_each_step_and_parameter():
    gradients = vectors([1, 1, 1, 1] * 20, [-1, -1, -1, -1] * 20)
    first, second = directions(GradDrop(), [given(gradients)] * 2)
    assert first != second
    assert {*first} == {0.5, -0.5}
    parts = [context_of(2).generator(part).initial_seed() for part in range(4)]
    assert len({*parts}) == 4


def test_moco_tracks_directions_as_long_as_losses():
    history = [given(vectors([4, 0, 0], [0, 1, 0]), losses=[1.0, 3.0])] * 2
    history[1] = given(vectors([0, 4, 0], [0, 1, 0]), losses=[1.0, 3.0])
    method = MoCo(beta=0.5, gamma=0.0)
    steps = list(run_whole(method, history))
    # Half of [1, 0] and of [0, 3], then half of that and half of [0, 1], or [0, 3].
    averages = torch.cat([steps[1].after.memory[f"average/p{i}"] for i in range(2)], dim=1)
    assert averages[:2].tolist() == [[0.25, 0.5, 0], [0, 3 * 0.75, 0]]
    # Lengths of gradients over losses are (4 + 1) / (1 + 3); the averages lack 1 - 0.5^2.
    unbiased = 5 / 4 / 0.75
    assert_close(steps[1].direction, vectors([0.25 * unbiased, (0.5 + 2.25) * unbiased, 0])[0] / 2)


def test_moco_moves_weights_to_the_shorter_gradient():
    history = [given(vectors([1, 0, 0], [0, 1, 0]), losses=[1.0, 3.0])]
    (step,) = run_whole(MoCo(beta=1.0, gamma=0.5), history)
    # 1/2 each, minus 0.5 x (1, 9) x 1/2; a softmax.
    first, second = math.exp(0.5 - 0.25), math.exp(0.5 - 2.25)
    shares = [first / (first + second), second / (first + second)]
    assert_close(step.after.state["share"][:2], vectors(shares)[0] / 2)  # of four tasks
    length = (1 + 1) / (1 + 3)
    assert_close(step.direction, vectors([length * shares[0], length * 3 * shares[1], 0])[0])


def test_moco_multiplies_averages_by_preferences():
    gradients = vectors([1, 0, 0], [0, 1, 0])
    (step,) = run_whole(MoCo(), [given(gradients, preferences=[3.0, 1.0])])
    assert_close(step.direction, vectors([3 / 4, 1 / 4, 0])[0])


def test_db_mtl_makes_averages_of_log_gradients_as_long_as_the_longest():
    # Gradients of logarithms: [2, 0] and [0, 1], then [0, 2] and [0, 1].
    history = [given(vectors([4, 0, 0], [0, 3, 0]), losses=[2.0, 3.0])]
    history.append(given(vectors([0, 4, 0], [0, 3, 0]), losses=[2.0, 3.0]))
    first, second = directions(DBMTL(beta=0.5), history)
    # As long as gradients are: 4 and 3, those of the logarithms 2 and 1.
    scale = (4 + 3) / (2 + 1)
    assert first == pytest.approx([scale * 2 / 2, scale * 2 / 2, 0], rel=1e-7)
    # Averages [0.5, 1] and [0, 0.75] over 1 - 0.5^2.
    longest = math.hypot(0.5, 1) / 0.75
    expected = [0.5 / 0.75 / 2, (1 / 0.75 + longest) / 2, 0]
    assert second == pytest.approx([scale * each for each in expected], rel=1e-7)


def test_excess_mtl_raises_the_weight_of_what_has_still_to_gain():
    # The first risks are 1^2 / 1 and 2^2 / 2; then 1 / sqrt(2), and 4^2 / sqrt(2^2 + 4^2).
    history = [given(vectors([1, 0, 0], [0, 2, 0])), given(vectors([1, 0, 0], [0, 4, 0]))]
    first, second = directions(ExcessMTL(learning_rate=1.0), history)
    assert first == pytest.approx([1 / 2, 2 / 2, 0])
    one, two = math.exp(1 / math.sqrt(2)), math.exp(16 / math.sqrt(20) / 2)
    expected = [one / (one + two), 4 * two / (one + two), 0]
    assert second == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_excess_mtl_is_that_of_torchjd_in_every_step(seed):
    """Which collects the first risks in a step of its own, and adds 1e-7 to squares and risks."""
    generator = torch.Generator().manual_seed(seed)
    history = [given(torch.randn(4, 9, generator=generator).double()) for _ in range(5)]
    theirs = ExcessMTLWeighting(robust_step_size=0.5, n_warmup_steps=1)
    for step in run_whole(ExcessMTL(learning_rate=0.5), history):
        expected = theirs(step.given.gradients) @ step.given.gradients
        assert_close(step.direction, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "field", "value", "rule"),
    [
        (GradDrop, "leak", 1.5, r"in \[0, 1\]"),
        (MoCo, "beta", 0.0, r"in \(0, 1\]"),
        (MoCo, "gamma", -1.0, "0 or more"),
        (MoCo, "rho", -1.0, "0 or more"),
        (DBMTL, "beta", 1.0, r"in \[0, 1\)"),
        (ExcessMTL, "learning_rate", 0.0, "a positive number"),
    ],
)
def test_values_out_of_range_are_refused(method, field, value, rule):
    with pytest.raises(ValueError, match=f"`{field}` must be {rule}"):
        method(**{field: value})


@pytest.mark.parametrize("method", [DBMTL(beta=0.0), MoCo(beta=1.0, gamma=0.0)], ids=str)
def test_directions_are_as_long_as_gradients_whatever_the_losses_are(method):
    for loss in (2.0, 0.01):
        (direction,) = directions(method, [given(vectors([3, 0], [0, 3]), losses=[loss, loss])])
        assert direction == pytest.approx([1.5, 1.5])


@pytest.mark.parametrize("method", [DBMTL(beta=0.0), MoCo(beta=1.0, gamma=0.0)], ids=str)
def test_a_loss_below_0_turns_no_gradient_round(method):
    (direction,) = directions(method, [given(vectors([1, 0], [0, 1]), losses=[-1.0, 0.9])])
    assert all(0 <= each < 2 for each in direction)
