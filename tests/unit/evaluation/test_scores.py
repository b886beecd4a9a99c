# SPDX-License-Identifier: Apache-2.0
"""All numbers of one evaluation, and the errors of metrics that cannot be had."""

import math

import pytest

from hf_mtl.evaluation import TaskPredictions, check_metrics, result_rows, task_metrics
from hf_mtl.tasks import TaskSpec, TaskSuite

TOPIC = TaskSpec("text-classification", labels=("a", "b"), metrics=("accuracy",))
SCORE = TaskSpec("regression", metrics=("pearson", "rmse"))

# Two of four right; mean loss 2/4.
TOPIC_PREDICTIONS = TaskPredictions([0, 0, 1, 1], [0, 1, 1, 0], loss_sum=2.0, weight=4)
# Perfectly correlated, each off by one; mean loss 1.
SCORE_PREDICTIONS = TaskPredictions([2.0, 3.0], [1.0, 2.0], loss_sum=2.0, weight=2)


def suite_with(**changes):
    return TaskSuite({"topic": TOPIC.replace(**changes)})


def test_every_task_reports_its_loss_and_its_metrics_under_its_name():
    suite = TaskSuite({"topic": TOPIC, "score": SCORE})
    collected = {"topic": TOPIC_PREDICTIONS, "score": SCORE_PREDICTIONS}
    assert task_metrics(suite, collected) == pytest.approx(
        {
            "eval_topic_loss": 1 / 2,
            "eval_topic_accuracy": 1 / 2,
            "eval_score_loss": 1.0,
            "eval_score_pearson": 1.0,
            "eval_score_rmse": 1.0,
            "eval_loss": (1 / 2 + 1) / 2,
            "eval_mean": (1 / 2 + 1) / 2,
        }
    )


def test_the_loss_of_all_tasks_is_weighted_as_in_training():
    suite = TaskSuite({"topic": TOPIC.replace(weight=3.0), "score": SCORE.replace(weight=1.0)})
    collected = {"topic": TOPIC_PREDICTIONS, "score": SCORE_PREDICTIONS}
    assert task_metrics(suite, collected)["eval_loss"] == pytest.approx((3 * 1 / 2 + 1 * 1) / 4)


def test_there_is_no_mean_where_a_first_metric_is_better_when_lower():
    suite = TaskSuite({"topic": TOPIC, "score": SCORE.replace(metrics=("rmse", "pearson"))})
    collected = {"topic": TOPIC_PREDICTIONS, "score": SCORE_PREDICTIONS}
    assert "eval_mean" not in task_metrics(suite, collected)


def test_a_metric_that_is_not_defined_makes_the_mean_missing():
    constant = TaskPredictions([1.0, 1.0], [1.0, 2.0], loss_sum=1.0, weight=2)
    suite = TaskSuite({"topic": TOPIC, "score": SCORE})
    values = task_metrics(suite, {"topic": TOPIC_PREDICTIONS, "score": constant})
    assert math.isnan(values["eval_score_pearson"])
    assert math.isnan(values["eval_mean"])


def test_the_prefix_is_the_first_part_of_every_key():
    values = task_metrics(suite_with(), {"topic": TOPIC_PREDICTIONS}, prefix="test")
    assert set(values) == {"test_topic_loss", "test_topic_accuracy", "test_loss", "test_mean"}


def test_a_task_without_a_labelled_row_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"'topic' must have labelled rows .* column 'label'"):
        task_metrics(suite_with(), {"topic": TaskPredictions()})


def test_a_task_that_was_not_predicted_is_an_error():
    with pytest.raises(ValueError, match=r"must cover every task, but \['topic'\] are missing"):
        task_metrics(suite_with(), {})


def test_an_unknown_metric_offers_the_nearest_and_names_the_task():
    with pytest.raises(KeyError, match=r"'topic': Unknown metric 'acuracy'\. Did you .*'accuracy'"):
        check_metrics(suite_with(metrics=("acuracy",)))


def test_a_metric_unsuited_to_the_task_is_named_with_the_alternatives():
    words = r"of task 'topic' must suit a text-classification task, but got 'rmse'.*'f1_macro'"
    with pytest.raises(ValueError, match=words):
        check_metrics(suite_with(metrics=("rmse",)))


def test_a_field_that_a_metric_does_not_have_is_refused():
    with pytest.raises(TypeError, match=r"'topic': Unknown field of metric 'accuracy' 'average'"):
        check_metrics(suite_with(metrics=({"name": "accuracy", "average": "macro"},)))


def test_a_metric_given_twice_is_refused():
    with pytest.raises(ValueError, match="must be distinct, but 'accuracy' is given twice"):
        check_metrics(suite_with(metrics=("accuracy", {"name": "accuracy"})))


def test_entity_f1_of_tags_that_spell_no_entities_is_refused_before_training():
    suite = TaskSuite(
        {"tags": TaskSpec("token-classification", labels=("noun", "verb"), metrics=("entity_f1",))}
    )
    with pytest.raises(ValueError, match=r"\['noun', 'verb'\] are of another form"):
        check_metrics(suite)


def test_the_table_has_one_row_a_metric_in_the_order_of_the_suite():
    suite = TaskSuite({"topic": TOPIC.replace(source="news"), "score": SCORE})
    collected = {"topic": TOPIC_PREDICTIONS, "score": SCORE_PREDICTIONS}
    rows = result_rows(
        suite,
        task_metrics(suite, collected),
        num_rows={"topic": 4, "score": 2},
        baselines={"topic": {"accuracy": 0.25}, "score": {"pearson": math.nan, "rmse": 2.0}},
    )
    shown = [(row.task, row.source, row.num_rows, row.metric, row.value) for row in rows]
    assert shown == [
        ("topic", "news", 4, "accuracy", 0.5),
        ("score", "score", 2, "pearson", 1.0),
        ("score", "score", 2, "rmse", 1.0),
    ]
    assert [row.baseline for row in rows] == [0.25, None, 2.0]
    assert [row.greater_is_better for row in rows] == [True, True, False]
