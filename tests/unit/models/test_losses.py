# SPDX-License-Identifier: Apache-2.0
"""Losses against sums that can be worked out by hand."""

import math

import pytest
import torch

from hf_mtl.models.losses import (
    CORN,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    MeanSquaredError,
    check_losses,
    task_losses,
)
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


def test_binary_cross_entropy_sums_over_known_answers():
    # At logit log 3 a yes costs log 4/3 and a no log 4.
    logits = torch.full((2, 2), math.log(3))
    labels = torch.tensor([[1.0, 0.0], [NAN, 1.0]])
    total = BinaryCrossEntropy().total(logits, labels)
    assert total.item() == pytest.approx(2 * math.log(4 / 3) + math.log(4))


def test_an_ordinal_loss_is_the_likelihood_of_the_class():
    # Above the first class with 3/4, and then above the second with 1/2.
    logits = torch.tensor([[math.log(3), 0.0]]).expand(4, 2)
    totals = [CORN().total(logits[:1], torch.tensor([label])).item() for label in (0, 1, 2, -100)]
    assert totals == [
        pytest.approx(-math.log(1 / 4)),
        pytest.approx(-math.log(3 / 4 * 1 / 2)),
        pytest.approx(-math.log(3 / 4 * 1 / 2)),
        0.0,
    ]


def test_class_weights_count_in_the_sum_and_in_what_it_is_divided_by():
    # Three rows of equal logits: log 2 each, the second class three times.
    loss = CrossEntropy(class_weights={"b": 3.0})
    labels = torch.tensor([0, 1, -100, 1])
    assert loss.total(torch.zeros(4, 2), labels, "ab").item() == pytest.approx(7 * math.log(2))
    assert loss.total_weight(labels, "ab").item() == 1 + 3 + 3


def test_a_mean_with_class_weights_is_that_of_torch():
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 2, -100, 1])
    spec = TaskSpec(
        "text-classification",
        labels=("a", "b", "c"),
        loss={"name": "cross_entropy", "class_weights": {"c": 0.2}, "label_smoothing": 0.1},
    )
    found = task_losses(TaskSuite({"t": spec}), {"t": logits}, {"t": labels})["t"]
    weight = torch.tensor([1.0, 1.0, 0.2])
    expected = torch.nn.functional.cross_entropy(logits, labels, weight, label_smoothing=0.1)
    torch.testing.assert_close(found, expected)


def test_a_focal_loss_leaves_little_of_what_is_easy():
    # Right with 3/4 and with 1/4: (1/4)^2 log 4/3 and (3/4)^2 log 4.
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    total = Focal().total(logits, torch.tensor([0, 1]))
    assert total.item() == pytest.approx(math.log(4 / 3) / 16 + 9 * math.log(4) / 16)


def test_a_focal_loss_of_gamma_zero_is_cross_entropy():
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 2, -100, 1])
    torch.testing.assert_close(
        Focal(gamma=0.0).total(logits, labels), CrossEntropy().total(logits, labels)
    )


def test_weights_of_a_multi_label_loss():
    # At logit 0 every answer costs log 2: class a twice, a yes of class b five times.
    loss = BinaryCrossEntropy(class_weights={"a": 2.0}, positive_weights={"b": 5.0})
    labels = torch.tensor([[1.0, 1.0], [0.0, NAN], [0.0, 0.0]])
    total = loss.total(torch.zeros(3, 2), labels, "ab")
    assert total.item() == pytest.approx((2 + 5 + 2 + 2 + 1) * math.log(2))
    assert loss.total_weight(labels, "ab").item() == 2 + 1 + 2 + 2 + 1


@pytest.mark.parametrize(
    ("entry", "error", "words"),
    [
        ("focal", ValueError, "`loss` of task 't' must suit a regression task, but got 'focal'"),
        ("mes", KeyError, "loss 'mes'. Did you mean 'mse'"),
    ],
)
def test_a_loss_that_does_not_suit_its_task_is_refused(entry, error, words):
    with pytest.raises(error, match=words):
        check_losses(TaskSuite({"t": TaskSpec("regression", loss=entry)}))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"class_weights": {"spma": 2.0}}, KeyError, "`class_weights` 'spma'. Did you mean 'spam'"),
        ({"class_weights": {"spam": 0}}, ValueError, "`class_weights.spam` must be a positive"),
        ({"class_weights": [1.0, 2.0]}, TypeError, "`class_weights` must be a mapping from labels"),
        ({"label_smoothing": 1.0}, ValueError, r"`label_smoothing` must be in \[0, 1\)"),
    ],
)
def test_a_loss_that_makes_no_sense_is_refused(given, error, words):
    loss = {"name": "cross_entropy", **given}
    spec = TaskSpec("text-classification", labels=("spam", "ham"), loss=loss)
    with pytest.raises(error, match=words):
        check_losses(TaskSuite({"t": spec}))
