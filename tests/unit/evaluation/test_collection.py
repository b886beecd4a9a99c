# SPDX-License-Identifier: Apache-2.0
"""What a model predicts on batches, next to what is right."""

import math
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hf_mtl.evaluation import collect
from hf_mtl.tasks import IGNORE_INDEX, TaskSpec, TaskSuite, num_labelled

SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("a", "b")),
        "score": TaskSpec("regression"),
    }
)


class Echo(nn.Module):
    """Answers what its input says: class and score of every row; a loss of 1 for each element."""

    suite = SUITE
    device = torch.device("cpu")

    def forward(self, labels, rows, answers):
        assert not self.training
        assert not torch.is_grad_enabled()
        logits = {"topic": torch.stack([1 - answers, answers], dim=-1), "score": answers[:, None]}
        logits = {
            task: logits[task] if rows is None else logits[task][rows[task]] for task in labels
        }
        losses = {
            task: torch.tensor(float(len(values)))
            for task, values in labels.items()
            if num_labelled(values)
        }
        return SimpleNamespace(logits=logits, losses=losses)


def forward(answers, rows=None, **labels):
    return {"inputs": {"answers": torch.tensor(answers)}, "labels": labels, "rows": rows}


def test_rows_are_gathered_in_order_and_unlabelled_ones_left_out():
    labels = torch.tensor([1, IGNORE_INDEX, 0])
    batches = [
        {"forwards": [forward([1.0, 1.0, 1.0], topic=labels)]},
        {"forwards": [forward([0.0], topic=torch.tensor([0]))]},
    ]
    topic = collect(Echo(), batches)["topic"]
    assert topic.predictions == [1, 1, 0]
    assert topic.references == [1, 0, 0]


def test_the_loss_is_the_mean_over_labelled_elements_and_not_over_batches():
    # A batch of 3 rows with loss 3, and one of 1 row with loss 1.
    batches = [
        {"forwards": [forward([1.0, 1.0, 1.0], topic=torch.tensor([1, 1, 1]))]},
        {"forwards": [forward([0.0], topic=torch.tensor([0]))]},
    ]
    topic = collect(Echo(), batches)["topic"]
    assert topic.weight == 4
    assert topic.loss == (3 * 3 + 1 * 1) / 4


def test_a_merged_batch_gives_every_task_its_own_rows():
    rows = {"topic": torch.tensor([0]), "score": torch.tensor([1, 2])}
    labels = {"topic": torch.tensor([1]), "score": torch.tensor([0.5, 2.5])}
    collected = collect(Echo(), [{"forwards": [forward([1.0, 0.5, 2.0], rows, **labels)]}])
    assert collected["topic"].predictions == [1]
    assert collected["score"].predictions == [0.5, 2.0]
    assert collected["score"].references == [0.5, 2.5]


def test_a_batch_without_labels_of_a_task_adds_nothing_to_it():
    batches = [{"forwards": [forward([1.0], score=torch.tensor([math.nan]))]}]
    score = collect(Echo(), batches)["score"]
    assert score.references == []
    assert score.weight == 0


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_it_was_found_in(training):
    model = Echo().train(training)
    collect(model, [{"forwards": [forward([1.0], topic=torch.tensor([1]))]}])
    assert model.training is training


def test_a_part_that_is_not_trained_stays_so():
    model = Echo()
    model.backbone = nn.Dropout().eval()
    collect(model, [{"forwards": [forward([1.0], topic=torch.tensor([1]))]}])
    assert model.training
    assert not model.backbone.training


def test_every_forward_runs_in_its_own_context():
    entered = []

    @contextmanager
    def context():
        entered.append(True)
        yield

    batch = {"forwards": [forward([1.0], topic=torch.tensor([1]))] * 2}
    collect(Echo(), [batch], forward_context=context)
    assert len(entered) == 2
