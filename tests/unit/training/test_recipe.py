# SPDX-License-Identifier: Apache-2.0
"""What a recipe's text says, and how all that is wrong with it is reported."""

from textwrap import dedent

import pytest
from recipe_texts import faults, read, three_tasks

from hf_mtl._yaml import dump_yaml
from hf_mtl.training.recipe import Recipe, RecipeError


@pytest.fixture
def content(tmp_path):
    return three_tasks(tmp_path)


def test_a_recipe_that_is_right_has_no_faults(tmp_path, content):
    recipe = read(tmp_path, content)
    assert recipe.faults == ()
    assert list(recipe.suite) == ["topic", "parts", "kind"]
    assert recipe.suite.sources == {"topic": ("topic",), "names": ("parts", "kind")}
    assert recipe.arguments == {"tasks_per_step": "all", "output_dir": "out"}


def test_data_files_are_relative_to_the_recipe(tmp_path, content):
    recipe = read(tmp_path, content)
    assert recipe.sources["topic"].data["data_files"] == str(tmp_path / "news.csv")
    assert recipe.sources["names"].data["data_files"] == {"train": str(tmp_path / "names.jsonl")}


def test_data_files_are_sought_where_the_command_is_started_as_well(tmp_path, content, monkeypatch):
    (tmp_path / "recipes").mkdir()
    monkeypatch.chdir(tmp_path)
    recipe = read(tmp_path / "recipes", content)
    assert recipe.sources["topic"].data["data_files"] == str(tmp_path / "news.csv")


def test_a_number_in_scientific_notation_is_a_number(tmp_path, content):
    content["training"] |= {"learning_rate": 3e-5}
    assert read(tmp_path, content).arguments["learning_rate"] == 3e-5
    assert "learning_rate: 3.0e-05" in (tmp_path / "recipe.yaml").read_text()
    text = (tmp_path / "recipe.yaml").read_text().replace("3.0e-05", "3e-5")
    assert read(tmp_path, text).arguments["learning_rate"] == 3e-5


def test_the_word_no_means_no_where_it_is_a_choice(tmp_path, content):
    recipe = read(tmp_path, content, "training.save_strategy=no", "training.bf16=no")
    assert recipe.faults == ()
    assert recipe.arguments["save_strategy"] == "no"
    assert recipe.arguments["bf16"] is False


def test_all_faults_are_in_one_report(tmp_path, content):
    content["tasks"]["topic"] |= {"weight": -1, "max_length": "ten"}
    content["tasks"]["mean"] = {"type": "regression", "source": "names"}
    content["trainig"] = {}
    content["training"] |= {"seed": "x"}
    found = faults(tmp_path, content, "mixture.sampler=uniform")
    assert [problem.split(":")[0] for problem in found] == [
        "trainig",
        "tasks.topic.weight",
        "tasks.topic.max_length",
        "tasks.mean",
        "training.seed",
        "mixture.sampler",
    ]


def test_the_report_has_each_problem_on_its_own_line(tmp_path, content):
    recipe = read(tmp_path, content, "tasks.topic.weight=-1", "training.seed=x")
    with pytest.raises(RecipeError) as caught:
        recipe.raise_faults()
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'recipe.yaml'} has 2 problems:",
        "  tasks.topic.weight: `weight` must be finite and not negative, but got -1.",
        "  training.seed: `seed` must be a whole number, but got 'x'.",
    ]


def test_two_tasks_of_one_name_are_reported_with_their_line_beside_other_faults(tmp_path, content):
    text = dump_yaml(content).replace("  kind:\n", "  parts:\n") + "balancing: {weighting: x}\n"
    found = faults(tmp_path, text)
    assert found[0] == (
        "line 15, column 3: the key 'parts' is given twice. Rename one of the two, or take one out."
    )
    assert found[1].startswith("balancing.weighting: ")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a.b", "A task name must begin with a letter and hold only letters, digits, '_' and '-'"),
        ("mean", "A task name must not be 'mean', which is a metric key of its own."),
        ("items", "'items' is an attribute of `torch.nn.ModuleDict`"),
        ("Topic", "Task names must differ by more than case, but got 'topic' and 'Topic'."),
    ],
)
def test_an_unsafe_or_clashing_name_is_refused(tmp_path, content, name, problem):
    content["tasks"][name] = {
        "type": "text-classification",
        "source": "names",
    }
    (found,) = faults(tmp_path, content)
    assert found.startswith(f"tasks.{name}: ")
    assert problem in found


def test_a_task_without_rows_is_refused(tmp_path, content):
    del content["tasks"]["topic"]["data"]
    assert faults(tmp_path, content) == (
        "tasks.topic: The task has no rows. Give it `data: {path: ...}`, or `source:` with a name "
        "that stands in `sources`.",
    )


def test_a_source_that_no_task_learns_from_is_refused(tmp_path, content):
    content["sources"]["spare"] = {"path": "someone/spare"}
    assert faults(tmp_path, content) == (
        "sources.spare: No task learns from this source. Give a task `source: spare`, or take it "
        "out.",
    )


def test_merged_batches_of_texts_and_pictures_are_refused(tmp_path, content):
    content["tasks"]["scene"] = {"type": "image-classification", "data": {"path": "someone/scenes"}}
    assert faults(tmp_path, content) == ()
    (found,) = faults(tmp_path, content, "mixture.batches=merged")
    assert found.startswith("mixture.batches: `batches` must be 'separate' for tasks on different")


def test_one_weight_may_be_zero_but_not_all(tmp_path, content):
    assert faults(tmp_path, content, "tasks.topic.weight=0") == ()
    everywhere = [f"tasks.{task}.weight=0" for task in content["tasks"]]
    assert faults(tmp_path, content, *everywhere) == (
        "tasks: `weight` must be above 0 for at least one task, but it is 0 for all of "
        "['topic', 'parts', 'kind'].",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "- a\n- b\n",
            "A recipe must be a mapping with the sections model, tasks, sources, mixture, "
            "balancing, training, but this one holds ['a', 'b'].",
        ),
        ("", "but this one holds None."),
        ("model: [1,\n}\n", "recipe.yaml, line 2, column 1: not valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_or_no_yaml_is_refused(tmp_path, text, problem):
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, dedent(text))
    assert problem in str(caught.value)


def test_a_recipe_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="The recipe cannot be read: No such file or directory"):
        Recipe.from_file(tmp_path / "nowhere.yaml")


def test_a_fault_is_not_blamed_on_what_goes_with_it(tmp_path, content):
    content["mixture"] = {"tasks_per_step": "all"}
    content["balancing"] = {
        "gradient_method": "moco",
        "gradient_scope": 1,
        "gradient_update_every": 2,
    }
    found = faults(tmp_path, content)
    assert [problem.split(":")[0] for problem in found] == [
        "balancing.gradient_scope",
        "balancing.gradient_update_every",
    ]
    assert all("without a `gradient_method`" not in problem for problem in found)


def test_a_fault_of_a_task_is_not_blamed_on_what_names_the_task(tmp_path, content):
    content["tasks"]["topic"]["weight"] = -1
    content["mixture"] = {"sampler": {"name": "fixed", "probabilities": {"topic": 1, "names": 2}}}
    content["training"]["metric_for_best_model"] = "eval_topic_accuracy"
    assert faults(tmp_path, content) == (
        "tasks.topic.weight: `weight` must be finite and not negative, but got -1.",
    )
    del content["tasks"]["topic"]["weight"]
    content["tasks"]["topic"]["type"] = "text_classification"
    (found,) = faults(tmp_path, content)
    assert found.startswith("tasks.topic.type: ")


def test_a_metric_that_is_wrong_is_not_blamed_on_the_choice_of_a_checkpoint(tmp_path, content):
    content["tasks"]["topic"]["metrics"] = ["f1_micro", "acuracy"]
    content["training"]["metric_for_best_model"] = "eval_topic_f1_micro"
    (found,) = faults(tmp_path, content)
    assert found.startswith("tasks.topic.metrics: ")


def test_rows_and_tokens_of_a_batch_together_are_a_fault_of_the_task(tmp_path, content):
    content["tasks"]["topic"] |= {"batch_size": 4, "batch_tokens": 64}
    (found,) = faults(tmp_path, content)
    assert found.startswith("tasks.topic: `batch_tokens` must be left out beside `batch_size`")


def test_a_wrong_token_budget_is_not_blamed_on_its_neighbour_on_the_same_rows(tmp_path, content):
    content["tasks"]["kind"] = {**content["tasks"]["parts"], "batch_tokens": 64}
    content["tasks"]["parts"]["batch_tokens"] = -1
    (found,) = faults(tmp_path, content)
    assert found.startswith("tasks.parts.batch_tokens: ")


def test_a_name_is_judged_whatever_the_type(tmp_path, content):
    content["tasks"]["a.b"] = {"type": "regresion", "source": "names"}
    content["tasks"]["items"] = {"source": "names"}
    assert [problem.split(":")[0] for problem in faults(tmp_path, content)] == [
        "tasks.a.b.type",
        "tasks.a.b",
        "tasks.items",
        "tasks.items",
    ]


def test_a_section_that_is_no_mapping_is_said_once(tmp_path, content):
    content |= {"model": "bert-base-uncased", "tasks": ["topic"], "sources": {}}
    assert [problem.split(" must be")[0] for problem in faults(tmp_path, content)] == [
        "model: `model`",
        "tasks: `tasks`",
    ]
