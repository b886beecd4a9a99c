# SPDX-License-Identifier: Apache-2.0
"""What a gradient method declares is what it does with scales and conflicts."""

from dataclasses import fields, replace

import pytest
import torch
from toy_gradient_methods import NAMES, VARIANTS, Given, first_weights, random_history, run

from hf_mtl.gradients import GRADIENT_METHODS
from hf_mtl.gradients.mean import Mean

ENTRIES = [*NAMES, *VARIANTS]


@pytest.fixture(params=ENTRIES, ids=str)
def method(request):
    return GRADIENT_METHODS.build(request.param)


def history(num_steps=12):
    """Gradients of three or four tasks, of different lengths, often in conflict."""
    for seed in range(num_steps):
        (given,) = random_history(1, num_parameters=5, seed=seed)
        tasks = given.tasks[: 3 + seed % 2]
        gradients = given.gradients - 0.8 * given.gradients.mean(dim=0)
        yield Given(gradients[tasks], tasks, given.losses[tasks], given.preferences[tasks])


def direction(method, gradients):
    return first_weights(method, gradients) @ gradients / len(gradients)


def assert_cancels_scale_if_it_says_so(method):
    """The direction is the same at any scale of a task, or is not."""
    similarities = []
    for given in history():
        scales = torch.tensor([100.0, 1.0, 0.1, 10.0]).double()[given.tasks, None]
        pair = direction(method, given.gradients), direction(method, scales * given.gradients)
        similarities.append(torch.cosine_similarity(*pair, dim=0))
    is_the_same = bool((torch.stack(similarities) > 1 - 1e-6).all())
    assert is_the_same == method.cancels_scale


def assert_never_conflicts_if_it_says_so(method):
    """No loss rises, or one does."""
    if "regularization" in {field.name for field in fields(method)}:
        method = replace(method, regularization=0)  # it lets conflicts of its size pass
    lowest = []
    for step in run(method, list(history())):
        lengths = step.given.gradients.norm(dim=1)
        lowest.append((step.given.gradients @ step.direction / lengths / lengths.max()).min())
    assert (min(lowest) > -1e-6) == method.never_conflicts


LAWS = [assert_cancels_scale_if_it_says_so, assert_never_conflicts_if_it_says_so]


@pytest.mark.parametrize("assert_law", LAWS)
def test_a_method_is_what_it_says(method, assert_law):
    assert_law(method)


@pytest.mark.parametrize("assert_law", LAWS)
def test_a_wrong_declaration_is_caught(assert_law):
    class SaysTooMuch(Mean):
        cancels_scale = True
        never_conflicts = True

    with pytest.raises(AssertionError):
        assert_law(SaysTooMuch())
