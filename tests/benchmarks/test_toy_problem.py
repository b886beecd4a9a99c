# SPDX-License-Identifier: Apache-2.0
"""The toy problem: its objectives at points that can be worked out by hand, and a quick run."""

import subprocess
import sys
from math import log, tanh

import pytest
import torch
from benchmark_scripts import SCRIPTS, load_script
from torch.testing import assert_close

from hf_mtl.gradients import GRADIENT_METHODS


@pytest.fixture(scope="module")
def toy_problem():
    return load_script("toy_problem")


def points(*coordinates):
    return torch.tensor(coordinates, dtype=torch.float64)


def test_between_the_half_planes_both_objectives_vanish(toy_problem):
    assert_close(toy_problem.objectives(points((3.0, 0.0))), points((0.0, 0.0)))


def test_deep_below_the_objectives_are_two_bowls(toy_problem):
    far = tanh(8 / 2)
    expected = points((-20 * far, (14**2 / 10 - 20) * far))
    assert_close(toy_problem.objectives(points((7.0, -8.0))), expected)


def test_high_above_the_objectives_are_two_valleys(toy_problem):
    # tanh(30) is 1 in float64: |(-7 - 3) / 2 + 1| = 4 and |(3 - 3) / 2 - 1 + 2| = 1.
    expected = points((log(4) + 6, log(1) + 6))
    assert_close(toy_problem.objectives(points((3.0, 60.0))), expected)


def test_the_factor_is_that_of_the_first_objective(toy_problem):
    plain, scaled = (toy_problem.objectives(points((7.0, -8.0)), scale) for scale in (1.0, 0.1))
    assert_close(scaled, plain * points(0.1, 1.0))


def test_gradients_of_a_bowl_point_away_from_its_bottom(toy_problem):
    _, jacobian = toy_problem.gradients(points((0.0, -60.0)))
    assert_close(jacobian[0, :, 0], points(-14 / 10, 14 / 10))


def test_the_pareto_set_joins_the_bottoms_of_the_bowls(toy_problem):
    on_it = points((-7.0, -8.3), (0.0, -8.3), (7.0, -8.3))
    off_it = points((-8.5, 7.5), (0.0, 0.0), (0.0, -3.0), (9.0, -8.3))
    assert toy_problem.is_optimal(on_it).all()
    assert not toy_problem.is_optimal(off_it).any()


def test_a_point_that_circles_closely_is_at_rest_and_one_that_creeps_is_not(toy_problem):
    rest = toy_problem.Rest(points((0.0, 0.0), (0.0, 0.0)), radius=0.1)
    for step in range(1000):
        rest.add(points((0.05 * (-1) ** step, 0.0), (0.001 * step, 0.0)))
    assert rest.moving == [1]


def test_every_method_moves_from_every_start(toy_problem):
    starts = points(*toy_problem.STARTS)
    for name in (*toy_problem.METHODS, "nash_mtl", "fairgrad"):
        method = GRADIENT_METHODS.build(name)
        visited = toy_problem.trajectories(method, starts, steps=3, lr=0.01)
        assert visited.shape == (4, len(starts), 2)
        assert (visited[-1] != starts).any(dim=-1).all(), name


@pytest.mark.slow
def test_a_quick_run_prints_a_table_and_draws_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    figure = tmp_path / "toy.png"
    run = subprocess.run(
        [sys.executable, SCRIPTS / "toy_problem.py", "--quick", "--figure", figure],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "Reaches the Pareto set from" in run.stdout
    assert "mgda" in run.stdout
    assert figure.stat().st_size < 100_000
