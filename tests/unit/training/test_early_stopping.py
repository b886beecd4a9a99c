# SPDX-License-Identifier: Apache-2.0
"""Counting evaluations that bring nothing new, by task and for the run."""

import math
from types import SimpleNamespace

import pytest

from hf_mtl.tasks import TaskSpec, TaskSuite
from hf_mtl.training.early_stopping import EarlyStopping

SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("a", "b"), metrics=("accuracy",)),
        "score": TaskSpec("regression", metrics=("rmse",)),
    }
)


class Run:
    """Evaluations one after the other."""

    def __init__(self, suite=SUITE, **given):
        settings = {"task_patience": None, "early_stopping_patience": None, **given}
        self.args = SimpleNamespace(**settings)
        self.stopping = EarlyStopping(lambda: suite)
        self.control = SimpleNamespace(should_training_stop=False)
        self.step = 0
        self.stopping.on_train_begin(self.args, None, self.control)

    def evaluate(self, topic=0.0, score=0.0, step=None, **others):
        self.step = self.step + 10 if step is None else step
        state = SimpleNamespace(global_step=self.step, max_steps=100, is_world_process_zero=True)
        metrics = {"eval_topic_accuracy": topic, "eval_score_rmse": score, **others}
        self.stopping.on_evaluate(self.args, state, self.control, metrics=metrics)
        return dict(self.stopping.stopped)


def test_a_task_stops_after_evaluations_that_are_no_better():
    run = Run(task_patience=2)
    assert run.evaluate(topic=0.5, score=3.0) == {}
    assert run.evaluate(topic=0.5, score=2.0) == {}
    assert run.evaluate(topic=0.4, score=1.0) == {"topic": 30}
    assert run.stopping.remaining({"topic": 1.5, "score": 0.5}) == {"topic": 0.0, "score": 0.5}
    assert not run.control.should_training_stop


def test_one_better_evaluation_begins_the_count_anew():
    run = Run(task_patience=2)
    for accuracy in (0.5, 0.4, 0.6, 0.5):
        assert run.evaluate(topic=accuracy, score=-run.step) == {}


def test_the_run_ends_when_every_task_has():
    run = Run(task_patience=1)
    run.evaluate(topic=0.5, score=1.0)
    run.evaluate(topic=0.5, score=1.0)
    assert run.control.should_training_stop


def test_a_value_that_is_not_defined_is_no_better():
    run = Run(task_patience=2)
    run.evaluate(topic=math.nan, score=3.0)
    run.evaluate(topic=math.nan, score=2.0)
    assert run.stopping.stopped == {"topic": 20}


@pytest.mark.parametrize(("greater", "values"), [(True, (1, 2, 2, 1)), (False, (2, 1, 1, 2))])
def test_the_run_stops_by_the_metric_for_the_best_model(greater, values):
    run = Run(
        early_stopping_patience=2, metric_for_best_model="eval_mean", greater_is_better=greater
    )
    stops = []
    for value in values:
        run.evaluate(eval_mean=value)
        stops.append(run.control.should_training_stop)
    assert stops == [False, False, False, True]


def test_an_evaluation_that_is_repeated_counts_once():
    run = Run(task_patience=1)
    run.evaluate(topic=0.5, score=3.0, step=5)
    assert run.evaluate(topic=0.5, score=3.0, step=5) == {}


def test_a_run_goes_on_with_the_counts_of_its_checkpoint():
    run = Run(task_patience=2)
    run.evaluate(topic=0.5, score=3.0)
    run.evaluate(topic=0.5, score=2.0)
    other = Run(task_patience=2)
    other.stopping.load_state_dict(run.stopping.merge([run.stopping.state_dict()]))
    other.stopping.on_train_begin(other.args, None, other.control)
    other.step = run.step
    assert other.evaluate(topic=0.5, score=1.0) == {"topic": 30}
    other.stopping.on_train_begin(other.args, None, other.control)
    assert other.stopping.stopped == {}  # a new run of the same trainer


def test_a_task_that_is_not_there_yet_is_not_waited_for():
    late = SUITE.replace("topic", schedule={"start": 0.35})
    run = Run(suite=late, task_patience=2)
    for loss in (5.0, 4.0, 3.0):
        assert run.evaluate(topic=0.5, score=loss) == {}
    run.evaluate(topic=0.5, score=2.0)
    run.evaluate(topic=0.5, score=1.0)
    assert run.evaluate(topic=0.5, score=0.5) == {"topic": 60}


def test_an_evaluation_of_the_users_own_is_passed_over():
    run = Run(
        task_patience=1,
        early_stopping_patience=1,
        metric_for_best_model="mean",
        greater_is_better=1,
    )
    state = SimpleNamespace(global_step=10, max_steps=100, is_world_process_zero=True)
    for metrics in ({"train_loss": 1.0}, {"eval_topic_accuracy": 0.5}):
        run.stopping.on_evaluate(run.args, state, run.control, metrics=metrics)
    run.evaluate(topic=0.5, score=1.0, eval_mean=0.5)
    run.evaluate(topic=0.4, score=0.9, eval_mean=0.6)
    assert run.stopping.stopped == {"topic": 20}
    assert not run.control.should_training_stop


def test_a_run_that_has_ended_stays_ended():
    run = Run(task_patience=1)
    for _ in range(2):
        run.evaluate(topic=0.5, score=1.0)
    other = Run(task_patience=1)
    other.stopping.load_state_dict(run.stopping.state_dict())
    other.stopping.on_train_begin(other.args, None, other.control)
    assert other.control.should_training_stop
