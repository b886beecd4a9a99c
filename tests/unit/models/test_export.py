# SPDX-License-Identifier: Apache-2.0
"""Models of one task: genuine classes with the labels of the task."""

import pytest
import torch
from transformers import AutoModelForTokenClassification, BertForSequenceClassification, BertModel

from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TaskSpec


def test_a_classifier_knows_its_labels(model):
    config = model.to_single_task("topic").config
    assert config.id2label == {0: "film", 1: "book", 2: "other"}
    assert config.label2id == {"film": 0, "book": 1, "other": 2}
    assert config.problem_type == "single_label_classification"


def test_a_regression_has_its_name_as_its_only_label(model):
    config = model.to_single_task("valence").config
    assert config.id2label == {0: "valence"}
    assert config.problem_type == "regression"


def test_the_model_is_of_the_genuine_class_and_in_evaluation_mode(model):
    model.train()
    single = model.to_single_task("topic")
    assert type(single) is BertForSequenceClassification
    assert not single.training
    assert model.training


def test_the_weights_are_its_own(model):
    single = model.to_single_task("topic")
    before = model.backbone.embeddings.word_embeddings.weight.clone()
    with torch.no_grad():
        single.bert.embeddings.word_embeddings.weight.zero_()
    assert torch.equal(model.backbone.embeddings.word_embeddings.weight, before)


def test_the_model_comes_back_with_the_auto_class(model, inputs, tmp_path):
    model.to_single_task("parts").save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits["parts"])


def test_a_head_of_another_form_is_refused_by_name(tiny_bert_config):
    tasks = {"valence": TaskSpec("regression", head="pooled"), "score": TaskSpec("regression")}
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), tasks)
    with pytest.raises(ValueError, match=r"'valence' has the head .*'pooled'.*: \['score'\]"):
        model.to_single_task("valence")


def test_an_unknown_task_is_refused(model):
    with pytest.raises(KeyError, match="Did you mean 'topic'"):
        model.to_single_task("topics")


def test_a_task_without_head_is_refused(tiny_bert_config):
    tasks = {"topic": TaskSpec("text-classification")}
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), tasks)
    with pytest.raises(ValueError, match="`labels` of task 'topic' must be known"):
        model.to_single_task("topic")


def test_a_multi_label_task_becomes_a_multi_label_model(tiny_bert_config):
    moods = TaskSpec("multi-label-classification", labels=("calm", "sad"))
    stars = TaskSpec("ordinal-regression", labels=("1", "2", "3"))
    tasks = {"moods": moods, "stars": stars}
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), tasks)
    single = model.to_single_task("moods")
    assert single.config.problem_type == "multi_label_classification"
    assert single.config.id2label == {0: "calm", 1: "sad"}
    single = model.to_single_task("stars")
    assert single.config.id2label == {0: "above 1", 1: "above 2"}


@pytest.mark.parametrize(
    "spec",
    [TaskSpec("text-classification", labels=("only",)), TaskSpec("multiple-choice")],
    ids=["one class", "choices"],
)
def test_a_model_with_one_output_can_be_loaded_again(tiny_bert_config, spec, tmp_path):
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), {"task": spec})
    single = model.to_single_task("task")
    single.save_pretrained(tmp_path)
    loaded = type(single).from_pretrained(tmp_path)
    assert loaded.config.id2label == single.config.id2label
    assert torch.equal(loaded.classifier.weight, single.classifier.weight)
