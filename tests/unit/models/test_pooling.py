# SPDX-License-Identifier: Apache-2.0
"""Poolings against rows that can be pooled in the head."""

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.models.pooling import POOLINGS

# One feature; padding (900) on the right, on the left, and everywhere.
HIDDEN = torch.tensor([[1.0, 5.0, 900.0], [900.0, 2.0, 4.0], [900.0, 900.0, 900.0]])
MASK = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("cls", [1.0, 2.0]), ("last", [5.0, 4.0]), ("mean", [3.0, 3.0]), ("max", [5.0, 4.0])],
)
@pytest.mark.parametrize("mask", [MASK, MASK.bool()])
def test_padding_on_either_side_is_left_out(pooling, expected, mask):
    pooled = POOLINGS[pooling](HIDDEN.unsqueeze(-1), mask)
    assert_close(pooled[:2], torch.tensor(expected).unsqueeze(-1))


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_row_without_tokens_gives_zero(pooling):
    assert POOLINGS[pooling](HIDDEN.unsqueeze(-1), MASK)[2].item() == 0


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_row_without_tokens_is_finite(pooling):
    assert POOLINGS[pooling](HIDDEN.unsqueeze(-1), MASK).isfinite().all()


def test_max_of_negative_values_is_negative():
    hidden = torch.tensor([[[-3.0], [-1.0], [0.0]]])
    assert POOLINGS["max"](hidden, torch.tensor([[1, 1, 0]])).item() == -1


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_dtype_is_kept(pooling):
    assert POOLINGS[pooling](HIDDEN.unsqueeze(-1).bfloat16(), MASK).dtype == torch.bfloat16
