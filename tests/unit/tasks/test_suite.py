# SPDX-License-Identifier: Apache-2.0
"""Task suites: order, sources, weights, and names that are safe everywhere."""

import pytest

from hf_mtl.tasks import TaskSpec, TaskSuite, check_weights

TOPIC = TaskSpec("text-classification", labels=("a", "b"))
SCORE = TaskSpec("regression")


def suite_of(*names):
    return TaskSuite(dict.fromkeys(names, SCORE))


def test_a_suite_survives_json_and_yaml_in_its_order():
    suite = TaskSuite({"z": TOPIC, "a": SCORE, "m": SCORE.replace(weight=0.25)})
    assert list(TaskSuite.from_json(suite.to_json())) == ["z", "a", "m"]
    assert TaskSuite.from_json(suite.to_json()) == suite
    assert TaskSuite.from_yaml(suite.to_yaml()) == suite


def test_suites_in_another_order_are_not_equal():
    assert suite_of("x", "y") != suite_of("y", "x")


def test_tasks_without_a_source_have_one_of_their_own():
    slots = TaskSpec("token-classification", source="requests")
    suite = TaskSuite({"intent": TOPIC.replace(source="requests"), "score": SCORE, "slots": slots})
    assert suite.sources == {"requests": ("intent", "slots"), "score": ("score",)}


def test_weights_average_one():
    suite = TaskSuite({"x": SCORE.replace(weight=1.0), "y": SCORE.replace(weight=3.0)})
    assert suite.weights == {"x": 0.5, "y": 1.5}


def test_tasks_are_added_removed_and_changed_in_copies():
    suite = suite_of("x", "y")
    assert list(suite.with_task("z", TOPIC)) == ["x", "y", "z"]
    assert list(suite.without_task("x")) == ["y"]
    assert suite.replace("x", weight=2.0)["x"].weight == 2.0
    assert list(suite) == ["x", "y"]


def test_a_subset_keeps_the_order_of_the_suite():
    assert list(suite_of("x", "y", "z").subset(["z", "x"])) == ["x", "z"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "must begin with a letter"),
        ("a.b", "must begin with a letter and hold only letters, digits"),
        ("a/b", "but got 'a/b'. Rename the task"),
        ("1st", "must begin with a letter"),
        ("x" * 65, "at most 64"),
        ("mean", "'mean', which is a metric key of its own"),
        ("loss", "'loss', which is a metric key of its own"),
        ("CON", "is a device on Windows"),
        ("keys", "is an attribute of `torch.nn.ModuleDict`"),
        ("type", "for example to 'type_task'"),
    ],
)
def test_unsafe_names_are_refused(name, words):
    with pytest.raises(ValueError, match=words):
        suite_of(name)


@pytest.mark.parametrize("name", ["topic", "sst-2", "Parts_of_Speech", "x"])
def test_safe_names_are_taken(name):
    assert name in suite_of(name)


def test_names_that_differ_only_by_case_are_refused():
    with pytest.raises(ValueError, match="differ by more than case, but got 'Topic' and 'topic'"):
        suite_of("Topic", "topic")


def test_names_whose_metric_keys_clash_are_refused():
    with pytest.raises(ValueError, match="'a_b' and 'a' would both report as 'a_b_c'"):
        TaskSuite({"a_b": SCORE.replace(metrics=["c"]), "a": SCORE.replace(metrics=["b_c"])})


def test_a_metric_key_of_the_whole_run_is_not_a_tasks():
    with pytest.raises(ValueError, match="must not report as 'samples_per_second'"):
        TaskSuite({"samples": SCORE.replace(metrics=["per_second"])})


@pytest.mark.parametrize("name", ["max_length", "batch_size", "batch_tokens"])
def test_tasks_on_one_source_agree_about_its_batches(name):
    first, second = SCORE.replace(source="s", **{name: 8}), SCORE.replace(source="s")
    message = f"`{name}` must be the same for all tasks on source 's', but 'x' has 8 and 'y'"
    with pytest.raises(ValueError, match=message):
        TaskSuite({"x": first, "y": second})


def test_an_empty_suite_is_refused():
    with pytest.raises(ValueError, match="at least one task"):
        TaskSuite({})


def test_weights_that_are_all_zero_cannot_be_trained():
    suite = TaskSuite({"x": SCORE.replace(weight=0.0)})
    assert suite.weights == {"x": 0.0}
    with pytest.raises(ValueError, match="above 0 for at least one task, but it is 0 for all of"):
        check_weights(suite)


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(ValueError, match="'x' is given twice"):
        TaskSuite.from_yaml("x: {type: regression}\nx: {type: regression}\n")
    with pytest.raises(ValueError, match="'x' is given twice"):
        TaskSuite.from_list([{"name": "x", "type": "regression"}] * 2)
    with pytest.raises(ValueError, match="there is a task 'x' already"):
        suite_of("x").with_task("x", SCORE)


def test_an_unknown_task_offers_the_nearest():
    with pytest.raises(KeyError, match=r"Unknown task 'topc'. Did you mean 'topic'"):
        suite_of("topic")["topc"]


def test_what_is_no_task_is_refused():
    with pytest.raises(TypeError, match="Task 'x' must be a `TaskSpec`"):
        TaskSuite({"x": {"type": "regression"}})
    with pytest.raises(ValueError, match="must be a mapping of names to tasks"):
        TaskSuite.from_yaml("- x")
