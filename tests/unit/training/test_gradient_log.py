# SPDX-License-Identifier: Apache-2.0
"""How gradients compare, as the log tells it."""

import pytest
import torch

from hf_mtl.training.gradient_log import GradientLog, cosines_of


def test_lengths_cosines_and_conflicts():
    log = GradientLog()
    # (3, 0), (-2, 2), and one that vanishes
    log.add_step(
        ["a", "b", "c"], torch.tensor([[9.0, -6, 0], [-6, 8, 0], [0, 0, 0]]).double(), [1, 1, 1]
    )
    assert log.pop() == pytest.approx(
        {
            "gradient_norm/a": 3.0,
            "gradient_norm/b": 8**0.5,
            "gradient_norm/c": 0.0,
            "cosine/a/b": -(0.5**0.5),
            "cosine/a/c": 0.0,
            "cosine/b/c": 0.0,
            "gradient_conflicts": 1 / 3,
            # the sum is (1, 2): 3 x 1 and -2 x 1 + 2 x 2 of its square, 5
            "update_share/a": 3 / 5,
            "update_share/b": 2 / 5,
            "update_share/c": 0.0,
        }
    )
    assert log.pop() == {}


def test_a_task_counts_the_steps_in_which_it_was_compared():
    log = GradientLog()
    log.add_step(["a", "b"], torch.tensor([[1.0, 1.0], [1.0, 1.0]]).double(), [1, 1])
    log.add_step(["a", "c"], torch.tensor([[9.0, -3.0], [-3.0, 1.0]]).double(), [1, 1])
    line = log.pop()
    assert line["gradient_norm/a"] == (1 + 3) / 2
    assert (line["cosine/a/b"], line["cosine/a/c"]) == pytest.approx((1.0, -1.0))
    assert line["gradient_conflicts"] == 1 / 2


def test_many_tasks_have_no_line_for_each_pair():
    log = GradientLog()
    log.add_step([f"t{i}" for i in range(9)], torch.eye(9).double(), [1] * 9)
    assert not any(key.startswith("cosine/") for key in log.pop())
    log.most_pairs = None
    log.add_step([f"t{i}" for i in range(9)], torch.eye(9).double(), [1] * 9)
    assert sum(key.startswith("cosine/") for key in log.pop()) == 9 * 8 / 2


def test_what_the_next_line_has_goes_into_a_checkpoint():
    log, other = GradientLog(), GradientLog()
    log.add_step(["a", "b"], torch.eye(2).double(), [1, 1])
    other.load_state_dict(log.merge([log.state_dict()]))
    other.begin()
    assert other.pop() == log.pop()
    log.add_step(["a", "b"], torch.eye(2).double(), [1, 1])
    log.begin()
    assert log.pop() == {}


def test_cosines_are_those_of_the_gradients():
    gramian = torch.tensor([[4.0, 2.0], [2.0, 1.0]]).double()
    assert torch.allclose(cosines_of(gramian), torch.ones(2, 2).double())
