# SPDX-License-Identifier: Apache-2.0
"""Solutions of equations and programs fulfil the conditions of their papers."""

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.gradients import CAGrad, DualProj, FairGrad, GradientContext, NashMTL, UPGrad


@pytest.fixture(params=range(10))
def gradients(request):
    """Gradients of two to six tasks, ``[S, P]``, in conflict."""
    generator = torch.Generator().manual_seed(request.param)
    num_tasks = 2 + request.param % 5
    rows = torch.randn(num_tasks, 8, generator=generator, dtype=torch.float64)
    return (rows - 0.6 * rows.mean(dim=0)) * (1 + torch.arange(num_tasks))[:, None]


def weights_of(method, gradients, preferences=None):
    ones = torch.ones(len(gradients), dtype=torch.float64)
    context = GradientContext(0, ones, ones if preferences is None else preferences)
    return method.weights(gradients @ gradients.T, torch.arange(len(ones)), {}, context)[0]


def test_nash_mtl_weights_are_inverse_to_progress(gradients):
    weights = weights_of(NashMTL(), gradients)
    products = weights * (gradients @ gradients.T @ weights)
    assert bool((weights > 0).all())
    assert_close(products, products.mean().expand_as(products), rtol=1e-6, atol=0)


def test_nash_mtl_products_are_in_proportion_to_preferences(gradients):
    preferences = torch.linspace(1, 3, len(gradients)).double()
    weights = weights_of(NashMTL(), gradients, preferences)
    products = weights * (gradients @ gradients.T @ weights) / preferences
    assert_close(products, products.mean().expand_as(products), rtol=1e-6, atol=0)


@pytest.mark.parametrize("alpha", [0.5, 2.0, 8.0])
def test_fairgrad_weights_are_inverse_to_a_power_of_progress(gradients, alpha):
    weights = weights_of(FairGrad(alpha=alpha), gradients)
    products = weights * (gradients @ gradients.T @ weights) ** alpha
    assert bool((weights > 0).all())
    assert_close(products, products.mean().expand_as(products), rtol=1e-5, atol=0)


def assert_nearest_without_conflict(gramian, start, weights):
    """The conditions of Karush, Kuhn and Tucker for a projection onto the dual cone."""
    multipliers, progress = weights - start, gramian @ weights
    assert bool((multipliers >= -1e-9).all())
    assert bool((progress >= -1e-9 * gramian.diagonal()).all())
    assert_close(multipliers * progress, torch.zeros_like(start), rtol=0, atol=1e-8)


def test_dual_proj_is_the_nearest_direction_to_the_mean_without_conflict(gradients):
    weights = weights_of(DualProj(regularization=0), gradients)
    assert_nearest_without_conflict(gradients @ gradients.T, torch.ones_like(weights), weights)


def test_upgrad_is_the_sum_of_such_directions(gradients):
    gramian = gradients @ gradients.T
    total = weights_of(UPGrad(regularization=0), gradients)
    assert bool((gramian @ total >= -1e-9 * gramian.diagonal()).all())
    # Rows that are in conflict with none stay as they are.
    alone = ((gramian >= 0).all(dim=1)).nonzero().flatten()
    assert bool((total[alone] >= 1).all())


def test_a_regularization_solves_the_program_of_the_regularized_gramian(gradients):
    gramian = gradients @ gradients.T
    regularized = gramian + 1e-2 * gramian.diagonal().diag()
    weights = weights_of(DualProj(regularization=1e-2), gradients)
    assert_nearest_without_conflict(regularized, torch.ones_like(weights), weights)


@pytest.mark.parametrize("c", [0.1, 0.4, 0.9])
def test_cagrad_weights_minimise_the_dual_of_the_paper(gradients, c):
    num_tasks, gramian = len(gradients), gradients @ gradients.T
    weights = weights_of(CAGrad(c=c, rescale="none"), gradients)
    shares = (weights - 1) / (weights - 1).sum()
    mean, radius = gramian.mean(dim=1), c * gramian.mean().sqrt()
    # Derivative of `w M 1 / S + radius sqrt(w M w)`, which is the progress along the direction
    slopes = mean + radius * gramian @ shares / (shares @ gramian @ shares).sqrt()
    assert_close(slopes, gramian @ weights / num_tasks, rtol=1e-5, atol=1e-6)
    # ... is least for the tasks that have a share.
    assert bool((shares >= -1e-12).all())
    least = slopes.min()
    assert_close(shares @ slopes, least, rtol=1e-5, atol=1e-6)
    length = (weights / num_tasks - 1 / num_tasks) @ gramian @ (weights - 1) / num_tasks
    assert_close(length.sqrt(), radius)
