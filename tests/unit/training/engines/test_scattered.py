# SPDX-License-Identifier: Apache-2.0
"""Averaged gradients of ranks, here of one rank."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from hf_mtl.training.engines import Block, ScatteredBlocks, with_same_rows


@pytest.fixture
def one_rank(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_block_without_any_row_on_any_rank_is_zero(one_rank):
    table = nn.Parameter(torch.zeros(5, 3))
    empty = Block(table, torch.zeros(2, 0), torch.zeros(0, dtype=torch.long))
    blocks = with_same_rows([empty])
    assert blocks[0].gradients.shape == (2, 0)
    ScatteredBlocks(blocks, 1).set_gradients(torch.ones(2, dtype=torch.float64))
    assert table.grad.tolist() == [[0.0] * 3] * 5
