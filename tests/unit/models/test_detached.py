# SPDX-License-Identifier: Apache-2.0
"""Detached tasks: their losses train their heads and nothing below."""

import pytest
import torch
from transformers import BertModel

from hf_mtl import MultiTaskModel, TaskSpec
from hf_mtl.models.parameters import partly_used_parameters, task_of

INPUTS = {"input_ids": torch.tensor([[2, 5, 3], [2, 6, 3]])}
LABELS = {"plain": torch.tensor([1.0, 2.0]), "probe": torch.tensor([0.0, 3.0])}


@pytest.fixture
def model(tiny_bert_config):
    torch.manual_seed(0)
    suite = {
        "plain": TaskSpec("regression", source="rows", head={"name": "pooled"}),
        "probe": TaskSpec("regression", source="rows", detached=True),
    }
    return MultiTaskModel.from_backbone(BertModel(tiny_bert_config), suite).eval()


def backbone_gradients(model, losses):
    model.zero_grad()
    sum(losses.values()).backward()
    return {
        name: None if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.backbone.named_parameters()
    }


def test_a_detached_task_gives_the_backbone_no_gradient_and_its_head_one(model):
    losses = model(**INPUTS, labels={"probe": LABELS["probe"]}).losses
    assert set(backbone_gradients(model, losses).values()) == {None}
    assert all(parameter.grad is not None for parameter in model.heads["probe"].parameters())


@pytest.mark.parametrize("rows", [None, {task: torch.tensor([0, 1]) for task in LABELS}])
def test_the_backbone_learns_from_the_other_tasks_alone(model, rows):
    both = backbone_gradients(model, model(**INPUTS, labels=LABELS, rows=rows).losses)
    alone = model(**INPUTS, labels={"plain": LABELS["plain"]}).losses
    for name, expected in backbone_gradients(model, alone).items():
        if expected is None:
            assert both[name] is None, name
        else:
            assert torch.equal(both[name], expected), name


def test_what_only_detached_heads_read_is_frozen_until_another_task_trains_it(model):
    assert not model.backbone.pooler.dense.weight.requires_grad
    model.add_task("late", TaskSpec("regression"))
    assert model.backbone.pooler.dense.weight.requires_grad


def test_a_task_added_to_detached_ones_trains_the_backbone(model):
    model.remove_task("plain")
    model.add_task("late", TaskSpec("regression"))
    losses = model(**INPUTS, labels={"late": LABELS["plain"]}).losses
    assert any(gradient is not None for gradient in backbone_gradients(model, losses).values())


def test_with_a_detached_task_some_steps_use_nothing_of_the_backbone(model):
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    shared = {name for name in trained if task_of(name) is None}
    assert partly_used_parameters(model).keys() == shared


def test_a_saved_model_is_detached_as_before(model, tmp_path):
    model.save_pretrained(tmp_path)
    assert MultiTaskModel.from_pretrained(tmp_path).suite["probe"].detached
