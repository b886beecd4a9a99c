# SPDX-License-Identifier: Apache-2.0
"""Training arguments: what they take and what they refuse."""

import pytest

from hf_mtl import MultiTaskTrainingArguments


def arguments(tmp_path, **given):
    return MultiTaskTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"tasks_per_step": "all"},
        {"tasks_per_step": "all", "stopping": "first_exhausted", "batches": "merged"},
        {"tasks_per_step": 3, "sampler": {"name": "temperature", "temperature": 5.0}},
        {"sampler": "round_robin"},
        {"weighting": {"name": "ema", "decay": 0.5}, "weighting_losses": "lagged"},
        {"weighting": "validation_loss", "eval_strategy": "epoch"},
    ],
)
def test_mixtures_that_make_sense_are_taken(tmp_path, given):
    arguments(tmp_path, **given)


def test_a_number_may_come_as_text_from_a_command_line(tmp_path):
    assert arguments(tmp_path, tasks_per_step="2").tasks_per_step == 2


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"tasks_per_step": 0}, ValueError, r"`tasks_per_step` must be .* or 'all', but got 0"),
        ({"tasks_per_step": "some"}, ValueError, "but got 'some'"),
        ({"tasks_per_step": True}, ValueError, "but got True"),
        ({"batches": "joined"}, ValueError, r"`batches` must be one of .* but got 'joined'"),
        ({"stopping": "all_exausted"}, KeyError, "Did you mean 'all_exhausted'"),
        ({"stopping": "first_exhausted"}, ValueError, "`stopping` must be left out unless"),
        ({"sampler": "temprature"}, KeyError, r"Unknown sampler 'temprature'. Did you mean"),
        (
            {"sampler": "uniform", "tasks_per_step": "all"},
            ValueError,
            r"`sampler` must be left out with `tasks_per_step='all'`.* but got 'uniform'",
        ),
        ({"weighting": "uncertainy"}, KeyError, "Unknown loss weighting .* Did you mean 'uncert"),
        ({"weighting": {"name": "dwa", "temp": 1}}, TypeError, "Unknown field of loss weighting"),
        ({"weighting_losses": "late"}, KeyError, "Unknown value of `weighting_losses` 'late'"),
        (
            {"weighting": "uncertainty", "weighting_losses": "lagged"},
            ValueError,
            "`weighting_losses` must be left out .* 'lagged' with 'uncertainty'",
        ),
        (
            {"weighting": "validation_loss"},
            ValueError,
            "`eval_strategy` must be 'steps' or 'epoch' with 'validation_loss'.* but got 'no'",
        ),
        ({"label_smoothing_factor": 0.1}, ValueError, "`label_smoothing_factor` must be 0.0"),
        ({"dataloader_drop_last": True}, ValueError, "Every row is used once a pass"),
        (
            {"train_sampling_strategy": "sequential"},
            ValueError,
            "Choose a `sampler`, or `batch_tok",
        ),
        (
            {"batch_tokens": 0},
            ValueError,
            "`batch_tokens` must be a positive whole number, but got 0",
        ),
        ({"batch_tokens": 2.5}, TypeError, "`batch_tokens` must be a positive .* but got 2.5"),
        ({"include_num_input_tokens_seen": True}, ValueError, "must be 'no' in multi-task"),
        ({"batch_eval_metrics": True}, ValueError, "`batch_eval_metrics` must be False"),
        ({"include_for_metrics": ["loss"]}, ValueError, "Metrics get predictions and references"),
        ({"use_liger_kernel": True}, ValueError, "`use_liger_kernel` must be False"),
    ],
)
def test_what_would_not_happen_is_refused(tmp_path, given, error, words):
    with pytest.raises(error, match=words):
        arguments(tmp_path, **given)


def test_unused_parameters_are_not_searched_for_unless_asked(tmp_path):
    assert MultiTaskTrainingArguments(str(tmp_path)).ddp_find_unused_parameters is False
    asked = MultiTaskTrainingArguments(str(tmp_path), ddp_find_unused_parameters=True)
    assert asked.ddp_find_unused_parameters is True


def test_an_unknown_rule_for_losses_that_are_not_finite_offers_the_nearest(tmp_path):
    with pytest.raises(KeyError, match="skip_task"):
        MultiTaskTrainingArguments(str(tmp_path), on_nonfinite="skip_tasks")


def test_rows_that_are_shuffled_together_are_at_least_one(tmp_path):
    with pytest.raises(ValueError, match="`stream_shuffle_rows` must be at least 1, but got 0"):
        MultiTaskTrainingArguments(str(tmp_path), stream_shuffle_rows=0)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"gradient_method": "mgdaa"}, KeyError, "Did you mean 'mgda'"),
        ({"gradient_engine": "stream"}, KeyError, "Unknown gradient engine 'stream'"),
        ({"gradient_engine": "streaming"}, ValueError, "left out without a `gradient_method`"),
        ({"gradient_scope": 2}, ValueError, "`gradient_scope` must be left out without a"),
        ({"gradient_update_every": 2}, ValueError, "`gradient_update_every` must be left out"),
        (
            {"gradient_method": "mgda", "gradient_update_every": 0},
            ValueError,
            "`gradient_update_every` must be a positive whole number, but got 0",
        ),
        (
            {"gradient_method": "mgda", "torch_empty_cache_steps": 5},
            ValueError,
            "`torch_empty_cache_steps` must be left out",
        ),
        (
            {"gradient_method": "mgda", "optim": "lomo"},
            ValueError,
            "steps when all gradients of a step are there",
        ),
        (
            {"gradient_method": "nash_mtl", "weighting": "dwa"},
            ValueError,
            "`weighting` must be left out with the gradient method 'nash_mtl', whose direction",
        ),
    ],
)
def test_a_gradient_method_that_cannot_be_is_refused(tmp_path, given, error, words):
    with pytest.raises(error, match=words):
        arguments(tmp_path, **given)


def test_fp16_is_refused_with_a_gradient_method(tmp_path):
    args = arguments(tmp_path, gradient_method="mgda")
    args.fp16 = True  # upstream refuses it on a CPU
    with pytest.raises(ValueError, match="`fp16` must be left out with the gradient method 'mgda'"):
        args.check_gradient_method()
