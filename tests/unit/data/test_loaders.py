# SPDX-License-Identifier: Apache-2.0
"""The data loaders: the plan's order, whatever the number of workers."""

import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from hf_mtl.data import StepPlan, UniformSampler, eval_dataloader, prepare, train_dataloader
from hf_mtl.tasks import TaskSpec, TaskSuite

SUITE = TaskSuite({"small": TaskSpec("regression", batch_size=2), "large": TaskSpec("regression")})


@pytest.fixture
def collection(tokenizer):
    """Rows whose score says which they are."""
    rows = {
        "small": Dataset.from_dict({"text": ["red"] * 3, "label": [0.0, 1.0, 2.0]}),
        "large": Dataset.from_dict({"text": ["fox"] * 9, "label": [100.0 + i for i in range(9)]}),
    }
    return prepare(SUITE, rows, tokenizer)


def scores(loader):
    """Scores of each forward of each micro-batch."""
    return [
        [
            (task, labels.tolist())
            for forward in batch["forwards"]
            for task, labels in forward["labels"].items()
        ]
        for batch in loader
    ]


def uniform_plan(collection, **options):
    return StepPlan(collection.sizes(batch_size=4), sampler=UniformSampler(), **options)


@pytest.mark.parametrize("merged", [False, True])
def test_batches_come_in_the_order_of_the_plan(collection, merged):
    plan = uniform_plan(collection, tasks_per_step=2)
    loader = train_dataloader(collection, plan, merged=merged)
    assert isinstance(loader, DataLoader)
    assert len(loader) == len(plan) == len(scores(loader))
    offset = {"small": 0.0, "large": 100.0}
    for batch, draws in zip(scores(loader), plan, strict=True):
        found = sorted(score for _, forward in batch for score in forward)
        assert found == sorted(offset[draw.source] + row for draw in draws for row in draw.rows)


def test_order_does_not_depend_on_the_number_of_workers(collection):
    plan = uniform_plan(collection)
    assert scores(train_dataloader(collection, plan, num_workers=2)) == scores(
        train_dataloader(collection, plan, num_workers=0)
    )


def test_an_epoch_is_chosen_through_the_plan(collection):
    plan = uniform_plan(collection)
    loader = train_dataloader(collection, plan)
    first = scores(loader)
    plan.set_epoch(1)
    assert scores(loader) != first
    plan.set_epoch(0)
    assert scores(loader) == first


def test_iterating_takes_nothing_from_the_global_generator(collection):
    state = torch.get_rng_state()
    scores(train_dataloader(collection, uniform_plan(collection)))
    assert torch.equal(torch.get_rng_state(), state)


def test_evaluation_has_every_row_once_in_order_one_source_a_batch(collection):
    loader = eval_dataloader(collection, batch_size=4)
    assert len(loader) == 2 + 3
    assert scores(loader) == [
        [("small", [0.0, 1.0])],
        [("small", [2.0])],
        [("large", [100.0, 101.0, 102.0, 103.0])],
        [("large", [104.0, 105.0, 106.0, 107.0])],
        [("large", [108.0])],
    ]


def test_a_plan_for_other_sources_is_refused(collection):
    sizes = {"small": collection.sizes(batch_size=1)["small"]}
    plan = StepPlan(sizes, tasks_per_step="all")
    with pytest.raises(ValueError, match=r"`plan` must be made for the sources of `collection`"):
        train_dataloader(collection, plan)


def test_a_string_is_no_batch_size(collection):
    with pytest.raises(
        TypeError, match=r"`batch_size` must be a positive whole number, but got '8'"
    ):
        eval_dataloader(collection, batch_size="8")
