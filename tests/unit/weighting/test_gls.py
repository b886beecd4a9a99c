# SPDX-License-Identifier: Apache-2.0
"""The geometric mean of losses against answers that can be worked out by hand."""

import torch
from torch.testing import assert_close

from hf_mtl.weighting import GLSWeighting, WeightingContext


def weights(*losses):
    tasks = torch.arange(len(losses))
    context = WeightingContext(step=0)
    return GLSWeighting().weights(torch.tensor(losses).double(), tasks, {}, context).tolist()


def test_a_weight_is_the_geometric_mean_over_the_loss():
    assert_close(weights(8.0, 1.0, 1.0), [2 / 8, 2.0, 2.0])


def test_the_total_is_the_geometric_mean():
    first, second = weights(9.0, 4.0)
    assert_close((first * 9 + second * 4) / 2, 6.0)


def test_weights_are_those_of_the_gradient():
    losses = torch.tensor([9.0, 4.0]).double().requires_grad_()
    (losses.prod() ** (1 / 2)).backward()
    assert_close(weights(9.0, 4.0), (2 * losses.grad).tolist())


def test_a_product_that_no_number_can_hold_does_no_harm():
    assert_close(weights(*[1e30] * 20), [1.0] * 20)


def test_a_loss_of_zero_gets_a_large_finite_weight():
    assert_close(weights(1.0, 0.0), [1e-4, 1e4])
