# SPDX-License-Identifier: Apache-2.0
"""GradNorm, PCD and CR-MOGM against answers that can be worked out by hand."""

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.gradients import (
    CRMOGM,
    GRADIENT_METHODS,
    PCD,
    GradientContext,
    GradientMethod,
    GradNorm,
)

ORTHOGONAL = [[1.0, 0.0], [0.0, 4.0]]


def steps_of(method, gramian, losses=((1.0, 1.0),), preferences=(1, 1), tasks=(0, 1), state=None):
    """Weights of the last of some steps with the same gradients, and the state after it."""
    gramian = torch.tensor(gramian, dtype=torch.float64)
    state = method.init_state(3) if state is None else state
    for step, row in enumerate(losses):
        context = GradientContext(
            step, torch.tensor(row).double(), torch.tensor(preferences).double()
        )
        weights, state = method.weights(gramian, torch.tensor(tasks), state, context)
    return weights.tolist(), state


def test_gradnorm_begins_with_the_mean():
    assert steps_of(GradNorm(), ORTHOGONAL)[0] == [1.0, 1.0]


def test_gradnorm_moves_each_weight_by_the_learning_rate():
    _, state = steps_of(GradNorm(learning_rate=0.1), ORTHOGONAL)
    assert_close(state["parameter"].tolist(), [0.1, -0.1, 0.0], rtol=1e-6, atol=0)


def test_gradnorm_makes_lengths_equal():
    weights, _ = steps_of(GradNorm(learning_rate=0.02), ORTHOGONAL, 150 * [(3.0, 1.0)])
    # w and 2 - w: w x 1 = (2 - w) x 2
    assert_close(weights, [4 / 3, 2 / 3], rtol=0.03, atol=0)


def test_gradnorm_prefers_tasks_whose_loss_has_come_down_less():
    losses = [(2.0, 2.0), *150 * [(1.5, 0.5)]]
    weights, state = steps_of(
        GradNorm(alpha=1, learning_rate=0.02), [[1.0, 0.0], [0.0, 1.0]], losses
    )
    # Ratios 3/4 and 1/4, in units of their mean 3/2 and 1/2
    assert_close(weights, [3 / 2, 1 / 2], rtol=0.03, atol=0)
    assert state["initial_loss"].tolist() == [2.0, 2.0, 0.0]


def test_gradnorm_makes_lengths_proportional_to_preferences():
    weights, _ = steps_of(
        GradNorm(learning_rate=0.02), ORTHOGONAL, 150 * [(1.0, 1.0)], preferences=(4, 2)
    )
    # w x 1 = 2 x (2 - w) x 2
    assert_close(weights, [8 / 5, 2 / 5], rtol=0.03, atol=0)


def test_gradnorm_refuses_a_negative_alpha():
    with pytest.raises(ValueError, match="`alpha` must be 0 or more, but got -1"):
        GradNorm(alpha=-1)


def test_gradnorm_refuses_a_learning_rate_of_0():
    with pytest.raises(ValueError, match="`learning_rate` must be a positive number, but got 0"):
        GradNorm(learning_rate=0)


def test_pcd_bends_the_primary_gradient_until_the_other_task_gets_its_share():
    # Of length 1: 3/4 of the second beside the first, and that 5/4 as long as it shall be; the
    # second has a length of 2
    weights, _ = steps_of(PCD(tau=0.75), ORTHOGONAL)
    assert_close(weights, [2 * 4 / 5, 2 * 3 / 5 / 2])


def test_pcd_keeps_a_primary_gradient_that_serves_the_other_task_anyway():
    weights, _ = steps_of(PCD(tau=0.25), [[1.0, 0.5], [0.5, 1.0]])
    assert_close(weights, [2.0, 0.0])


def test_pcd_keeps_the_primary_gradient_if_the_others_contradict_each_other():
    gramian = [[1.0, 0.0, 0.0], [0.0, 1.0, -1.0], [0.0, -1.0, 1.0]]
    weights, _ = steps_of(PCD(), gramian, [(1.0, 1.0, 1.0)], (1, 1, 1), (0, 1, 2))
    assert_close(weights, [3.0, 0.0, 0.0])


def test_pcd_measures_gradients_by_their_usual_length():
    method = PCD(tau=0.75, beta=0.5)
    _, state = steps_of(method, [[1.0, 0.0], [0.0, 7.0]])
    weights, state = steps_of(method, ORTHOGONAL, state=state)
    # Mean square of 7 and 4 with weights 1 and 2: 5
    assert_close((state["mean_square"] / 0.75).tolist(), [1.0, 5.0, 0.0])
    # 3/4 of a gradient of length 2 / sqrt(5), which is as it were 3 / sqrt(5) / 2
    length = (1 + 9 / 16 * 4 / 5) ** 0.5
    assert_close(weights, [2 / length, 2 * 0.75 / 5**0.5 / length])


def test_pcd_promises_progress_in_proportion_to_preference():
    weights, _ = steps_of(PCD(tau=0.25), ORTHOGONAL, preferences=(1, 3))
    assert_close(weights, [2 * 4 / 5, 2 * 3 / 5 / 2])


def test_pcd_follows_the_mean_without_its_primary_task():
    assert steps_of(PCD(primary=2), ORTHOGONAL)[0] == [1.0, 1.0]


def test_pcd_stands_still_if_the_primary_gradient_vanishes():
    assert steps_of(PCD(), [[0.0, 0.0], [0.0, 4.0]])[0] == [0.0, 0.0]


def test_pcd_stands_still_if_a_task_is_promised_the_opposite():
    assert steps_of(PCD(tau=0.0), [[1.0, -1.0], [-1.0, 1.0]])[0] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"primary": -1}, "`primary` must be the position of a task, 0 or more, but got -1"),
        (
            {"primary": "mnli"},
            "`primary` must be the position of a task, 0 or more, but got 'mnli'",
        ),
        ({"tau": 1.5}, r"`tau` must be in \[0, 1\], but got 1.5"),
        ({"beta": 1.0}, r"`beta` must be in \[0, 1\), but got 1.0"),
    ],
)
def test_pcd_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        PCD(**fields)


def test_cr_mogm_averages_the_weights_of_the_other_method():
    method = CRMOGM(method="mgda", momentum=0.5)
    weights, state = steps_of(method, [[1.0, 0.0], [0.0, 1.0]])
    assert_close(weights, [1.0, 1.0])
    weights, _ = steps_of(method, ORTHOGONAL, state=state)
    assert_close(weights, [(1 + 8 / 5) / 2, (1 + 2 / 5) / 2])


def test_cr_mogm_keeps_what_the_other_method_remembers():
    method = CRMOGM(method={"name": "gradvac", "beta": 0.5})
    _, state = steps_of(method, [[1.0, 0.5], [0.5, 1.0]])
    assert_close(state["method.target"][0].tolist(), [0.0, 0.25, 0.0])


def test_cr_mogm_does_not_average_steps_of_one_task():
    weights, state = steps_of(CRMOGM(), [[4.0]], [(1.0,)], (1,), (0,))
    assert weights == [1.0]
    assert state["num_steps"].tolist() == [0.0, 0.0, 0.0]


def test_cr_mogm_treats_preferences_and_scales_as_the_other_method_does():
    for entry in ("pcgrad", "imtl_g", {"name": "mgda", "normalization": "l2"}):
        inner, method = GRADIENT_METHODS.build(entry), CRMOGM(method=entry)
        assert method.uses_preferences == inner.uses_preferences
        assert method.cancels_scale == inner.cancels_scale


def test_cr_mogm_refuses_a_momentum_of_1():
    with pytest.raises(ValueError, match=r"`momentum` must be in \[0, 1\), but got 1"):
        CRMOGM(momentum=1)


def test_cr_mogm_refuses_an_unknown_method():
    with pytest.raises(KeyError, match=r"Unknown gradient method 'mgdb'\. Did you mean 'mgda'"):
        CRMOGM(method="mgdb")


def test_cr_mogm_refuses_a_method_that_needs_gradients():
    class Whole(GradientMethod):
        """Needs whole gradients."""

    GRADIENT_METHODS.register("whole")(Whole)
    with pytest.raises(TypeError, match="`method` must need only inner products of gradients"):
        CRMOGM(method="whole")
