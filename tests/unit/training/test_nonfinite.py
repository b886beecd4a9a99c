# SPDX-License-Identifier: Apache-2.0
"""What happens in a step with a loss that is not finite."""

import math

import pytest
import torch

from hf_mtl.training.nonfinite import NonFiniteLoss, check_finite, tasks_to_skip
from hf_mtl.training.ranks import Ranks


class TwinRanks(Ranks):
    """Two ranks, the other of which has a loss of task b that is not finite."""

    def sum(self, counts):
        return [counts[0], counts[1] + 1]


def test_finite_losses_pass():
    check_finite({"a": torch.tensor(1.0), "b": torch.tensor(0.0)}, Ranks())
    check_finite({}, Ranks())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_each_kind_is_found_and_named(value):
    with pytest.raises(NonFiniteLoss, match=r"losses of \['b'\]") as found:
        check_finite({"a": torch.tensor(1.0), "b": torch.tensor(value)}, Ranks())
    assert found.value.tasks == ("b",)


def test_what_one_rank_finds_every_rank_raises():
    with pytest.raises(NonFiniteLoss) as found:
        check_finite({"a": torch.tensor(1.0), "b": torch.tensor(1.0)}, TwinRanks())
    assert found.value.tasks == ("b",)


def test_a_run_stops_with_task_and_step():
    with pytest.raises(FloatingPointError, match=r"that of 'b' is not at step 7\. No parameter"):
        tasks_to_skip(NonFiniteLoss(["b"]), ["a", "b"], "stop", 7)


def test_a_step_goes_on_without_the_task_or_is_passed_over():
    found = NonFiniteLoss(["b"])
    assert tasks_to_skip(found, ["a", "b"], "skip_task", 7) == ("b",)
    assert tasks_to_skip(found, ["a", "b"], "skip_step", 7) == ("a", "b")
    assert tasks_to_skip(found, ["b"], "skip_task", 7) == ("b",)
