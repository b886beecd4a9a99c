# SPDX-License-Identifier: Apache-2.0
"""Hidden tokens beside other tasks: the same on any ranks, workers and resume; in and out."""

import math

import pytest
import torch
import toy_runs
from masked_runs import SUITE, datasets, masking_tokenizer
from masked_runs import masked_trainer as trainer
from strategy_runs import assert_same_training, parameters
from torch.testing import assert_close
from transformers import AutoModelForMaskedLM, BertForMaskedLM, GPT2Config, GPT2Model
from transformers.utils import logging

from hf_mtl import MultiTaskModel, TaskSpec, TaskSuite
from hf_mtl.data import Collate, Draw, prepare


def outcome(folder, **given):
    run = trainer(folder, dtype=torch.float64, adam_epsilon=1e-3, **given)
    run.train()
    return {"parameters": parameters(run), "history": toy_runs.history(run)}


def collection():
    suite, data = SUITE.subset(["hidden"]), datasets()
    return prepare(suite, {"hidden": data["hidden"]}, masking_tokenizer())


@pytest.mark.parametrize(
    ("given", "baseline"),
    [
        ({"batches": "merged"}, {}),
        ({"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}, {}),
        ({"dataloader_num_workers": 2}, {}),
        ({"batches": "merged", "gradient_engine": "grouped"}, {"gradient_method": "upgrad"}),
    ],
    ids=["merged", "accumulated", "workers", "grouped"],
)
def test_however_it_is_trained_the_same_tokens_are_hidden(tmp_path, given, baseline):
    expected = outcome(tmp_path / "plain", **baseline)
    found = outcome(tmp_path / "found", **baseline | given)
    assert_same_training(found, expected, is_exact=True)


def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path):
    settings = {"dropout": 0.1, "max_steps": 6, "save_strategy": "steps", "save_steps": 2}
    whole = trainer(tmp_path / "whole", **settings)
    whole.train()
    resumed = trainer(tmp_path / "resumed", **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    expected = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_what_is_hidden_depends_on_seed_epoch_and_row_alone():
    rows = collection()
    first = rows[Draw("hidden", (3, 0))]
    assert rows[Draw("hidden", (0, 1, 3))].features[::2] == first.features[::-1]
    assert rows[Draw("hidden", (3, 0), epoch=1)].features != first.features
    assert rows[Draw("hidden", (3, 0), seed=1)].features != first.features


def test_rows_that_stand_in_for_none_have_no_labels():
    draws = [collection()[Draw("hidden", (0, 1), is_filler=True)]]
    (forward,) = Collate(SUITE, masking_tokenizer())(draws)["forwards"]
    assert (forward["labels"]["hidden"] == -100).all()


def test_evaluation_always_hides_the_same_tokens(tmp_path):
    run = trainer(tmp_path, seed=3)
    first = run.evaluate()
    assert run.evaluate()["eval_hidden_perplexity"] == first["eval_hidden_perplexity"]
    assert first["eval_hidden_perplexity"] == pytest.approx(math.exp(first["eval_hidden_loss"]))
    assert 0 <= first["eval_hidden_masked_accuracy"] <= 1


def test_a_new_text_is_answered_by_the_other_tasks(tmp_path):
    assert list(trainer(tmp_path).model.predict("a good film")) == ["topic", "valence"]


def test_the_model_of_the_task_alone_has_equal_logits(tmp_path):
    run = trainer(tmp_path)
    run.train()
    single = run.model.to_single_task("hidden")
    assert type(single) is BertForMaskedLM
    single.save_pretrained(tmp_path / "single")
    tokens = masking_tokenizer()("a ? film", return_tensors="pt")
    expected = run.model(tasks=["hidden"], **tokens).logits["hidden"]
    # It learned weights of its own: they must not be tied again.
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path / "single")
    assert torch.equal(loaded(**tokens).logits, expected)


def test_a_pretrained_head_is_taken_over_with_equal_logits():
    config = toy_runs.tiny_bert_config()
    tied = BertForMaskedLM(config).eval()
    torch.nn.init.normal_(tied.cls.predictions.bias)
    model = MultiTaskModel.from_single_task({"hidden": tied})
    tokens = masking_tokenizer()("a ? film", return_tensors="pt")
    assert_close(model(**tokens).logits["hidden"], tied(**tokens).logits)
    assert config.tie_word_embeddings


def test_a_head_starts_with_the_embeddings_of_the_backbone(tmp_path):
    model = trainer(tmp_path).model
    decoder = model.heads["hidden"].model.cls.predictions.decoder.weight
    embeddings = model.backbone.embeddings.word_embeddings.weight
    assert torch.equal(decoder, embeddings)
    assert decoder is not embeddings


def test_a_backbone_without_such_a_head_is_refused():
    logging.set_verbosity_error()
    config = GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=20)
    with pytest.raises(ValueError, match="'gpt2' has no AutoModelForMaskedLM"):
        MultiTaskModel.from_backbone(GPT2Model(config), {"hidden": TaskSpec("masked-lm")})


def test_a_tokenizer_without_a_mask_token_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must have a mask token for masked-lm tasks"):
        trainer(tmp_path, processing_class=toy_runs.toy_tokenizer())


def test_another_task_on_its_source_is_refused(tmp_path):
    topic = {"columns": {"text": "body", "label": "group"}, "source": "texts"}
    suite = TaskSuite(
        {
            "topic": TaskSpec("text-classification", **topic),
            "hidden": TaskSpec("masked-lm", columns={"text": "body"}, source="texts"),
        }
    )
    data = {"texts": toy_runs.toy_datasets()["topic"]}
    with pytest.raises(ValueError, match="Tasks on source 'texts' must read the same input"):
        trainer(tmp_path, suite=suite, data=data)
