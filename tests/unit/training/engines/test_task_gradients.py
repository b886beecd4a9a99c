# SPDX-License-Identifier: Apache-2.0
"""Gradients by task, their inner products and what is made of them, against numbers by hand."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from hf_mtl.training.engines.block import Block, gramian_of
from hf_mtl.training.engines.task_gradients import TaskGradients
from hf_mtl.training.engines.whole import WholeBlocks


def parameter(*shape):
    return nn.Parameter(torch.zeros(*shape))


def test_gradients_of_a_task_add_up_and_others_are_zero():
    weight, bias, unused = parameter(2, 2), parameter(2), parameter(3)
    gradients = TaskGradients([weight, bias, unused])
    gradients.begin(3)
    gradients.add(bias, 0, torch.tensor([1.0, 2.0]))
    gradients.add(bias, 0, torch.tensor([3.0, 4.0]))
    # [[1], [2]].T @ [[3], [4]] = 1 * 3 + 2 * 4 in each place
    ones = torch.ones(1, 2)
    left = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 5.0]])
    gradients.add_products(weight, [(2, 0, 2), (2, 2, 3)], left, ones.expand(3, 2))
    first, second = gradients.blocks()
    assert first.parameter is weight and second.parameter is bias  # noqa: PT018
    assert first.gradients.tolist() == [[0.0] * 4, [0.0] * 4, [3.0, 3.0, 5.0, 5.0]]
    assert second.gradients.tolist() == [[1 + 3, 2 + 4], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    "slices",
    [
        [(0, 0, 2), (1, 2, 4), (2, 4, 6)],
        [(1, 2, 4), (2, 4, 6)],
        [(2, 0, 2), (1, 2, 4), (0, 4, 6)],
        [(0, 0, 1), (1, 1, 4), (2, 4, 6)],
        [(0, 0, 2), (1, 2, 4), (0, 4, 6)],
    ],
    ids=["together", "some", "in-another-order", "of-other-lengths", "in-two-pieces"],
)
@pytest.mark.parametrize("has_more", [False, True])
def test_products_are_the_same_together_and_one_by_one(slices, has_more):
    weight = parameter(3, 2)
    gradients = TaskGradients([weight])
    gradients.begin(3)
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(6, width, generator=generator) for width in (3, 2))
    expected = torch.zeros(3, 3, 2)
    if has_more:
        gradients.add(weight, 1, torch.ones(3, 2))
        expected[1] += 1
    gradients.add_products(weight, slices, left, right)
    for task, start, stop in slices:
        expected[task] += left[start:stop].T @ right[start:stop]
    (block,) = gradients.blocks()
    torch.testing.assert_close(block.gradients, expected.flatten(1))


def test_a_new_step_begins_with_nothing_whatever_the_last_one_left():
    weight = parameter(2)
    gradients = TaskGradients([weight])
    for num_tasks in (3, 2, 4):
        gradients.begin(num_tasks)
        assert gradients.blocks() == []
        gradients.add(weight, 1, torch.tensor([1.0, 1.0]))
        (block,) = gradients.blocks()
        expected = torch.zeros(num_tasks, 2)
        expected[1] = 1
        assert_close(block.gradients, expected)


def test_an_embedding_keeps_only_the_rows_that_occur():
    table = parameter(1000, 2)
    gradients = TaskGradients([table])
    gradients.begin(2)
    gradients.add_rows(table, 0, torch.tensor([7, 3, 7]), torch.tensor([[1.0, 0], [2, 0], [4, 0]]))
    gradients.add_rows(table, 1, torch.tensor([3]), torch.tensor([[0.0, 1.0]]))
    gradients.add_rows(table, 1, torch.tensor([900]), torch.tensor([[0.0, 2.0]]))
    (block,) = gradients.blocks()
    assert block.rows.tolist() == [3, 7, 900]
    by_task = block.gradients.view(2, 3, 2).tolist()
    assert by_task == [[[2, 0], [1 + 4, 0], [0, 0]], [[0, 1], [0, 0], [0, 2]]]
    WholeBlocks([block]).set_gradients(torch.tensor([1.0, 10.0], dtype=torch.float64))
    assert table.grad[[3, 7, 900]].tolist() == [[2, 10], [5, 0], [0, 20]]
    assert table.grad.abs().sum() == 2 + 10 + 5 + 20


def test_a_whole_block_has_zeros_in_the_rows_that_do_not_occur():
    table = parameter(4, 2)
    rows = Block(table, torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]]), torch.tensor([0, 2]))
    whole = rows.whole()
    assert whole.rows is None
    assert whole.gradients.tolist() == [[1, 2, 0, 0, 3, 4, 0, 0], [5, 6, 0, 0, 7, 8, 0, 0]]
    assert whole.whole() is whole


def test_rows_of_an_embedding_that_is_also_used_whole_are_added_to_it():
    table = parameter(3, 1)
    gradients = TaskGradients([table])
    gradients.begin(2)
    gradients.add_rows(table, 1, torch.tensor([2, 2]), torch.tensor([[1.0], [1.0]]))
    gradients.add(table, 0, torch.tensor([[1.0], [2.0], [3.0]]))
    (block,) = gradients.blocks()
    assert block.rows is None
    assert block.gradients.tolist() == [[1, 2, 3], [0, 0, 2]]


def test_what_is_taken_is_kept_no_longer():
    weight, other = parameter(2), parameter(2)
    gradients = TaskGradients([weight, other])
    gradients.begin(1)
    gradients.add(weight, 0, torch.tensor([1.0, 2.0]))
    assert gradients.taken(other) is None
    assert gradients.taken(weight).gradients.tolist() == [[1, 2]]
    assert gradients.taken(weight) is None
    assert gradients.blocks() == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_inner_products_are_those_of_all_matrices_together(dtype):
    first = torch.tensor([[1.0, 2.0], [3.0, 0.0]], dtype=dtype)
    second = torch.tensor([[1.0], [-1.0]], dtype=dtype)
    empty = torch.zeros(2, 0, dtype=dtype)
    gramian = gramian_of([first, empty, second], 2)
    assert gramian.dtype == torch.float64
    assert gramian.tolist() == [[1 + 4 + 1, 3 - 1], [3 - 1, 9 + 1]]


def test_inner_products_of_long_gradients_are_as_good_as_exact():
    """Added up in float32 alone, ten million squares lose a part in a thousand."""
    matrix = torch.randn(2, 3_000_001, generator=torch.Generator().manual_seed(0))
    exact = matrix.double() @ matrix.double().T
    assert_close(gramian_of([matrix], 2), exact, rtol=1e-6, atol=1e-6 * exact[0, 0].item())


def kept_bytes(gradients):
    """Bytes of the values of rows that are kept, with all of the memory that they hold."""
    storages = {
        values.untyped_storage().data_ptr(): values.untyped_storage().nbytes()
        for by_task in gradients._rows.values()
        for pieces in by_task.values()
        for _, values in pieces
    }
    return sum(storages.values())


def test_rows_never_take_more_than_the_whole_table_for_each_task():
    table = nn.Parameter(torch.zeros(6, 2, dtype=torch.float64))
    gradients = TaskGradients([table])
    gradients.begin(2)
    expected = torch.zeros(2, 6, 2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        # As a layer hands them over: pieces of one tensor, of which a third is of no task.
        indices = torch.randint(6, (12,), generator=generator)
        values = torch.randn(12, 2, dtype=torch.float64, generator=generator)
        for task in range(2):
            piece = slice(4 * task, 4 * task + 4)
            gradients.add_rows(table, task, indices[piece], values[piece])
            expected[task].index_add_(0, indices[piece], values[piece])
        assert kept_bytes(gradients) <= 2 * table.nbytes
    (block,) = gradients.blocks()
    assert_close(block.whole().gradients, expected.flatten(1), rtol=1e-9, atol=1e-12)


def test_a_step_that_has_ended_keeps_buffers_but_no_rows():
    table, weight = parameter(4, 2), parameter(2)
    gradients = TaskGradients([table, weight])
    gradients.begin(1)
    gradients.add_rows(table, 0, torch.tensor([1]), torch.ones(1, 2))
    gradients.add(weight, 0, torch.ones(2))
    held = gradients._buffers[weight]
    gradients.end()
    assert kept_bytes(gradients) == 0
    assert gradients.blocks() == []
    assert gradients._buffers[weight] is held


def test_a_block_without_any_row_is_zero():
    """A batch whose tokens are all padding moves no row."""
    table = parameter(5, 3)
    gradients = TaskGradients([table])
    gradients.begin(2)
    gradients.add_rows(table, 0, torch.zeros(0, dtype=torch.long), torch.zeros(0, 3))
    (block,) = gradients.blocks()
    assert block.gradients.shape == (2, 0)
    assert block.whole().gradients.tolist() == [[0.0] * 15] * 2
    WholeBlocks([block]).set_gradients(torch.ones(2, dtype=torch.float64))
    assert table.grad.tolist() == [[0.0] * 3] * 5
