# SPDX-License-Identifier: Apache-2.0
"""When a task is learned: factors at some times, what a suite makes of them, refusals."""

import pytest

from hf_mtl.tasks import TaskSchedule, TaskSpec, TaskSuite, check_weights


@pytest.mark.parametrize(
    ("given", "factors"),
    [
        ({}, {0.0: 1, 0.5: 1, 0.99: 1}),
        ({"start": 0.25, "stop": 0.75}, {0.24: 0, 0.25: 1, 0.74: 1, 0.75: 0}),
        ({"warmup": 0.5}, {0.0: 0, 0.1: 0.2, 0.5: 1, 0.9: 1}),
        ({"start": 0.5, "warmup": 0.2}, {0.4: 0, 0.55: 0.25, 0.6: 0.5, 0.8: 1}),
        (
            {"weights": [{"at": 0.2, "weight": 1.0}, {"at": 0.4, "weight": 3.0}]},
            {0.0: 1, 0.3: 2, 0.4: 3, 0.9: 3},
        ),
        ({"warmup": 0.5, "weights": [{"at": 0, "weight": 4}]}, {0.25: 2, 0.75: 4}),
    ],
)
def test_the_factor_of_a_weight_by_progress(given, factors):
    schedule = TaskSchedule(**given)
    assert {at: schedule.factor(at) for at in factors} == pytest.approx(factors)


def test_a_head_is_moved_between_unfreezing_and_freezing():
    schedule = TaskSchedule(unfreeze=0.2, freeze=0.6)
    moved = [schedule.moves_head(progress) for progress in (0.1, 0.2, 0.5, 0.6, 0.9)]
    assert moved == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"start": 1.5}, ValueError, r"`schedule.start` must be in \[0, 1\], but got 1.5"),
        ({"warmup": "long"}, TypeError, "`schedule.warmup` must be .* but got 'long'"),
        ({"start": 0.5, "stop": 0.5}, ValueError, "`schedule.start` must be before `stop`"),
        ({"unfreeze": 1.0}, ValueError, "`schedule.unfreeze` must be before `freeze`"),
        ({"start": 0.5, "stop": 0.6, "warmup": 0.2}, ValueError, "`schedule.warmup` must be over"),
        ({"weights": {"at": 0}}, TypeError, "`schedule.weights` must be a list of points"),
        ({"weights": [{"at": 0}]}, TypeError, r"weights\[0\]` must be a mapping with `at` and"),
        ({"weights": [{"at": 0, "weight": -1}]}, ValueError, r"weights\[0\].weight` must be 0 or"),
        (
            {"weights": [{"at": 0.5, "weight": 1}, {"at": 0.1, "weight": 1}]},
            ValueError,
            r"`schedule.weights` must be in order, but got `at` \[0.5, 0.1\]",
        ),
    ],
)
def test_wrong_values_are_refused_in_the_users_words(given, error, words):
    with pytest.raises(error, match=words):
        TaskSpec("regression", schedule=given)


def test_an_unknown_field_offers_the_nearest():
    with pytest.raises(TypeError, match=r"field of `schedule` 'warmpu'. Did you mean 'warmup'"):
        TaskSpec("regression", schedule={"warmpu": 0.1})
    with pytest.raises(TypeError, match="`schedule` must be a mapping of its fields"):
        TaskSpec("regression", schedule=0.1)


def test_a_suite_has_weights_by_progress_and_knows_when_they_turn():
    suite = TaskSuite(
        {
            "a": TaskSpec("regression", weight=3.0),
            "b": TaskSpec("regression", schedule={"start": 0.5, "warmup": 0.2}),
        }
    )
    assert suite.weights_at(0.1) == {"a": 1.5, "b": 0}
    assert suite.weights_at(0.6) == pytest.approx({"a": 1.5, "b": 0.25})
    assert suite.turns == [0.0, 0.5, 0.7, 1.0]


def test_a_time_without_any_task_is_refused():
    suite = TaskSuite(
        {
            "a": TaskSpec("regression", schedule={"stop": 0.4}),
            "b": TaskSpec("regression", schedule={"start": 0.6}),
        }
    )
    with pytest.raises(ValueError, match=r"at least one task .* between 0\.4 and 0\.6"):
        check_weights(suite)
