# SPDX-License-Identifier: Apache-2.0
"""The model: what it is built from, what it returns, and how its tasks change."""

import math

import pytest
import torch
from torch.testing import assert_close
from transformers import (
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2Model,
    RobertaConfig,
    RobertaModel,
)

from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TaskSpec, TaskSuite

NAN = float("nan")
TOPIC = TaskSpec("text-classification", labels=("film", "book", "other"))


def test_the_weights_of_a_backbone_are_not_copied(tiny_bert_config, suite):
    backbone = BertModel(tiny_bert_config)
    model = MultiTaskModel.from_backbone(backbone, suite)
    assert model.backbone is backbone


def test_a_backbone_is_loaded_from_a_checkpoint_with_another_head(
    tiny_bert_config, suite, tmp_path
):
    pretrained = BertForMaskedLM(tiny_bert_config)
    pretrained.save_pretrained(tmp_path)
    model = MultiTaskModel.from_backbone(tmp_path, suite)
    assert torch.equal(
        model.backbone.embeddings.word_embeddings.weight,
        pretrained.bert.embeddings.word_embeddings.weight,
    )


def test_the_pretrained_weights_survive_the_initialisation_of_the_heads(tiny_bert_config, suite):
    backbone = BertModel(tiny_bert_config)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    after = MultiTaskModel.from_backbone(backbone, suite).backbone.state_dict()
    assert_close(after, before, rtol=0, atol=0)


def test_a_new_head_is_initialised_as_its_family_does(tiny_bert_config):
    tiny_bert_config.initializer_range = 0.5
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), {"topic": TOPIC})
    classifier = model.heads["topic"].model.classifier
    assert classifier.bias.tolist() == [0, 0, 0]
    assert 0.3 < classifier.weight.std() < 0.7


def test_dtype_and_attention_reach_backbone_and_heads(tiny_bert_config, suite, tmp_path):
    BertModel(tiny_bert_config).save_pretrained(tmp_path)
    model = MultiTaskModel.from_backbone(
        tmp_path, suite, dtype=torch.bfloat16, attn_implementation="eager"
    )
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.backbone.config._attn_implementation == "eager"


def test_a_multi_task_model_is_no_backbone(model, suite):
    with pytest.raises(ValueError, match="must be a backbone, but it is a multi-task model"):
        MultiTaskModel.from_backbone(model, suite)


def test_a_head_that_does_not_suit_its_task_is_refused_by_name(tiny_bert_config):
    parts = TaskSpec("token-classification", labels=("O", "X"), head="pooled")
    with pytest.raises(ValueError, match="`head` of task 'parts' must give one output for each"):
        MultiTaskModel.from_backbone(BertModel(tiny_bert_config), {"parts": parts})


def test_an_unknown_head_is_refused_with_the_nearest_name(tiny_bert_config):
    spec = TaskSpec("regression", head="pooledd")
    with pytest.raises(KeyError, match="Did you mean 'pooled'"):
        MultiTaskModel.from_backbone(BertModel(tiny_bert_config), {"valence": spec})


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"pooling": "avg"}, "Unknown pooling 'avg'"), ({"dropout": 1.0}, "`dropout` must be")],
)
def test_a_wrong_field_of_a_head_is_refused(tiny_bert_config, fields, words):
    spec = TaskSpec("regression", head={"name": "pooled", **fields})
    with pytest.raises((KeyError, ValueError), match=words):
        MultiTaskModel.from_backbone(BertModel(tiny_bert_config), {"valence": spec})


def test_one_pass_gives_the_logits_of_every_task(model, inputs):
    output = model(**inputs)
    assert {task: tuple(logits.shape) for task, logits in output.logits.items()} == {
        "topic": (2, 3),
        "valence": (2, 1),
        "parts": (2, 3, 2),
    }
    assert output.losses is None


def test_one_pass_runs_the_backbone_once(model, inputs):
    passes = []
    model.backbone.register_forward_hook(lambda *given: passes.append(1))
    model(**inputs)
    assert len(passes) == 1


def test_tasks_asked_by_name_are_run_alone(model, inputs):
    assert list(model(tasks=["parts"], **inputs).logits) == ["parts"]


def test_labels_say_which_tasks_are_run(model, inputs):
    output = model(labels={"valence": torch.tensor([1.0, 2.0])}, **inputs)
    assert list(output.logits) == list(output.losses) == ["valence"]


def test_a_loss_is_the_mean_over_labelled_elements(model, inputs):
    labels = torch.tensor([[0, -100, 1], [1, -100, -100]])
    output = model(labels={"parts": labels}, **inputs)
    log_likelihoods = output.logits["parts"].log_softmax(-1)
    by_hand = -(log_likelihoods[0, 0, 0] + log_likelihoods[0, 2, 1] + log_likelihoods[1, 0, 1]) / 3
    assert_close(output.losses["parts"], by_hand)


def test_a_denominator_counts_the_labels_of_the_whole_step(model, inputs):
    labels = {"valence": torch.tensor([1.0, NAN])}
    alone = model(labels=labels, **inputs).losses["valence"]
    in_step = model(labels=labels, denominators={"valence": 8}, **inputs).losses["valence"]
    assert_close(in_step, alone / 8)


def test_a_task_without_labels_in_the_batch_has_logits_and_no_loss(model, inputs):
    labels = {"topic": torch.tensor([-100, -100]), "valence": torch.tensor([0.0, NAN])}
    output = model(labels=labels, **inputs)
    assert list(output.logits) == ["topic", "valence"]
    assert list(output.losses) == ["valence"]


def test_rows_route_a_batch_to_its_heads(model, inputs):
    rows = {"topic": torch.tensor([1]), "valence": torch.tensor([0])}
    routed = model(tasks=["topic", "valence", "parts"], rows=rows, **inputs).logits
    logits = model(**inputs).logits
    assert_close(routed["topic"], logits["topic"][[1]])
    assert_close(routed["valence"], logits["valence"][[0]])
    assert_close(routed["parts"], logits["parts"])


def test_an_unknown_task_is_refused_with_the_nearest_name(model, inputs):
    with pytest.raises(KeyError, match=r"Unknown task 'topics'\. Did you mean 'topic'"):
        model(tasks=["topics"], **inputs)


def test_labels_of_a_task_that_is_not_run_are_refused(model, inputs):
    with pytest.raises(ValueError, match=r"\['valence'\] are not among \['topic'\]"):
        model(tasks=["topic"], labels={"valence": torch.zeros(2)}, **inputs)


def test_a_pooler_that_no_head_reaches_is_frozen_until_one_does(suite):
    config = RobertaConfig(
        vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16,
    )  # fmt: skip
    model = MultiTaskModel.from_backbone(RobertaModel(config), suite)
    frozen = [name for name, value in model.named_parameters() if not value.requires_grad]
    assert frozen == ["backbone.pooler.dense.weight", "backbone.pooler.dense.bias"]


def test_a_pooler_thaws_with_the_first_head_that_reaches_it(tiny_bert_config, suite):
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), suite.subset(["parts"]))
    assert not model.backbone.pooler.dense.weight.requires_grad
    model.add_task("topic", TOPIC)
    assert model.backbone.pooler.dense.weight.requires_grad
    model.remove_task("topic")
    assert not model.backbone.pooler.dense.weight.requires_grad


def test_a_backbone_that_the_user_froze_stays_frozen(tiny_bert_config, suite):
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), suite.subset(["parts"]))
    model.backbone.requires_grad_(False)
    model.add_task("topic", TOPIC)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


def test_a_pooler_that_the_user_froze_before_does_not_thaw(tiny_bert_config, suite):
    backbone = BertModel(tiny_bert_config)
    backbone.pooler.requires_grad_(False)
    model = MultiTaskModel.from_backbone(backbone, suite.subset(["parts"]))
    model.add_task("topic", TOPIC)
    assert not model.backbone.pooler.dense.weight.requires_grad
    assert model.backbone.embeddings.word_embeddings.weight.requires_grad


def test_a_pooler_thaws_though_the_user_froze_the_embeddings(tiny_bert_config, suite):
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), suite.subset(["parts"]))
    model.backbone.embeddings.requires_grad_(False)
    model.add_task("topic", TOPIC)
    assert model.backbone.pooler.dense.weight.requires_grad
    assert not model.backbone.embeddings.word_embeddings.weight.requires_grad


def test_adding_a_task_leaves_everything_else_as_it_was(model, inputs):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model(**inputs).logits
    model.add_task("mood", TaskSpec("text-classification", labels=("good", "bad")))
    after = model.state_dict()
    assert set(after) - set(before) == {
        "heads.mood.model.classifier.weight",
        "heads.mood.model.classifier.bias",
    }
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(torch.equal(model(**inputs).logits[task], logits[task]) for task in logits)
    assert list(model.suite) == list(model.config.suite) == ["topic", "valence", "parts", "mood"]


def test_a_new_head_has_the_dtype_of_the_model(model):
    model.double().add_task("mood", TaskSpec("regression", head="pooled"))
    assert model.heads["mood"].classifier.weight.dtype == torch.float64


def test_a_name_that_is_taken_is_refused(model):
    with pytest.raises(ValueError, match="there is a task 'topic' already"):
        model.add_task("topic", TOPIC)


def test_removing_a_task_removes_its_head_and_its_description(model):
    model.remove_task("valence")
    assert list(model.heads) == list(model.config.suite) == ["topic", "parts"]


def test_the_last_task_cannot_be_removed(tiny_bert_config):
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), {"topic": TOPIC})
    with pytest.raises(ValueError, match="'topic' is the only one"):
        model.remove_task("topic")


def test_removing_an_unknown_task_is_refused(model):
    with pytest.raises(KeyError, match="Did you mean 'valence'"):
        model.remove_task("valense")


@pytest.fixture
def unlabelled(tiny_bert_config) -> MultiTaskModel:
    """A model whose only task does not know its labels."""
    tasks = {"topic": TaskSpec("text-classification")}
    return MultiTaskModel.from_backbone(BertModel(tiny_bert_config), tasks)


@pytest.mark.parametrize("tasks", [None, ["topic"]])
def test_a_task_that_does_not_know_its_labels_cannot_be_run(unlabelled, inputs, tasks):
    with pytest.raises(ValueError, match=r"Call `set_labels\(\{'topic': \[...\]\}\)`"):
        unlabelled(tasks=tasks, **inputs)


def test_labels_build_the_head_that_waited_for_them(unlabelled, inputs):
    unlabelled.set_labels({"topic": ["good", "bad"]})
    assert unlabelled(**inputs).logits["topic"].shape == (2, 2)
    assert unlabelled.config.suite["topic"].labels == ("good", "bad")


def test_labels_that_are_set_again_leave_the_head_alone(model):
    head = model.heads["topic"]
    model.set_labels({"topic": ("film", "book", "other")})
    assert model.heads["topic"] is head


def test_other_labels_than_those_of_the_head_are_refused(model):
    with pytest.raises(ValueError, match=r"must stay \['film', 'book', 'other'\]"):
        model.set_labels({"topic": ["book", "film", "other"]})


def test_labels_that_are_one_text_are_refused(unlabelled):
    with pytest.raises(TypeError, match="`labels` of task 'topic' must be a list of names, but go"):
        unlabelled.set_labels({"topic": "abc"})


def test_labels_of_a_number_are_refused(model):
    with pytest.raises(ValueError, match="`labels` must be left out"):
        model.set_labels({"valence": ["low", "high"]})


def tiny_gpt2() -> GPT2Model:
    """A decoder that names no padding token."""
    config = GPT2Config(
        vocab_size=24, n_embd=16, n_layer=1, n_head=2, n_positions=8, bos_token_id=2,
        eos_token_id=3,
    )  # fmt: skip
    return GPT2Model(config)


def test_a_decoder_without_padding_token_gets_that_of_the_tokenizer(tiny_tokenizer, inputs):
    model = MultiTaskModel.from_backbone(
        tiny_gpt2(), {"topic": TOPIC}, processing_class=tiny_tokenizer
    )
    assert model.backbone.config.pad_token_id == tiny_tokenizer.pad_token_id
    alone = {name: value[1:, :2] for name, value in inputs.items()}
    assert_close(model(**inputs).logits["topic"][1:], model(**alone).logits["topic"])


def test_a_padding_token_that_is_settled_later_reaches_the_heads(tiny_tokenizer, inputs):
    model = MultiTaskModel.from_backbone(tiny_gpt2(), {"topic": TOPIC})
    model.processing_class = tiny_tokenizer
    assert model(**inputs).logits["topic"].shape == (2, 3)


def test_padding_on_the_left_leaves_a_decoder_with_the_same_answers(tiny_tokenizer):
    model = MultiTaskModel.from_backbone(
        tiny_gpt2(), {"topic": TOPIC}, processing_class=tiny_tokenizer
    )
    tiny_tokenizer.padding_side = "left"
    together = model.predict(["the film was very good .", "dull"])
    assert together[1]["topic"] == pytest.approx(model.predict("dull")["topic"], abs=1e-6)


def test_activation_checkpointing_leaves_losses_and_gradients_as_they_are(model, inputs):
    def gradient() -> torch.Tensor:
        model.zero_grad()
        labels = {"topic": torch.tensor([0, 1])}
        model(labels=labels, **inputs).losses["topic"].backward()
        return model.backbone.embeddings.word_embeddings.weight.grad.clone()

    model.train()
    plain = gradient()
    model.activation_checkpointing_enable()
    assert model.backbone.encoder.layer[0].gradient_checkpointing
    assert_close(gradient(), plain)


def test_a_loss_of_many_classes_starts_near_that_of_a_guess(model, inputs):
    loss = model(labels={"topic": torch.tensor([0, 1])}, **inputs).losses["topic"]
    assert loss.item() == pytest.approx(math.log(3), rel=0.1)


def test_tasks_of_one_source_share_their_rows(tiny_bert_config, inputs):
    spec = TaskSpec("text-classification", labels=("a", "b"), source="rows")
    model = MultiTaskModel.from_backbone(
        BertModel(tiny_bert_config), TaskSuite({"one": spec, "two": spec})
    )
    rows = torch.tensor([1])
    routed = model(rows={"one": rows, "two": rows}, **inputs).logits
    assert_close(routed["two"], model(**inputs).logits["two"][[1]])
