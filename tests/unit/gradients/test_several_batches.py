# SPDX-License-Identifier: Apache-2.0
"""MoDo, SDMGrad and Auto-Lambda against answers worked out by hand, and against torchjd."""

import pytest
import torch
from torch.testing import assert_close
from torchjd.aggregation import MoDoWeighting, SDMGradWeighting

from hf_mtl.gradients import AutoLambda, GradientContext, MoDo, SDMGrad
from hf_mtl.gradients.cross_batch import projected_on_simplex, shares_among, with_shares


def products_of(*batches):
    """Inner products of gradients on several batches, ``[S, P]`` each."""
    parts = torch.tensor(batches, dtype=torch.float64)
    return torch.einsum("aip,bjp->aibj", parts, parts)


# Lengths 1 and 3 in both batches, so in units of 2; the second gradient turns by 90 degrees.
TURNING = products_of([[1, 0, 0], [0, 3, 0]], [[1, 0, 0], [3, 0, 0]])


def step_of(method, products, tasks=(0, 1), state=None, num_tasks=3):
    """Weights of one step, and the state after it."""
    state = method.init_state(num_tasks) if state is None else state
    ones = torch.ones(len(tasks), dtype=torch.float64)
    return method.weights(products, torch.tensor(tasks), state, GradientContext(0, ones, ones))


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ([0.25, 0.75], [0.25, 0.75]),
        ([1.0, 1.0], [0.5, 0.5]),
        ([0.7, 0.5], [0.6, 0.4]),
        ([3.0, 0.5, 0.0], [1.0, 0.0, 0.0]),
        ([-1.0, -1.2, -9.0], [0.6, 0.4, 0.0]),
    ],
)
def test_the_nearest_shares_are_found(point, expected):
    assert_close(projected_on_simplex(torch.tensor(point)), torch.tensor(expected))


def test_shares_of_present_tasks_change_and_what_they_have_together_does_not():
    mass, tasks = torch.tensor([2.0, 1.0, 6.0]), torch.tensor([0, 2])
    assert_close(shares_among(mass, tasks), torch.tensor([1 / 4, 3 / 4]))
    changed = with_shares(mass, tasks, torch.tensor([1 / 2, 1 / 2]))
    assert_close(changed, torch.tensor([4.0, 1.0, 4.0]))


def test_tasks_that_have_nothing_have_equal_shares():
    shares = shares_among(torch.tensor([0.0, 3.0, 0.0]), torch.tensor([0, 2]))
    assert_close(shares, torch.tensor([1 / 2, 1 / 2]))


def test_modo_steps_along_products_of_the_first_batch_with_the_second():
    weights, state = step_of(MoDo(gamma=0.2, rho=0.0), TURNING)
    # First batch times second: [[1, 3], [0, 0]] / 4, so the gradients are (1 + 3) / 4 / 2 and 0
    assert_close(weights.tolist(), [2 * (1 / 2 - 0.2 / 4), 2 * (1 / 2 + 0.2 / 4)])
    assert_close(state["weight"].tolist(), [0.9, 1.1, 1.0])


def test_modo_goes_on_from_the_weights_of_the_step_before():
    method = MoDo(gamma=0.2, rho=0.5)
    state = {"weight": torch.tensor([0.5, 1.5, 1.0]).double()}
    weights, _ = step_of(method, TURNING, state=state)
    first = (1 / 4 + 3 * 3 / 4) / 4 + 0.5 / 4
    second = 0.5 * 3 / 4
    shift = 0.2 * (first - second) / 2
    assert_close(weights.tolist(), [2 * (1 / 4 - shift), 2 * (3 / 4 + shift)])


def test_sdmgrad_makes_steps_with_momentum_and_is_drawn_to_the_mean():
    method = SDMGrad(lam=0.5, learning_rate=0.2, momentum=0.5, num_iterations=2)
    weights, state = step_of(method, products_of(*3 * [[[1, 0], [0, 3]]]))
    # In units of 2: 1/4 w + 0.5 x 1/8 and 9/4 w + 0.5 x 9/8; by their difference shares move.
    first = 9 / 8 * 1.5 - 1 / 8 * 1.5
    share = 1 / 2 + 0.2 * first / 2
    second = 0.5 * first + (9 / 4 * (1 - share) + 9 / 16) - (share / 4 + 1 / 16)
    share += 0.2 * second / 2
    assert_close(weights.tolist(), [(2 * share + 0.5) / 1.5, (2 * (1 - share) + 0.5) / 1.5])
    assert_close(state["weight"].tolist(), [2 * share, 2 * (1 - share), 1.0])


def test_sdmgrad_without_the_mean_is_the_shortest_one():
    state = None
    for _ in range(20):
        method = SDMGrad(lam=0.0, learning_rate=0.3)
        weights, state = step_of(method, products_of(*3 * [[[1, 0], [0, 2]]]), state=state)
    assert_close(weights.tolist(), [2 * 4 / 5, 2 * 1 / 5])


def test_auto_lambda_asks_whose_gradients_lower_the_losses_of_all_tasks():
    # <(2, 0), (1, 0) + (1, -3)> = 4 and <(0, 1), ...> = -3
    products = products_of([[2, 0], [0, 1]], [[1, 0], [1, -3]])
    weights, state = step_of(AutoLambda(learning_rate=0.01), products)
    assert_close(weights.tolist(), [1.1, 0.9], rtol=1e-6, atol=0)
    assert_close(state["parameter"].tolist(), [0.11, 0.09, 0.1], rtol=1e-6, atol=0)


def test_auto_lambda_looks_at_primary_tasks_alone():
    # Their losses fall along both gradients: <(2, 0), (1, 1)> and <(0, 1), (1, 1)>
    products = products_of([[2, 0], [0, 1]], [[1, 1], [1, -3]])
    weights, _ = step_of(AutoLambda(primary=[0], learning_rate=0.01), products)
    assert_close(weights.tolist(), [1.1, 1.1], rtol=1e-6, atol=0)


def test_auto_lambda_learns_nothing_without_a_primary_task():
    method = AutoLambda(primary=[2])
    weights, state = step_of(method, TURNING)
    assert weights.tolist() == [1.0, 1.0]
    assert state["num_updates"].tolist() == [0.0, 0.0, 0.0]


def test_auto_lambda_does_not_go_below_0():
    method, state = AutoLambda(learning_rate=0.06), None
    products = products_of([[2, 0], [0, 1]], [[1, 0], [1, -3]])
    for _ in range(3):
        weights, state = step_of(method, products, state=state)
    assert weights[1] == 0
    assert state["parameter"][1] == 0


def steps_of_random_products(method, seed):
    """Products of some steps of two to five tasks, and what the method gives for them."""
    generator = torch.Generator().manual_seed(seed)
    num_tasks, state = 2 + seed % 4, None
    for _ in range(6):
        whole = torch.randn(num_tasks, 8, generator=generator, dtype=torch.float64)
        noise = torch.randn(method.num_batches, num_tasks, 8, generator=generator).double()
        products = products_of(*(whole + 0.5 * noise).tolist())
        weights, state = step_of(method, products, range(num_tasks), state, num_tasks)
        yield products, weights / num_tasks


@pytest.mark.parametrize("seed", range(8))
def test_modo_agrees_with_torchjd(seed):
    weighting = MoDoWeighting(gamma=0.3, rho=0.2)
    for products, shares in steps_of_random_products(MoDo(gamma=0.3, rho=0.2), seed):
        unit = torch.einsum("atat->at", products).sqrt().mean()
        assert_close(shares, weighting(products[0, :, 1] / unit**2))


@pytest.mark.parametrize("seed", range(8))
def test_sdmgrad_agrees_with_torchjd(seed):
    weighting = SDMGradWeighting(lambda_=0.4)
    for products, shares in steps_of_random_products(SDMGrad(lam=0.4, learning_rate=0.2), seed):
        unit = torch.einsum("atat->at", products).sqrt().mean()
        # It has another scale.
        scale = products[0, :, 1].diagonal().clamp(min=0).sqrt().mean()
        weighting.lr = 0.2 * float(scale / unit) ** 2
        assert_close(shares, weighting(products[0, :, 1]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", [MoDo(gamma=0.5), SDMGrad(), AutoLambda(learning_rate=0.05)])
def test_a_task_without_labels_in_a_batch_is_no_obstacle(method):
    for products in (
        products_of([[0, 0], [0, 3]], [[1, 0], [3, 0]], [[1, 1], [0, 0]]),
        products_of([[1, 0], [0, 3]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]),
    ):
        num = method.num_batches
        weights, state = step_of(method, products[:num, :, :num])
        assert bool(weights.isfinite().all())
        assert all(bool(value.isfinite().all()) for value in state.values())


@pytest.mark.parametrize("method", [MoDo(gamma=0.5), SDMGrad(), AutoLambda(learning_rate=0.05)])
def test_gradients_that_overflowed_leave_weights_of_1(method):
    num = method.num_batches
    products = torch.full((num, 2, num, 2), torch.inf, dtype=torch.float64)
    weights, state = step_of(method, products)
    assert weights.tolist() == [1.0, 1.0]
    assert all(torch.equal(state[name], value) for name, value in method.init_state(3).items())


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        (MoDo, {"gamma": -1}, "`gamma` must be 0 or more, but got -1"),
        (MoDo, {"rho": float("nan")}, "`rho` must be 0 or more, but got nan"),
        (SDMGrad, {"lam": -0.1}, "`lam` must be 0 or more, but got -0.1"),
        (SDMGrad, {"momentum": 1}, r"`momentum` must be in \[0, 1\), but got 1"),
        (SDMGrad, {"learning_rate": 0}, "`learning_rate` must be a positive number, but got 0"),
        (SDMGrad, {"num_iterations": 0}, "`num_iterations` must be a positive whole number"),
        (
            AutoLambda,
            {"primary": []},
            r"`primary` must be a list of positions of tasks, .* but got \[\]",
        ),
        (AutoLambda, {"primary": ["mnli"]}, r"`primary` must be a list .*\['mnli'\]"),
        (AutoLambda, {"primary": 1}, r"`primary` must be a list of positions of tasks, .* got 1"),
        (AutoLambda, {"initial": 0}, "`initial` must be a positive number, but got 0"),
    ],
)
def test_fields_are_checked(method, fields, message):
    with pytest.raises(ValueError, match=message):
        method(**fields)
