# SPDX-License-Identifier: Apache-2.0
"""Denominators and totals of a step, worked out by hand."""

import math

import pytest
import torch

from hf_mtl.training.loss_log import LossLog
from hf_mtl.training.step import check_some_label, present_labels, step_scale, total_loss


def forward(**labels):
    return {"inputs": {}, "rows": None, "labels": {t: torch.tensor(v) for t, v in labels.items()}}


def test_labelled_elements_are_counted_over_all_micro_batches():
    first = {"forwards": [forward(a=[0, 1, -100]), forward(b=[0.5, math.nan])]}
    second = {"forwards": [forward(a=[2])]}
    scale = step_scale([first, second], {"a": 1.0, "b": 1.0})
    assert scale.num_labelled == {"a": 3, "b": 1}


def test_tasks_of_a_step_share_the_total_by_their_weights():
    scale = step_scale([{"forwards": [forward(a=[0], b=[1])]}], {"a": 0.5, "b": 1.5, "c": 1.0})
    assert scale.weights == {"a": 0.5 / 2, "b": 1.5 / 2}


def test_a_task_without_labels_is_absent():
    scale = step_scale([{"forwards": [forward(a=[0], b=[-100])]}], {"a": 1.0, "b": 1.0})
    assert scale.num_labelled == {"a": 1}
    assert scale.weights == {"a": 1.0}


def test_a_step_without_any_label_has_no_tasks():
    assert step_scale([{"forwards": []}], {"a": 1.0}).weights == {}


def test_a_task_of_weight_zero_is_absent():
    scale = step_scale([{"forwards": [forward(a=[0], b=[1])]}], {"a": 0.0, "b": 2.0})
    assert scale.weights == {"b": 2.0}


def test_a_forward_gives_losses_only_for_tasks_with_labels_and_weight():
    step = forward(a=[0], b=[-100], c=[1])
    scale = step_scale([{"forwards": [step]}], {"a": 1.0, "b": 1.0, "c": 0.0})
    assert list(present_labels(step, scale)) == ["a"]
    assert present_labels(forward(a=[-100], b=[math.nan]), scale) == {}


def test_a_step_without_labels_is_refused_where_a_scaler_cannot_skip_it():
    scale = step_scale([{"forwards": []}], {"a": 1.0})
    with pytest.raises(
        ValueError, match=r"`fp16` must have a label in every step.* but step 7 has"
    ):
        check_some_label(scale, 7)


def test_the_total_is_the_weighted_sum():
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(4.0)}
    assert total_loss(losses, {"a": 0.25, "b": 0.5}) == 2.0 * 0.25 + 4.0 * 0.5


def test_the_log_averages_each_task_over_its_own_steps():
    log = LossLog()
    log.start_step(["a", "b"])
    log.add({"a": torch.tensor(1.0)})
    log.add({"a": torch.tensor(2.0), "b": torch.tensor(5.0)})
    log.start_step(["a"])
    log.add({"a": torch.tensor(1.0)})
    assert log.pop() == {"a": (1 + 2 + 1) / 2, "b": 5 / 1}
    assert log.pop() == {}
