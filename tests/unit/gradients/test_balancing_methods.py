# SPDX-License-Identifier: Apache-2.0
"""Methods that balance lengths or progress, against answers that can be worked out by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.gradients import (
    IMTLG,
    MGDA,
    AlignedMTL,
    ConFIG,
    FairGrad,
    GradientContext,
    Mean,
    NashMTL,
)

# Orthogonal gradients of lengths 1 and 2.
ORTHOGONAL = [[1.0, 0.0], [0.0, 4.0]]


def weights_of(method, gramian, preferences=(1, 1), losses=(1, 1)):
    context = GradientContext(0, torch.tensor(losses).double(), torch.tensor(preferences).double())
    tasks = torch.arange(len(gramian))
    weights, state = method.weights(torch.tensor(gramian, dtype=torch.float64), tasks, {}, context)
    assert state == {}
    return weights.tolist()


def test_the_mean_weighs_all_alike():
    assert weights_of(Mean(), ORTHOGONAL) == [1.0, 1.0]


def test_mgda_goes_to_the_foot_of_the_perpendicular():
    # (g2 - g1) g2 / |g1 - g2|^2 = 4 / 5 for the first
    assert_close(weights_of(MGDA(), ORTHOGONAL), [2 * 4 / 5, 2 * 1 / 5])


def test_mgda_follows_the_short_gradient_alone_if_the_long_one_agrees():
    assert_close(weights_of(MGDA(), [[1.0, 1.5], [1.5, 4.0]]), [2.0, 0.0])


def test_mgda_balances_three_tasks():
    # Squared lengths 1, 2, 4: shares are inverse to them, 4 : 2 : 1
    weights = weights_of(
        MGDA(), torch.diag(torch.tensor([1.0, 2.0, 4.0])).tolist(), (1, 1, 1), [1] * 3
    )
    assert_close(weights, [3 * 4 / 7, 3 * 2 / 7, 3 * 1 / 7])


@pytest.mark.parametrize(
    ("normalization", "weights"),
    [
        ("l2", [4 / 3, 2 / 3]),  # lengths 1 and 1 after division by 1 and 2: half and half of these
        ("loss", [1.0, 1.0]),  # lengths 1 / 1 and 2 / 4: shares 1 : 4, divided by losses 1 and 4
        ("loss+", [2 / 3, 4 / 3]),  # lengths 1 and 1 / 4: shares 1 : 16, divided by 1 and 8
    ],
)
def test_mgda_divides_gradients_by(normalization, weights):
    found = weights_of(MGDA(normalization=normalization), ORTHOGONAL, losses=(1, 4))
    assert_close(found, weights)


def test_mgda_makes_progress_in_proportion_to_preference():
    first, second = weights_of(MGDA(), ORTHOGONAL, preferences=(2, 1))
    assert_close(first * 1, 2 * (second * 4))


def test_mgda_refuses_an_unknown_normalization():
    with pytest.raises(KeyError, match=r"Unknown normalization 'los'\. Did you mean 'loss'"):
        MGDA(normalization="los")


def test_imtl_g_projects_equally():
    # Weights 1 / 1 and 1 / 2, which add up to 2
    assert_close(weights_of(IMTLG(), ORTHOGONAL), [4 / 3, 2 / 3])


def test_imtl_g_does_not_turn_around():
    # Of (1, 0, 0), (0, 1, 0) and (2, 2, 1) / 3: projections are equal along (1, 1, -1), which is 3
    # of the first, 3 of the second and -3 of the third. If that is a tenth as long, its weight is
    # -30, and weights add up to -24.
    gramian = [[1.0, 0.0, 1 / 15], [0.0, 1.0, 1 / 15], [1 / 15, 1 / 15, 0.01]]
    weights = weights_of(IMTLG(), gramian, (1, 1, 1), (1, 1, 1))
    assert_close(weights, [3 * 3 / 24, 3 * 3 / 24, -3 * 30 / 24])


def test_imtl_g_projects_in_proportion_to_preference():
    first, second = weights_of(IMTLG(), ORTHOGONAL, preferences=(3, 1))
    assert_close(first * 1, 3 * (second * 2))


def test_config_is_as_long_as_the_sum_of_projections():
    # Along (1, 1) / sqrt(2): projections 1 / sqrt(2) and 2 / sqrt(2); so (1.5, 1.5)
    assert_close(weights_of(ConFIG(), ORTHOGONAL), [1.5, 0.75])


def test_config_has_cosines_in_proportion_to_preference():
    first, second = weights_of(ConFIG(), ORTHOGONAL, preferences=(1, 3))
    assert_close(3 * (first * 1), second * 2)


def test_nash_mtl_weights_are_inverse_to_lengths():
    # Squared lengths 0.4 and 1.6 in units of their mean
    assert_close(weights_of(NashMTL(), ORTHOGONAL), [0.4**-0.5, 1.6**-0.5])


def test_nash_mtl_progress_times_weight_is_preference():
    weights = weights_of(NashMTL(), ORTHOGONAL, preferences=(3, 1))
    assert_close(weights, [(1.5 / 0.4) ** 0.5, (0.5 / 1.6) ** 0.5])


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fairgrad_weights_are_inverse_to_a_power_of_progress(alpha):
    # c w = w^(-1 / alpha), so w = c^(-alpha / (1 + alpha))
    power = alpha / (1 + alpha)
    assert_close(weights_of(FairGrad(alpha=alpha), ORTHOGONAL), [0.4**-power, 1.6**-power])


def test_fairgrad_refuses_an_alpha_of_0():
    with pytest.raises(ValueError, match="`alpha` must be a positive number, but got 0"):
        FairGrad(alpha=0)


@pytest.mark.parametrize(("scale", "length"), [("min", 1.0), ("median", 1.0), ("rmse", 2.5**0.5)])
def test_aligned_mtl_makes_lengths_equal(scale, length):
    assert_close(weights_of(AlignedMTL(scale=scale), ORTHOGONAL), [length, length / 2])


def test_aligned_mtl_weighs_what_is_aligned_by_preference():
    assert_close(weights_of(AlignedMTL(), ORTHOGONAL, preferences=(3, 1)), [1.5, 0.5 / 2])


def test_aligned_mtl_refuses_an_unknown_scale():
    with pytest.raises(KeyError, match="Unknown scale 'mean'"):
        AlignedMTL(scale="mean")


@pytest.mark.parametrize("method", [IMTLG(), ConFIG(), NashMTL(), FairGrad()], ids=str)
def test_gradients_that_cancel_out_leave_the_mean_and_say_so_once(method, monkeypatch):
    said = []
    monkeypatch.setattr("hf_mtl.gradients.memoryless.logger.warning_once", said.append)
    assert weights_of(method, [[1.0, -1.0], [-1.0, 1.0]]) == [1.0, 1.0]
    assert said[0].startswith(f"{method}: ")
    assert said[0].endswith("Such steps follow the mean of the gradients; this is said once.")


@pytest.mark.parametrize("alpha", [0.1, 0.5, 2.0, 4.0])
def test_fairgrad_maximises_utilities_that_preferences_multiply(alpha):
    """Of orthogonal gradients of squared lengths ``m``: ``w = (p / m^alpha)^(1 / (1 + alpha))``."""
    first, second = weights_of(FairGrad(alpha=alpha), ORTHOGONAL, preferences=(4, 1))
    expected = (4 / 1**alpha) ** (1 / (1 + alpha)) / (1 / 4**alpha) ** (1 / (1 + alpha))
    assert first / second == pytest.approx(expected)


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.3])
def test_fairgrad_finds_weights_next_to_a_short_gradient(alpha):
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        gradients = torch.randn(4, 10, generator=generator).double()
        gradients[0] *= 1e-3
        gramian = gradients @ gradients.T
        ones = torch.ones(4).double()
        context = GradientContext(0, ones, ones)
        weights, _ = FairGrad(alpha=alpha).weights(gramian, torch.arange(4), {}, context)
        assert not torch.equal(weights, ones)
        assert bool((gramian @ weights >= -1e-12 * gramian.diagonal().sqrt()).all())


@pytest.mark.parametrize("method", [MGDA(), IMTLG(), ConFIG(), NashMTL(), FairGrad()], ids=str)
@pytest.mark.parametrize("square", [0.0, math.inf], ids=["vanished", "overflowed"])
def test_what_is_left_of_a_step_has_the_preferences(method, square):
    weights = weights_of(method, [[square, 0.0], [0.0, 1.0]], preferences=(1.5, 0.5))
    assert weights == [1.5, 0.5]


@pytest.mark.parametrize("method", [IMTLG(), NashMTL(), FairGrad()], ids=str)
def test_the_mean_of_gradients_that_cancel_out_has_the_preferences(method):
    weights = weights_of(method, [[1.0, -1.0], [-1.0, 1.0]], preferences=(1.5, 0.5))
    assert weights == [1.5, 0.5]
