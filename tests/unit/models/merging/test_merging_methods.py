# SPDX-License-Identifier: Apache-2.0
"""Merging methods against values worked out by hand."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from hf_mtl.models.merging import MERGING_METHODS, Average, First, TaskArithmetic, Ties

START = {"w": torch.tensor([1.0, 1.0, 1.0])}
# From the start they went (2, -1, 0) and (4, 3, -2).
MODELS = [{"w": torch.tensor([3.0, 0.0, 1.0])}, {"w": torch.tensor([5.0, 4.0, -1.0])}]


def values(merged: dict[str, Tensor]) -> list[float]:
    return merged["w"].tolist()


def test_first_is_the_first():
    assert values(First().merge(MODELS, {})) == [3, 0, 1]


def test_what_the_first_lacks_is_taken_from_the_next_that_has_it():
    pooler = {"pooler": torch.tensor([7.0])}
    merged = First().merge([MODELS[0], MODELS[1] | pooler, {"pooler": torch.tensor([8.0])}], {})
    assert merged["pooler"].tolist() == [7]


def test_the_average_is_the_mean_of_those_that_have_a_tensor():
    merged = Average().merge([*MODELS, {"b": torch.tensor([2.0])}], {})
    assert values(merged) == [(3 + 5) / 2, (0 + 4) / 2, (1 - 1) / 2]
    assert merged["b"].tolist() == [2]


def test_task_arithmetic_adds_a_share_of_all_that_was_learned():
    merged = TaskArithmetic("start", scale=0.3).merge(MODELS, START)
    expected = [1 + 0.3 * (2 + 4), 1 + 0.3 * (-1 + 3), 1 + 0.3 * (0 - 2)]
    assert_close(merged["w"], torch.tensor(expected))


def test_task_arithmetic_with_one_over_the_number_of_models_is_their_average():
    merged = TaskArithmetic("start", scale=1 / 2).merge(MODELS, START)
    assert_close(merged, Average().merge(MODELS, {}))


def test_a_negative_scale_unlearns():
    assert values(TaskArithmetic("start", scale=-1).merge(MODELS[:1], START)) == [-1, 2, 1]


def test_ties_averages_those_that_have_the_elected_sign():
    # Signs of the sums (6, 2, -2): +, +, -. Of the second only the 3 agrees; 0 has no sign.
    merged = Ties("start", density=1.0).merge(MODELS, START)
    assert values(merged) == [1 + (2 + 4) / 2, 1 + 3, 1 - 2]


def test_ties_counts_only_the_largest_changes():
    # Of three changes each keeps two thirds, two: (2, -1, 0) and (4, 3, 0).
    merged = Ties("start", density=2 / 3, scale=0.5).merge(MODELS, START)
    assert values(merged) == [1 + 0.5 * 3, 1 + 0.5 * 3, 1]


def test_ties_ranks_the_changes_of_a_model_over_all_its_tensors():
    start = {"a": torch.zeros(2), "b": torch.zeros(2)}
    model = {"a": torch.tensor([9.0, 8.0]), "b": torch.tensor([1.0, -2.0])}
    merged = Ties("start", density=0.5).merge([model], start)
    assert merged["a"].tolist() == [9, 8]
    assert merged["b"].tolist() == [0, 0]


def test_ties_elects_no_sign_where_changes_cancel():
    start = {"w": torch.zeros(2)}
    models = [{"w": torch.tensor([1.0, 5.0])}, {"w": torch.tensor([-1.0, 5.0])}]
    assert values(Ties("start", density=1.0).merge(models, start)) == [0, 5]


def test_however_low_the_density_one_change_counts():
    merged = Ties("start", density=0.001).merge(MODELS[1:], START)
    assert values(merged) == [5, 1, 1]


@pytest.mark.parametrize("name", ["task_arithmetic", "ties"])
def test_a_method_that_needs_a_base_must_be_given_one(name):
    with pytest.raises(TypeError, match=rf"merging method '{name}' must be given \['base'\]"):
        MERGING_METHODS.build(name)


@pytest.mark.parametrize("density", [0, 1.5, -0.1])
def test_a_density_out_of_range_is_refused(density):
    with pytest.raises(ValueError, match=r"`density` must be in \(0, 1\], but got"):
        Ties("start", density=density)


@pytest.mark.parametrize("method", [TaskArithmetic, Ties])
def test_a_scale_that_is_no_number_is_refused(method):
    with pytest.raises(ValueError, match="`scale` must be a finite number, but got nan"):
        method("start", scale=float("nan"))
    with pytest.raises(TypeError, match="`scale` must be a finite number, but got '1'"):
        method("start", scale="1")
