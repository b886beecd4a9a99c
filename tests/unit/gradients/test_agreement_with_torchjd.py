# SPDX-License-Identifier: Apache-2.0
"""Gradient methods against torchjd on random gradients, where it needs no other solver."""

import pytest
import torch
from torch.testing import assert_close
from torchjd.aggregation import (
    PCD,
    AlignedMTL,
    AlignedMTLWeighting,
    ConFIG,
    CRMOGMWeighting,
    FairGrad,
    GradVacWeighting,
    IMTLGWeighting,
    MGDAWeighting,
    PCGradWeighting,
)

from hf_mtl import gradients as ours
from hf_mtl.gradients import GradientContext

SEEDS = range(20)


def random_gradients(seed, num_steps=1):
    """Gradients of two to six tasks, ``[N, S, P]``, of lengths between 1 and 5, or so."""
    generator = torch.Generator().manual_seed(seed)
    num_tasks = 2 + seed % 5
    gradients = torch.randn(num_steps, num_tasks, 8, generator=generator, dtype=torch.float64)
    return gradients * torch.linspace(0.5, 2, num_tasks, dtype=torch.float64)[:, None]


def context_of(gradients, step=0):
    ones = torch.ones(len(gradients), dtype=torch.float64)
    return GradientContext(step=step, losses=ones, preferences=ones, seed=5)


def weights_of(method, gradients, state=None, step=0):
    state = method.init_state(len(gradients)) if state is None else state
    tasks = torch.arange(len(gradients))
    return method.weights(gradients @ gradients.T, tasks, state, context_of(gradients, step))


def direction_of(method, gradients):
    return weights_of(method, gradients)[0] @ gradients / len(gradients)


@pytest.mark.parametrize("seed", SEEDS)
def test_mgda_finds_a_mean_that_is_no_longer(seed):
    (gradients,) = random_gradients(seed)
    weighting = MGDAWeighting(epsilon=1e-9, max_iters=500)
    theirs = weighting(gradients @ gradients.T) @ gradients
    found = direction_of(ours.MGDA(), gradients)
    assert found.norm() <= theirs.norm() * (1 + 1e-12)
    # Theirs comes near in a finite number of steps.
    assert_close(found, theirs, rtol=0, atol=0.1 * float(gradients.norm(dim=1).min()))


@pytest.mark.parametrize("seed", SEEDS)
def test_imtl_g_is_the_same_up_to_its_sign(seed):
    (gradients,) = random_gradients(seed)
    theirs = IMTLGWeighting()(gradients @ gradients.T) * len(gradients)
    found, _ = weights_of(ours.IMTLG(), gradients)
    # Along theirs all losses fall, or all of them rise.
    assert_close(found, theirs * (gradients[0] @ (theirs @ gradients)).sign())


@pytest.mark.parametrize("seed", SEEDS)
def test_config_is_the_same(seed):
    (gradients,) = random_gradients(seed)
    assert_close(direction_of(ours.ConFIG(), gradients), ConFIG()(gradients) / len(gradients))


@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
@pytest.mark.parametrize("seed", SEEDS[:6])
def test_aligned_mtl_is_the_same(seed, scale):
    (gradients,) = random_gradients(seed)
    found = direction_of(ours.AlignedMTL(scale=scale), gradients)
    assert_close(found, AlignedMTL(scale_mode=scale)(gradients))


@pytest.mark.parametrize("seed", SEEDS)
def test_fairgrad_points_the_same_way(seed):
    (gradients,) = random_gradients(seed)
    found = direction_of(ours.FairGrad(alpha=2.0), gradients)
    theirs = FairGrad(alpha=2.0)(gradients)
    assert torch.cosine_similarity(found, theirs, dim=0) > 1 - 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_pcgrad_is_the_same_in_the_same_order(seed):
    (gradients,) = random_gradients(seed)
    found, _ = weights_of(ours.PCGrad(), gradients)
    drawn = torch.randint(2**62, (), generator=context_of(gradients).generator())
    torch.manual_seed(int(drawn))
    assert_close(found, PCGradWeighting()(gradients @ gradients.T))


@pytest.mark.parametrize("seed", SEEDS)
def test_gradvac_is_the_same_in_the_same_order_in_every_step(seed):
    theirs, method, state = GradVacWeighting(beta=0.3, eps=0.0), ours.GradVac(beta=0.3), None
    for step, gradients in enumerate(random_gradients(seed, num_steps=5)):
        found, state = weights_of(method, gradients, state, step)
        torch.default_generator.set_state(context_of(gradients, step).generator().get_state())
        assert_close(found, theirs(gradients @ gradients.T))


@pytest.mark.parametrize("seed", SEEDS)
def test_pcd_is_the_same_in_every_step(seed):
    theirs, method, state = PCD(tau=0.3, beta=0.9, eps=0.0), ours.PCD(tau=0.3, beta=0.9), None
    for step, gradients in enumerate(random_gradients(seed, num_steps=5)):
        found, state = weights_of(method, gradients, state, step)
        assert_close(found @ gradients / len(gradients), theirs(gradients), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_cr_mogm_is_the_same_in_every_step(seed):
    theirs = CRMOGMWeighting(AlignedMTLWeighting(), alpha=0.7)
    method, state = ours.CRMOGM(method="aligned_mtl", momentum=0.7), None
    for step, gradients in enumerate(random_gradients(seed, num_steps=5)):
        found, state = weights_of(method, gradients, state, step)
        assert_close(found, theirs(gradients @ gradients.T) * len(gradients))
