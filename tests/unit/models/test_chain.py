# SPDX-License-Identifier: Apache-2.0
"""The classifier chain against logits that can be worked out by hand."""

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.models.heads import HEADS
from hf_mtl.models.heads.chain import Links
from hf_mtl.tasks import TaskSpec


def test_a_class_sees_the_probabilities_of_those_before_it():
    links = Links(3, torch.float64)
    links.weight.data = torch.tensor([[9.0, 9, 9], [4, 9, 9], [-2, 6, 9]]).double()
    # The first class is as likely as not; the second is moved by 4 / 2 to 0, as likely as not; the
    # third by -2 / 2 + 6 / 2.
    moved = links(torch.tensor([[0.0, -2.0, 1.0]]).double())
    assert_close(moved, torch.tensor([[0.0, 0.0, 3.0]]).double())


def test_at_first_every_class_is_by_itself():
    logits = torch.randn(4, 3)
    assert torch.equal(Links(3, torch.float32)(logits), logits)


def test_a_chain_is_for_tasks_with_any_number_of_classes():
    spec = TaskSpec("text-classification", labels=("a", "b"), head="chain")
    with pytest.raises(ValueError, match=r"'chain' is for tasks with any number of classes a row"):
        HEADS.build("chain").check("topic", spec)
