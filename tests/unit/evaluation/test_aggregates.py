# SPDX-License-Identifier: Apache-2.0
"""One number for all tasks: hand-worked values, and when there is none."""

import math

import pytest

from hf_mtl.evaluation import TaskPredictions, aggregate_names, check_baseline_scores, task_metrics
from hf_mtl.tasks import TaskSpec, TaskSuite

SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("a", "b"), metrics=("accuracy",)),
        "score": TaskSpec("regression", metrics=("rmse",)),
    }
)
# Accuracy 3/4, root of the mean square 2.
COLLECTED = {
    "topic": TaskPredictions([0, 0, 1, 1], [0, 1, 1, 1], loss_sum=1.0, weight=4),
    "score": TaskPredictions([3.0, 1.0], [1.0, 3.0], loss_sum=1.0, weight=2),
}


def test_delta_m_is_the_mean_relative_gain_whatever_direction_is_better():
    values = task_metrics(SUITE, COLLECTED, baseline_scores={"topic": 0.5, "score": 2.5})
    assert values["eval_delta_m"] == pytest.approx(((0.75 - 0.5) / 0.5 + (2.5 - 2) / 2.5) / 2)
    assert "eval_mean" not in values  # lower is better for one of them


def test_tasks_without_a_baseline_do_not_count():
    values = task_metrics(SUITE, COLLECTED, baseline_scores={"score": 1.0})
    assert values["eval_delta_m"] == pytest.approx(-1.0)
    assert aggregate_names(SUITE) == []


def test_the_weighted_mean_is_there_where_weights_differ():
    suite = TaskSuite(
        {"a": SUITE["topic"].replace(weight=3.0), "b": SUITE["topic"].replace(weight=1.0)}
    )
    half = TaskPredictions([0, 1], [0, 0], loss_sum=1.0, weight=2)
    values = task_metrics(suite, {"a": COLLECTED["topic"], "b": half})
    assert values["eval_mean"] == pytest.approx((0.75 + 0.5) / 2)
    assert values["eval_weighted_mean"] == pytest.approx((3 * 0.75 + 0.5) / 4)


def test_a_metric_that_is_not_defined_makes_the_gain_missing():
    suite = TaskSuite({"score": TaskSpec("regression", metrics=("pearson",))})
    constant = {"score": TaskPredictions([1.0, 1.0], [1.0, 2.0], loss_sum=1.0, weight=2)}
    assert math.isnan(task_metrics(suite, constant, "eval", {"score": 0.5})["eval_delta_m"])


@pytest.mark.parametrize(
    ("scores", "error", "words"),
    [
        ({"topc": 0.5}, KeyError, "task in `baseline_scores` 'topc'. Did you mean 'topic'"),
        ({"topic": 0.0}, ValueError, r"`baseline_scores\['topic'\]` must not be 0"),
        ({"topic": math.nan}, ValueError, "must be a finite number, but got nan"),
        ({"topic": "high"}, TypeError, "must be a finite number, but got 'high'"),
    ],
)
def test_scores_that_cannot_be_compared_with_are_refused(scores, error, words):
    with pytest.raises(error, match=words):
        check_baseline_scores(scores, SUITE)
