# SPDX-License-Identifier: Apache-2.0
"""Denominators and totals of a step, worked out by hand."""

import math

import pytest
import torch

from hf_mtl.training.loss_log import LossLog, added
from hf_mtl.training.ranks import Ranks
from hf_mtl.training.step import check_some_label, plan_step, total_loss

ALONE = Ranks()


def forward(**labels):
    return {"inputs": {}, "rows": None, "labels": {t: torch.tensor(v) for t, v in labels.items()}}


def tasks(step):
    """Tasks of each forward."""
    return [list(each["labels"]) for each in step.forwards]


class TwinRanks(Ranks):
    """Two ranks, the other of which has a label for every task in every forward."""

    def sum(self, counts):
        return [count + 1 for count in counts]


def test_labelled_elements_are_counted_over_all_micro_batches():
    first = {"forwards": [forward(a=[0, 1, -100]), forward(b=[0.5, math.nan])]}
    second = {"forwards": [forward(a=[2])]}
    step = plan_step([first, second], {"a": 1.0, "b": 1.0}, ALONE)
    assert step.scale.denominators == {"a": 3, "b": 1}
    assert tasks(step) == [["a"], ["b"], ["a"]]


def test_elements_may_weigh_more_than_one():
    batch = {"forwards": [forward(a=[0, 1, 1], b=[1])]}
    step = plan_step(
        [batch, batch],
        {"a": 1.0, "b": 1.0},
        ALONE,
        weigh=lambda task, labels: 0.5 * float(labels.sum()),
    )
    assert step.scale.denominators == {"a": 2.0, "b": 1.0}


def test_a_forward_knows_the_micro_batch_that_it_is_of():
    first = {"forwards": [forward(a=[0]), forward(a=[-100])]}
    second = {"forwards": [forward(a=[1]), forward(b=[1])]}
    step = plan_step([first, second], {"a": 1.0, "b": 1.0}, ALONE)
    assert [each["micro_batch"] for each in step.forwards] == [0, 1, 1]
    left = step.without(["b"], {"a": 1.0, "b": 1.0})
    assert [each["micro_batch"] for each in left.forwards] == [0, 1]


def test_tasks_of_a_step_share_the_total_by_their_weights():
    weights = {"a": 0.5, "b": 1.5, "c": 1.0}
    step = plan_step([{"forwards": [forward(a=[0], b=[1])]}], weights, ALONE)
    assert step.scale.weights == {"a": 0.5 / 2, "b": 1.5 / 2}


def test_a_task_without_labels_is_absent():
    weights = {"a": 1.0, "b": 1.0}
    step = plan_step([{"forwards": [forward(a=[0], b=[-100])]}], weights, ALONE)
    assert step.scale.denominators == {"a": 1}
    assert step.scale.weights == {"a": 1.0}
    assert tasks(step) == [["a"]]


def test_a_forward_without_labels_is_left_out_unless_another_rank_has_some():
    batch = {"forwards": [forward(a=[-100], b=[math.nan]), forward(a=[1])]}
    weights = {"a": 1.0, "b": 1.0}
    assert tasks(plan_step([batch], weights, ALONE)) == [["a"]]
    step = plan_step([batch], weights, TwinRanks())
    assert tasks(step) == [["a", "b"], ["a"]]
    assert step.scale.denominators == {"a": 1 + 2, "b": 1}


def test_a_step_without_any_label_has_no_forward():
    step = plan_step([{"forwards": []}], {"a": 1.0}, ALONE)
    assert step.scale.weights == {}
    assert tasks(step) == []


def test_a_task_of_weight_zero_is_absent():
    weights = {"a": 0.0, "b": 2.0}
    step = plan_step([{"forwards": [forward(a=[0], b=[1])]}], weights, ALONE)
    assert step.scale.weights == {"b": 2.0}
    assert tasks(step) == [["b"]]


def test_a_step_may_go_on_without_a_task_as_if_it_had_no_label():
    weights = {"a": 0.5, "b": 1.5}
    step = plan_step([{"forwards": [forward(a=[0]), forward(a=[1], b=[1])]}], weights, ALONE)
    less = step.without(["a"], weights)
    assert tasks(less) == [["b"]]
    assert less.scale.weights == {"b": 1.5}
    assert tasks(step.without(["a", "b"], weights)) == []


def test_a_step_without_labels_is_refused_where_a_scaler_cannot_skip_it():
    step = plan_step([{"forwards": []}], {"a": 1.0}, ALONE)
    with pytest.raises(
        ValueError, match=r"`fp16` must have a label in every step.* but step 7 has"
    ):
        check_some_label(step, 7)


def test_the_total_is_the_weighted_sum():
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(4.0)}
    assert total_loss(losses, {"a": 0.25, "b": 0.5}) == 2.0 * 0.25 + 4.0 * 0.5


def test_the_log_averages_each_task_over_its_own_steps():
    log = LossLog()
    first = added({}, {"a": torch.tensor(1.0)})
    log.add_step(added(first, {"a": torch.tensor(2.0), "b": torch.tensor(5.0)}))
    log.add_step({"a": torch.tensor(1.0)})
    assert log.pop(ALONE) == {"loss/a": (1 + 2 + 1) / 2, "loss/b": 5 / 1}
    assert log.pop(ALONE) == {}


def test_the_log_counts_steps_with_a_loss_that_is_not_finite():
    log = LossLog()
    log.add_skipped(["a"])
    log.add_skipped(["a"])
    assert log.pop(ALONE) == {"nonfinite/a": 2}
    assert log.pop(ALONE) == {}
