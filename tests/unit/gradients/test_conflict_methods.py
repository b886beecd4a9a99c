# SPDX-License-Identifier: Apache-2.0
"""Methods that resolve conflicts, against answers that can be worked out by hand."""

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.gradients import CAGrad, DualProj, GradientContext, GradVac, PCGrad, UPGrad

# Gradients of length 1 at 120 degrees, and at 60.
CONFLICT = [[1.0, -0.5], [-0.5, 1.0]]
AGREEMENT = [[1.0, 0.5], [0.5, 1.0]]
# The second and third are orthogonal, and in conflict with the first.
THREE = [[1.0, -0.5, -0.25], [-0.5, 1.0, 0.0], [-0.25, 0.0, 1.0]]
# Of lengths 1 and 2, at 120 degrees.
UNEQUAL = [[1.0, -1.0], [-1.0, 4.0]]


def weights_of(method, gramian, state=None, step=0, seed=0):
    ones = torch.ones(len(gramian)).double()
    context = GradientContext(step, ones, ones, seed=seed)
    gramian = torch.tensor(gramian, dtype=torch.float64)
    return method.weights(gramian, torch.arange(len(gramian)), state or {}, context)


@pytest.mark.parametrize(
    "method", [PCGrad(), UPGrad(), DualProj(), CAGrad(c=0), GradVac()], ids=str
)
def test_gradients_that_agree_are_averaged(method):
    weights, _ = weights_of(method, AGREEMENT, method.init_state(2))
    assert_close(weights.tolist(), [1.0, 1.0])


def test_pcgrad_adds_of_the_other_what_is_missing():
    # g1 + 1 / 4 g2 and g2 + g1
    weights, _ = weights_of(PCGrad(), UNEQUAL)
    assert_close(weights.tolist(), [2.0, 1.25])


def test_pcgrad_takes_the_others_in_random_order():
    # Only after the second, or the third, is turned away from the first, it is in conflict with
    # the other of them; so two results for each.
    found = {tuple(weights_of(PCGrad(), THREE, step=step)[0].tolist()) for step in range(20)}
    assert len(found) == 4


def test_pcgrad_depends_on_the_seed_of_the_run():
    found = {tuple(weights_of(PCGrad(), THREE, seed=seed)[0].tolist()) for seed in range(20)}
    assert len(found) == 4


def test_upgrad_projects_each_gradient():
    # Of two gradients, that is what PCGrad does.
    weights, _ = weights_of(UPGrad(regularization=0), UNEQUAL)
    assert_close(weights.tolist(), [2.0, 1.25])


def test_dual_proj_projects_the_mean():
    # The mean makes a progress of 0 on the first: it stays as it is
    weights, _ = weights_of(DualProj(regularization=0), UNEQUAL)
    assert_close(weights.tolist(), [1.0, 1.0])
    # 1 - 2: one more of the first brings 0 and 8 - 2 - 2
    weights, _ = weights_of(DualProj(regularization=0), [[1.0, -2.0], [-2.0, 8.0]])
    assert_close(weights.tolist(), [2.0, 1.0])


@pytest.mark.parametrize("method", [UPGrad, DualProj])
def test_a_regularization_bounds_the_weights_of_gradients_that_nearly_cancel_out(method):
    # Cosine -1 + 1e-12: the second has to be overcome by a huge multiple of what is orthogonal.
    nearly = [[1.0, -1 + 1e-12, 1e-6], [-1 + 1e-12, 1.0, 0.0], [1e-6, 0.0, 1.0]]
    weights, _ = weights_of(method(), nearly)
    assert float(weights.abs().max()) < 100


@pytest.mark.parametrize("method", [UPGrad, DualProj])
def test_a_regularization_is_not_negative(method):
    with pytest.raises(ValueError, match=r"`regularization` must be 0 or more, but got -0.1"):
        method(regularization=-0.1)


def test_cagrad_goes_towards_the_worst_task():
    # Mean (0.5, 1) of (1, 0) and (0, 2): progress 0.5 and 2, so a step of c x sqrt(1.25) along the
    # first; divided by 1 + c
    weights, _ = weights_of(CAGrad(c=0.4), [[1.0, 0.0], [0.0, 4.0]])
    assert_close(weights.tolist(), [(1 + 2 * 0.4 * 1.25**0.5) / 1.4, 1 / 1.4])


@pytest.mark.parametrize(("rescale", "divisor"), [("none", 1), ("mean", 1.5), ("paper", 1.25)])
def test_cagrad_divides_by(rescale, divisor):
    weights, _ = weights_of(CAGrad(c=0.5, rescale=rescale), CONFLICT)
    assert_close(weights.tolist(), [1.5 / divisor, 1.5 / divisor])


def test_cagrad_stays_with_a_mean_that_vanishes():
    weights, _ = weights_of(CAGrad(), [[1.0, -1.0], [-1.0, 1.0]])
    assert weights.tolist() == [1.0, 1.0]


def test_cagrad_refuses_a_radius_of_the_mean_itself():
    with pytest.raises(ValueError, match=r"`c` must be in \[0, 1\), but got 1"):
        CAGrad(c=1)


def test_cagrad_refuses_an_unknown_rescale():
    with pytest.raises(KeyError, match=r"Unknown rescale 'papers'\. Did you mean 'paper'"):
        CAGrad(rescale="papers")


def test_gradvac_begins_as_pcgrad_and_remembers_similarities():
    method = GradVac(beta=0.1)
    weights, state = weights_of(method, CONFLICT, method.init_state(2))
    assert_close(weights.tolist(), [1.5, 1.5])
    assert_close(state["target"].tolist(), [[0.0, -0.05], [-0.05, 0.0]])


def test_gradvac_turns_gradients_until_they_are_as_similar_as_usual():
    state = {"target": torch.tensor([[0.0, 0.6], [0.0, 0.0]]).double()}
    weights, after = weights_of(GradVac(beta=0.1), [[1.0, 0.0], [0.0, 4.0]], state)
    # Cosine 0 to 0.6 of the first: tangent 3 / 4, of a gradient twice as long
    assert_close(weights.tolist(), [1.0, 1 + 3 / 8])
    assert_close(after["target"].tolist(), [[0.0, 0.54], [0.0, 0.0]])


def test_gradvac_remembers_pairs_by_their_tasks():
    method, ones = GradVac(beta=0.5), torch.ones(2).double()
    tasks, context = torch.tensor([0, 2]), GradientContext(0, ones, ones)
    gramian = torch.tensor(AGREEMENT).double()
    _, state = method.weights(gramian, tasks, method.init_state(3), context)
    assert_close(state["target"].tolist(), [[0.0, 0.0, 0.25], [0.0] * 3, [0.25, 0.0, 0.0]])


@pytest.mark.parametrize("beta", [0.0, 1.5])
def test_gradvac_refuses_a_share_beyond_its_range(beta):
    with pytest.raises(ValueError, match=f"`beta` must be .*, but got {beta}"):
        GradVac(beta=beta)


@pytest.mark.parametrize("ratio", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("method", [UPGrad(), DualProj()], ids=str)
def test_a_short_gradient_is_freed_of_conflicts_with_a_long_one(method, ratio):
    gramian = torch.tensor([[1.0, -0.9 * ratio], [-0.9 * ratio, ratio**2]]).double()
    weights, _ = weights_of(method, gramian.tolist())
    length = (weights @ gramian @ weights).sqrt()
    cosines = gramian @ weights / gramian.diagonal().sqrt() / length
    assert bool((cosines >= -1e-2).all())
