# SPDX-License-Identifier: Apache-2.0
"""What the trainer refuses, in the words of its user, and the hooks of upstream it builds on."""

import inspect

import pytest
from datasets import Dataset
from transformers import BertModel, Trainer, TrainingArguments

from hf_mtl import MultiTaskModel, MultiTaskTrainer, MultiTaskTrainingArguments, TaskSpec


def test_metrics_of_the_users_own_have_names_of_their_own(toy_trainer):
    trainer = toy_trainer(compute_metrics={"topic": lambda prediction: {"accuracy": 42.0}})
    with pytest.raises(ValueError, match=r"\['eval_topic_accuracy'\] are reported already"):
        trainer.evaluate()


@pytest.mark.parametrize("argument", ["train_dataset", "eval_dataset"])
def test_one_data_set_for_all_tasks_is_refused(toy_trainer, toy_data, argument):
    trainer = toy_trainer()
    setattr(trainer, argument, toy_data["topic"])
    with pytest.raises(TypeError, match=f"`{argument}` must be a mapping of sources to data sets"):
        trainer.train() if argument == "train_dataset" else trainer.evaluate()


def test_a_task_added_after_the_trainer_was_built_is_not_forgotten(toy_trainer):
    trainer = toy_trainer()
    trainer.model.add_task("late", TaskSpec("regression"))
    with pytest.raises(ValueError, match=r"must cover every task, but \['late'\] are missing"):
        trainer.train()


def test_an_unknown_source_is_named(toy_trainer, toy_data):
    message = r"`eval_dataset` has \['parts'\], which are no sources of this suite"
    with pytest.raises(ValueError, match=message):
        toy_trainer().evaluate({"names": toy_data["names"], "parts": toy_data["names"]})


def test_labels_cannot_be_found_without_data(toy_suite, tiny_bert_config, tiny_tokenizer, tmp_path):
    with pytest.raises(ValueError, match=r"find the label names of \['topic', 'parts', 'kind'\]"):
        MultiTaskTrainer(
            model=MultiTaskModel.from_backbone(BertModel(tiny_bert_config), toy_suite),
            args=MultiTaskTrainingArguments(output_dir=str(tmp_path), use_cpu=True),
            processing_class=tiny_tokenizer,
        )


def test_arguments_of_the_plain_trainer_are_refused(toy_trainer, tmp_path):
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(TypeError, match="must be `MultiTaskTrainingArguments`, but got Training"):
        MultiTaskTrainer(model=toy_trainer().model, args=args)


def test_rows_longer_than_the_backbone_can_read_are_refused(toy_trainer, toy_data, tiny_tokenizer):
    tiny_tokenizer.model_max_length = 1000
    words = Dataset.from_dict({"body": ["good " * 40, "bad"], "group": ["film", "book"]})
    message = r"at most 32 tokens, .* but row 0 of source 'topic' has 42. Give `max_length`"
    with pytest.raises(ValueError, match=message):
        toy_trainer(data={**toy_data, "topic": words}, processing_class=tiny_tokenizer)


@pytest.mark.parametrize("missing", ["train", "eval"])
def test_missing_data_is_said_when_it_is_needed(toy_trainer, missing):
    trainer = toy_trainer()
    setattr(trainer, f"{missing}_dataset", None)
    with pytest.raises(ValueError, match=f"`{missing}_dataset` must be given"):
        trainer.train() if missing == "train" else trainer.evaluate()


@pytest.mark.parametrize(
    ("hook", "parameters"),
    [
        (
            "_run_epoch",
            [
                "model",
                "epoch",
                "train_dataloader",
                "steps_in_epoch",
                "num_update_steps_per_epoch",
                "trial",
                "ignore_keys_for_eval",
                "start_time",
                "resume_from_checkpoint",
                "epochs_trained",
                "steps_trained_in_current_epoch",
            ],
        ),
        ("_load_from_checkpoint", ["resume_from_checkpoint", "model"]),
        ("_load_best_model", []),
        ("_save_checkpoint", ["model", "trial"]),
        ("_get_output_dir", ["trial"]),
        ("get_batch_samples", ["epoch_iterator", "num_batches", "device"]),
        ("training_step", ["model", "inputs", "num_items_in_batch"]),
        ("compute_loss", ["model", "inputs", "return_outputs", "num_items_in_batch"]),
        ("train", ["resume_from_checkpoint", "trial", "ignore_keys_for_eval"]),
    ],
)
def test_the_hooks_of_upstream_are_as_we_know_them(hook, parameters):
    signature = inspect.signature(getattr(Trainer, hook))
    assert list(signature.parameters)[1:] == parameters
