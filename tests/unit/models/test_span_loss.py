# SPDX-License-Identifier: Apache-2.0
"""The loss of an answer's first and last position against sums by hand and the genuine classes."""

import math

import pytest
import torch
from torch.nn.functional import pad
from torch.testing import assert_close
from transformers import BertModel

from hf_mtl.models import MultiTaskModel
from hf_mtl.models.losses import SpanCrossEntropy, check_losses
from hf_mtl.tasks import TaskSpec, TaskSuite

NONE = -100


def test_the_loss_is_the_mean_of_both_ends_over_the_positions_that_an_answer_can_have():
    logits = torch.tensor([[[0.0, 0.0], [9.0, 9.0], [math.log(2), 0.0], [0.0, math.log(6)]]])
    labels = torch.tensor([[0, NONE, 1, 2]])
    # First: 2 of 1 + 2 + 1. Last: 6 of 1 + 1 + 6.
    expected = (math.log(4 / 2) + math.log(8 / 6)) / 2
    assert SpanCrossEntropy().total(logits, labels).item() == pytest.approx(expected)


def test_an_answer_of_one_position_counts_at_both_ends():
    total = SpanCrossEntropy().total(torch.zeros(1, 3, 2), torch.tensor([[0, 3, NONE]]))
    assert total.item() == pytest.approx(math.log(2))


def test_rows_are_counted_and_not_positions():
    labels = torch.tensor([[0, 3, 0], [1, 2, NONE], [NONE] * 3])
    assert SpanCrossEntropy().total_weight(labels) == 2


def test_padding_changes_nothing():
    logits, labels = torch.randn(2, 4, 2), torch.tensor([[0, 1, 2, 0], [3, 0, 0, NONE]])
    padded = pad(logits, (0, 0, 3, 2), value=5.0), pad(labels, (3, 2), value=NONE)
    assert_close(SpanCrossEntropy().total(*padded), SpanCrossEntropy().total(logits, labels))


def test_without_padding_and_question_it_is_the_loss_of_the_genuine_class(tiny_bert_config):
    suite = TaskSuite({"qa": TaskSpec("question-answering")})
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), suite)
    input_ids = torch.randint(4, 20, (3, 7))
    labels = torch.zeros(3, 7, dtype=torch.long)
    starts, ends = torch.tensor([0, 2, 5]), torch.tensor([0, 4, 6])
    for row in range(3):
        labels[row, starts[row]] += 1
        labels[row, ends[row]] += 2
    genuine = model.to_single_task("qa")
    assert type(genuine).__name__ == "BertForQuestionAnswering"
    theirs = genuine(input_ids=input_ids, start_positions=starts, end_positions=ends)
    ours = model(labels={"qa": labels}, input_ids=input_ids)
    assert_close(ours.losses["qa"], theirs.loss)
    assert torch.equal(ours.logits["qa"][..., 0], theirs.start_logits)
    assert torch.equal(ours.logits["qa"][..., 1], theirs.end_logits)
    assert genuine.config.id2label == {0: "start", 1: "end"}


def test_other_losses_are_refused():
    suite = TaskSuite({"qa": TaskSpec("question-answering", loss="cross_entropy")})
    with pytest.raises(
        ValueError, match=r"must suit a question-answering task.*span_cross_entropy"
    ):
        check_losses(suite)
