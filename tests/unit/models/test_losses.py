# SPDX-License-Identifier: Apache-2.0
"""Losses against sums that can be worked out by hand."""

import math

import pytest
import torch

from hf_mtl.models.losses import CrossEntropy, MeanSquaredError, task_losses
from hf_mtl.tasks import TaskSpec, TaskSuite

NAN = float("nan")


def test_cross_entropy_of_equal_logits_is_log_of_the_number_of_classes_per_labelled_row():
    total = CrossEntropy().total(torch.zeros(3, 4), torch.tensor([0, -100, 3]))
    assert total.item() == pytest.approx(2 * math.log(4))


def test_cross_entropy_of_positions_counts_every_labelled_position():
    labels = torch.tensor([[0, -100, 1], [-100, 1, 0]])
    total = CrossEntropy().total(torch.zeros(2, 3, 2), labels)
    assert total.item() == pytest.approx(4 * math.log(2))


def test_squared_error_sums_over_labelled_rows():
    total = MeanSquaredError().total(
        torch.tensor([[1.0], [5.0], [3.0]]), torch.tensor([0, NAN, 1.0])
    )
    assert total.item() == 1**2 + 2**2


def test_a_missing_score_leaves_the_gradients_of_the_others_finite():
    logits = torch.tensor([[1.0], [5.0]], requires_grad=True)
    MeanSquaredError().total(logits, torch.tensor([0.0, NAN])).backward()
    assert logits.grad.tolist() == [[2.0], [0.0]]


@pytest.mark.parametrize(
    ("loss", "labels"),
    [(CrossEntropy(), torch.tensor([-100])), (MeanSquaredError(), torch.tensor([NAN]))],
)
def test_without_labels_a_sum_is_zero(loss, labels):
    assert loss.total(torch.ones(1, 1), labels).item() == 0


@pytest.mark.parametrize("loss", [CrossEntropy(), MeanSquaredError()])
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_sums_are_in_float32_at_least(loss, dtype, expected):
    labels = torch.tensor([0]) if isinstance(loss, CrossEntropy) else torch.tensor([0.0])
    assert loss.total(torch.ones(1, 1, dtype=dtype), labels).dtype == expected


SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("a", "b")),
        "valence": TaskSpec("regression"),
    }
)
LOGITS = {"topic": torch.zeros(2, 2), "valence": torch.tensor([[3.0], [0.0]])}


def test_a_loss_is_the_mean_over_labelled_elements():
    labels = {"topic": torch.tensor([0, -100]), "valence": torch.tensor([0.0, 4.0])}
    losses = task_losses(SUITE, LOGITS, labels)
    assert losses["topic"].item() == pytest.approx(math.log(2))
    assert losses["valence"].item() == (3**2 + 4**2) / 2


def test_a_denominator_that_is_given_replaces_the_number_of_labelled_elements():
    labels = {"valence": torch.tensor([0.0, NAN])}
    assert task_losses(SUITE, LOGITS, labels, {"valence": 6}) == {"valence": 3**2 / 6}


def test_a_task_without_labelled_elements_has_no_loss():
    labels = {"topic": torch.tensor([-100, -100]), "valence": torch.tensor([NAN, 1.0])}
    assert list(task_losses(SUITE, LOGITS, labels)) == ["valence"]
