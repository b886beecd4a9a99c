# SPDX-License-Identifier: Apache-2.0
"""What goes wrong when several tasks meet the plain Trainer, and does not go wrong here."""

import datasets
import evaluate
import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import EarlyStoppingCallback, TrainerCallback

from hf_mtl import MultiTaskTrainer, TaskSuite


def losses_of(trainer):
    return [line for line in trainer.state.log_history if "loss" in line]


def parameters_of(trainer):
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


class HeadsAtEachStep(TrainerCallback):
    """Keeps a copy of every head before the first step and after each step."""

    def __init__(self):
        self.heads = []

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.on_step_end(args, state, control, model=model)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.heads.append({name: value.clone() for name, value in model.heads.state_dict().items()})


def test_tasks_with_labels_of_their_own_names_are_evaluated(toy_trainer):
    """Plain Trainer: no loss, `compute_metrics` never called, no warning."""
    metrics = toy_trainer().evaluate()
    assert {"eval_topic_loss", "eval_valence_loss", "eval_parts_loss", "eval_kind_loss"} <= set(
        metrics
    )
    assert {"eval_topic_accuracy", "eval_valence_pearson", "eval_parts_f1_macro"} <= set(metrics)


def test_every_task_has_its_own_metrics_and_a_mean_over_tasks(toy_trainer, toy_suite):
    """Plain Trainer: one function for all, which is not told the task; no aggregate."""
    metrics = toy_trainer().evaluate()
    first = [f"eval_{task}_{spec.metric_entries[0]}" for task, spec in toy_suite.items()]
    assert metrics["eval_mean"] == pytest.approx(np.mean([metrics[key] for key in first]))
    assert "eval_valence_accuracy" not in metrics


def test_the_best_model_is_chosen_by_the_mean_over_tasks(toy_trainer):
    trainer = toy_trainer(
        max_steps=6,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_mean",
    )
    trainer.train()
    means = [line["eval_mean"] for line in trainer.state.log_history if "eval_mean" in line]
    assert trainer.state.best_metric == max(means)
    assert trainer.evaluate()["eval_mean"] == pytest.approx(max(means))


def test_early_stopping_on_the_mean_is_quiet(toy_trainer):
    """Plain Trainer with several evaluation sets: a warning for each of the others."""
    trainer = toy_trainer(
        max_steps=20,
        learning_rate=0.0,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_mean",
        callbacks=[EarlyStoppingCallback(early_stopping_patience=2)],
    )
    trainer.train()
    assert trainer.state.global_step == 3


@pytest.mark.parametrize("batches", ["separate", "merged"])
@pytest.mark.parametrize("mixture", [{"tasks_per_step": "all"}, {"tasks_per_step": 2}])
def test_accumulation_changes_nothing(toy_trainer, mixture, batches):
    """Plain Trainer counts sentences and tokens together: the loss was 65 times too small.

    Missing labels fall unevenly on the micro-batches, so that means of means would differ.
    """
    runs = []
    for accumulation in (1, 2, 4):
        trainer = toy_trainer(
            f"accumulate-{accumulation}",
            dtype=torch.float64,
            max_steps=8,
            batches=batches,
            per_device_train_batch_size=8 // accumulation,
            gradient_accumulation_steps=accumulation,
            **mixture,
        )
        trainer.train()
        runs.append(trainer)
    for other in runs[1:]:
        for name, value in parameters_of(runs[0]).items():
            torch.testing.assert_close(value, parameters_of(other)[name], rtol=1e-9, atol=1e-12)
        for line, other_line in zip(losses_of(runs[0]), losses_of(other), strict=True):
            keys = [key for key in line if key.startswith("loss")]
            assert {key: line[key] for key in keys} == pytest.approx(
                {key: other_line[key] for key in keys}, rel=1e-5
            )


def test_merged_and_separate_batches_give_the_same_model(toy_trainer):
    trainers = [
        toy_trainer(
            batches, dtype=torch.float64, max_steps=8, batches=batches, tasks_per_step="all"
        )
        for batches in ("separate", "merged")
    ]
    for trainer in trainers:
        trainer.train()
    separate, merged = map(parameters_of, trainers)
    for name in separate:
        torch.testing.assert_close(separate[name], merged[name], rtol=1e-9, atol=1e-12)


def test_a_head_rests_while_its_task_is_absent(toy_trainer):
    """Touching a head with zero gradient lets momentum and weight decay move it."""
    recorder = HeadsAtEachStep()
    trainer = toy_trainer(num_train_epochs=4, weight_decay=0.1, callbacks=[recorder])
    trainer.train()
    rested = moved = 0
    for line, before, after in zip(
        losses_of(trainer), recorder.heads[:-1], recorder.heads[1:], strict=True
    ):
        for name in before:
            task = name.split(".")[0]
            if f"loss/{task}" in line:
                moved += not torch.equal(before[name], after[name])
            else:
                rested += 1
                assert torch.equal(before[name], after[name]), name
    assert rested > 20
    assert moved > 20


def test_columns_are_not_dropped_behind_the_users_back(toy_trainer):
    """Plain Trainer drops what `forward` has no argument for, the task's name among it."""
    trainer = toy_trainer()
    assert trainer.args.remove_unused_columns
    micro_batch = next(iter(trainer.get_train_dataloader()))
    assert micro_batch["forwards"][0]["labels"]


def test_sources_have_batch_sizes_and_lengths_of_their_own(toy_trainer, toy_suite):
    """Plain Trainer: one collator, one batch size, one length for all."""
    suite = toy_suite.replace("topic", batch_size=6, max_length=3)
    trainer = toy_trainer(suite=suite, tasks_per_step="all")
    topic, valence, names = next(iter(trainer.get_train_dataloader()))["forwards"]
    assert topic["inputs"]["input_ids"].shape == (6, 3)
    assert len(valence["labels"]["valence"]) == 4
    assert set(names["labels"]) == {"parts", "kind"}


def test_the_loss_of_each_task_is_logged(toy_trainer):
    """Plain Trainer logs the sum only."""
    trainer = toy_trainer(tasks_per_step="all", max_steps=2)
    trainer.train()
    for line in losses_of(trainer):
        tasks = [line[f"loss/{task}"] for task in ("topic", "valence", "parts", "kind")]
        assert line["loss"] == pytest.approx(np.mean(tasks), rel=1e-5)


def test_the_rate_of_each_source_is_logged_where_a_sampler_chooses(toy_trainer):
    start = {"topic": 1, "valence": 1, "names": 0}
    end = {"topic": 1, "valence": 1, "names": 2}
    points = [{"at": 0, "probabilities": start}, {"at": 1, "probabilities": end}]
    trainer = toy_trainer(sampler={"name": "scheduled", "points": points}, max_steps=4)
    trainer.train()
    rates = [line["rate/names"] for line in losses_of(trainer)]
    assert rates == [pytest.approx(step / 4 / 2) for step in (1, 2, 3, 4)]


def test_no_rates_are_logged_where_nothing_is_chosen(toy_trainer):
    trainer = toy_trainer(tasks_per_step="all", max_steps=1)
    trainer.train()
    assert not [name for name in losses_of(trainer)[0] if name.startswith("rate/")]


def test_a_sampler_for_other_sources_is_refused_before_training(toy_trainer):
    with pytest.raises(ValueError, match=r"missing. Got \['topic'\]"):
        toy_trainer(sampler={"name": "fixed", "probabilities": {"topic": 1}})


def test_a_weight_of_a_label_that_the_data_do_not_have_is_refused(toy_trainer, toy_suite):
    loss = {"name": "cross_entropy", "class_weights": {"flim": 2.0}}
    with pytest.raises(KeyError, match=r"`class_weights` 'flim'. Did you mean 'film'"):
        toy_trainer(suite=toy_suite.replace("topic", loss=loss))


def test_a_mean_over_class_weights_is_that_of_the_step_however_it_is_cut(toy_trainer, toy_suite):
    loss = {"name": "cross_entropy", "class_weights": {"film": 5.0}, "label_smoothing": 0.1}
    suite = toy_suite.replace("topic", loss=loss)
    lines, evaluated = [], []
    for pieces in (1, 4):
        trainer = toy_trainer(
            suite=suite,
            tasks_per_step="all",
            per_device_train_batch_size=8 // pieces,
            per_device_eval_batch_size=8 // pieces,
            gradient_accumulation_steps=pieces,
            max_steps=2,
        )
        trainer.train()
        lines.append([line["loss/topic"] for line in losses_of(trainer)])
        evaluated.append(trainer.evaluate()["eval_topic_loss"])
    assert lines[1] == pytest.approx(lines[0], rel=1e-5)
    assert evaluated[1] == pytest.approx(evaluated[0], rel=1e-5)


def test_task_weights_scale_the_losses(toy_trainer, toy_suite):
    weights = {"topic": 2.5, "valence": 0.5, "parts": 0.5, "kind": 0.5}
    suite = TaskSuite(
        {task: spec.replace(weight=weights[task]) for task, spec in toy_suite.items()}
    )
    trainer = toy_trainer(suite=suite, tasks_per_step="all", max_steps=1)
    trainer.train()
    (line,) = losses_of(trainer)
    assert line["loss"] == pytest.approx(
        sum(weights[task] * line[f"loss/{task}"] for task in weights) / 4, rel=1e-5
    )


def test_a_task_of_weight_zero_is_evaluated_and_its_head_rests(toy_trainer, toy_suite, toy_data):
    recorder = HeadsAtEachStep()
    trainer = toy_trainer(
        suite=toy_suite.replace("topic", weight=0.0),
        tasks_per_step="all",
        max_steps=2,
        weight_decay=0.1,
        callbacks=[recorder],
    )
    trainer.train()
    first, *_, last = recorder.heads
    assert all(torch.equal(first[name], last[name]) for name in first if name.startswith("topic."))
    assert "eval_topic_accuracy" in trainer.evaluate({"topic": toy_data["topic"]})


def test_a_step_without_labels_is_passed_over(toy_trainer, toy_data):
    unlabelled = toy_data["valence"].map(
        lambda row: {"score": 1.0 if row["sentence"] == "." else None}
    )
    trainer = toy_trainer(
        data={**toy_data, "valence": unlabelled}, num_train_epochs=1, per_device_train_batch_size=1
    )
    trainer.train()
    empty = [
        line for line in losses_of(trainer) if not any(key.startswith("loss/") for key in line)
    ]
    assert len(empty) >= 6
    assert {line["loss"] for line in empty} == {0.0}


def test_metrics_of_the_users_own_join_the_others(toy_trainer):
    def share_right(prediction):
        return {"right": float((prediction.predictions == prediction.label_ids).mean())}

    metrics = toy_trainer(compute_metrics={"topic": share_right}).evaluate()
    assert metrics["eval_topic_right"] == metrics["eval_topic_accuracy"]


def test_a_module_of_evaluate_is_a_metric_too(toy_trainer):
    class ShareRight(evaluate.Metric):
        def _info(self):
            value = datasets.Value("int64")
            features = datasets.Features({"predictions": value, "references": value})
            return evaluate.MetricInfo("share", citation="", features=features)

        def _compute(self, predictions, references):
            return {"share": float(np.mean(np.equal(predictions, references)))}

    metrics = toy_trainer(compute_metrics={"topic": ShareRight()}).evaluate()
    assert metrics["eval_topic_share"] == metrics["eval_topic_accuracy"]


def test_another_data_set_can_be_evaluated_and_predicted(toy_trainer, toy_data):
    trainer = toy_trainer()
    half = {source: rows.select(range(4)) for source, rows in toy_data.items()}
    assert trainer.evaluate(half, metric_key_prefix="half")["half_topic_accuracy"] >= 0
    output = trainer.predict(half)
    assert len(output.predictions["topic"]) == 4
    assert output.label_ids["parts"][0] == [1, 3]  # given, surname among the sorted tags
    assert "test_valence_rmse" in output.metrics


def test_the_card_shows_every_task_and_its_metrics(toy_trainer):
    trainer = toy_trainer("three-in-one")
    metrics = trainer.evaluate()
    trainer.create_model_card(license="apache-2.0", tags="names")
    card = ModelCard.load(f"{trainer.args.output_dir}/README.md")
    assert card.data.license == "apache-2.0"
    assert "names" in card.data.tags
    shown = {
        (result.task_name, result.metric_type): result.metric_value
        for result in card.data.eval_results
    }
    assert shown["topic", "accuracy"] == metrics["eval_topic_accuracy"]
    assert {task for task, _ in shown} == {"topic", "valence", "parts", "kind"}


def test_some_sources_can_be_evaluated_alone(toy_trainer, toy_data):
    metrics = toy_trainer().evaluate({"names": toy_data["names"]})
    assert "eval_topic_loss" not in metrics
    assert metrics["eval_mean"] == pytest.approx(
        (metrics["eval_parts_accuracy"] + metrics["eval_kind_accuracy"]) / 2
    )


def test_samples_of_an_epoch_are_counted_with_repetitions(toy_trainer):
    trainer = toy_trainer(tasks_per_step="all")
    loader = trainer.get_train_dataloader()
    rows = sum(
        len(forward["inputs"]["input_ids"]) for batch in loader for forward in batch["forwards"]
    )
    assert trainer.num_examples(loader) == rows


def test_training_lowers_every_loss(toy_trainer):
    trainer = toy_trainer(tasks_per_step="all", max_steps=60)
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    for task in trainer.suite:
        assert after[f"eval_{task}_loss"] < 0.5 * before[f"eval_{task}_loss"]


def test_label_names_are_found_and_kept_in_the_config(toy_trainer):
    trainer = toy_trainer()
    assert trainer.model.config.suite["topic"].labels == ("book", "film")
    assert trainer.model.config.suite["parts"].labels == ("company", "given", "legal", "surname")


def test_heads_made_late_depend_on_the_seed_only(toy_trainer):
    first, second = parameters_of(toy_trainer("a")), parameters_of(toy_trainer("b"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_new_model_for_each_training_is_completed_too(toy_trainer, toy_data, tiny_tokenizer):
    template = toy_trainer()
    trainer = MultiTaskTrainer(
        model_init=lambda: toy_trainer().model,
        args=template.args,
        train_dataset=toy_data,
        processing_class=tiny_tokenizer,
    )
    trainer.args.max_steps = 1
    trainer.train()
    assert set(trainer.model.heads) == {"topic", "valence", "parts", "kind"}
    assert trainer.model.processing_class is tiny_tokenizer
