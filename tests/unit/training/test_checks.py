# SPDX-License-Identifier: Apache-2.0
"""Checks at construction: metrics, tasks, and which direction is better."""

import pytest

from hf_mtl import MultiTaskTrainingArguments, TaskSpec, TaskSuite
from hf_mtl.training.checks import (
    check_by_source,
    check_construction,
    check_gradient_method,
    check_prepared,
    set_best_metric_direction,
)

SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("a", "b")),
        "valence": TaskSpec("regression", metrics=("pearson", "rmse")),
    }
)


def arguments(tmp_path, **given):
    return MultiTaskTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **given)


@pytest.mark.parametrize(
    ("metric", "greater_is_better"),
    [
        ("eval_mean", True),
        ("mean", True),
        ("eval_loss", False),
        ("eval_valence_rmse", False),
        ("eval_topic_loss", False),
        ("eval_valence_pearson", True),
    ],
)
def test_the_metric_says_which_direction_is_better(tmp_path, metric, greater_is_better):
    args = arguments(tmp_path, metric_for_best_model=metric)
    set_best_metric_direction(args, SUITE, {})
    assert args.greater_is_better is greater_is_better


def test_a_direction_that_is_not_the_metrics_is_refused(tmp_path):
    args = arguments(tmp_path, metric_for_best_model="eval_valence_rmse", greater_is_better=True)
    message = "`greater_is_better` must be False for 'valence_rmse', but got True. Leave it out"
    with pytest.raises(ValueError, match=message):
        set_best_metric_direction(args, SUITE, {})


def test_an_unknown_metric_offers_the_nearest(tmp_path):
    args = arguments(tmp_path, metric_for_best_model="eval_topic_acuracy")
    with pytest.raises(KeyError, match=r"'topic_acuracy'. Did you mean 'topic_accuracy'"):
        set_best_metric_direction(args, SUITE, {})


def test_the_mean_is_refused_where_a_first_metric_is_better_when_lower(tmp_path):
    suite = SUITE.replace("valence", metrics=("rmse",))
    args = arguments(tmp_path, metric_for_best_model="eval_mean")
    with pytest.raises(ValueError, match=r"got 'eval_mean' with \['valence_rmse'\] better when"):
        set_best_metric_direction(args, suite, {})


def test_the_weighted_mean_is_refused_where_weights_are_equal(tmp_path):
    args = arguments(tmp_path, metric_for_best_model="eval_weighted_mean")
    with pytest.raises(ValueError, match="got 'eval_weighted_mean' with all tasks of equal weight"):
        set_best_metric_direction(args, SUITE, {})
    set_best_metric_direction(args, SUITE.replace("topic", weight=2.0), {})
    assert args.greater_is_better


def test_the_gain_on_baselines_may_choose_the_best_model(tmp_path):
    args = arguments(
        tmp_path, metric_for_best_model="eval_delta_m", baseline_scores={"valence": 0.5}
    )
    set_best_metric_direction(args, SUITE, {})
    assert args.greater_is_better


def test_a_metric_of_the_users_own_is_trusted(tmp_path):
    args = arguments(tmp_path, metric_for_best_model="eval_topic_cost", greater_is_better=False)
    set_best_metric_direction(args, SUITE, {"topic": len})
    assert not args.greater_is_better


def test_metrics_of_an_unknown_task_are_refused(tmp_path):
    with pytest.raises(KeyError, match=r"task in `compute_metrics` 'topc'. Did you mean 'topic'"):
        check_construction(arguments(tmp_path), SUITE, {"topc": len})


def test_a_searched_batch_size_is_refused_beside_a_fixed_one(tmp_path):
    suite = SUITE.replace("topic", batch_size=4)
    with pytest.raises(ValueError, match=r"`auto_find_batch_size` must be False .* \['topic'\]"):
        check_construction(arguments(tmp_path, auto_find_batch_size=True), suite, {})


def test_a_searched_batch_size_is_refused_beside_a_token_budget(tmp_path):
    words = r"`auto_find_batch_size` must be False with `batch_tokens`, .* but got True with 64"
    with pytest.raises(ValueError, match=words):
        check_construction(
            arguments(tmp_path, auto_find_batch_size=True, batch_tokens=64), SUITE, {}
        )


def test_a_token_budget_that_no_task_would_take_is_refused(tmp_path):
    suite = TaskSuite({task: spec.replace(batch_size=4) for task, spec in SUITE.items()})
    words = "`batch_tokens` must be left out of the training arguments where every .* but got 64"
    with pytest.raises(ValueError, match=words):
        check_construction(arguments(tmp_path, batch_tokens=64), suite, {})


def test_data_prepared_with_other_labels_are_refused():
    other = SUITE.replace("topic", labels=("b", "a"))
    message = r"`train_dataset` must be prepared with the labels of the model, but for task 'topic'"
    with pytest.raises(ValueError, match=message):
        check_prepared("train_dataset", other, SUITE, is_partial=False)


def test_data_prepared_for_some_tasks_will_do_for_evaluation_only():
    some = SUITE.subset(["topic"])
    check_prepared("eval_dataset", some, SUITE, is_partial=True)
    message = r"`train_dataset` must cover every task, but \['valence'\] are missing"
    with pytest.raises(ValueError, match=message):
        check_prepared("train_dataset", some, SUITE, is_partial=False)


def test_one_data_set_for_all_is_refused():
    message = r"`train_dataset` must be a mapping of sources to data sets, such as .*, but got list"
    with pytest.raises(TypeError, match=message):
        check_by_source("train_dataset", [1, 2], SUITE)


def test_weights_that_are_all_zero_cannot_be_trained(tmp_path):
    suite = TaskSuite({task: spec.replace(weight=0) for task, spec in SUITE.items()})
    with pytest.raises(ValueError, match="`weight` must be above 0 for at least one task"):
        check_construction(arguments(tmp_path), suite, {})


@pytest.mark.parametrize(
    ("method", "position"),
    [
        ({"name": "pcd", "primary": 3}, 3),
        ({"name": "pcd", "primary": 1}, 1),
        ({"name": "auto_lambda", "primary": [0, 7]}, 7),
        ({"name": "cr_mogm", "method": {"name": "pcd", "primary": 5}}, 5),
    ],
    ids=str,
)
def test_a_primary_task_has_to_be_one_that_is_trained(tmp_path, method, position):
    suite = SUITE.replace("valence", weight=0.0)
    suite = TaskSuite({**suite, "z": TaskSpec("regression")})
    args = arguments(
        tmp_path, gradient_method=method, tasks_per_step="all", gradient_accumulation_steps=2
    )
    message = rf"`primary` must name tasks .* \{{0: 'topic', 2: 'z'\}}, but got \[{position}\]"
    with pytest.raises(ValueError, match=message):
        check_gradient_method(args, suite)


def test_a_suite_of_one_task_has_no_gradients_to_compare(tmp_path):
    args = arguments(tmp_path, gradient_method="upgrad", tasks_per_step="all")
    with pytest.raises(ValueError, match="but the suite trains one"):
        check_gradient_method(args, SUITE.replace("valence", weight=0.0))


@pytest.mark.parametrize("batches", ["separate", "merged"])
def test_representations_of_two_draws_of_one_source_are_on_the_same_rows_if_merged(
    tmp_path, batches
):
    suite = SUITE.replace("topic", source="rows").replace("valence", source="rows")
    args = arguments(
        tmp_path,
        gradient_method="upgrad",
        gradient_engine="representation",
        tasks_per_step=2,
        batches=batches,
    )
    if batches == "merged":
        check_gradient_method(args, suite)
        return
    with pytest.raises(ValueError, match="all tasks of a step are on the same rows"):
        check_gradient_method(args, suite)
