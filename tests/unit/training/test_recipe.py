# SPDX-License-Identifier: Apache-2.0
"""What a recipe's text says, and every word of what is said about a wrong one."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from hf_mtl._yaml import dump_yaml
from hf_mtl.training.recipe import Recipe, RecipeError


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """Recipe without faults: two tasks on one shared source, one on rows of its own."""
    (tmp_path / "news.csv").write_text("body,group\n")
    (tmp_path / "names.jsonl").write_text("")
    return {
        "model": {"backbone": "bert-base-uncased"},
        "tasks": {
            "topic": {
                "type": "text-classification",
                "data": {"path": "csv", "data_files": "news.csv"},
                "columns": {"text": "body", "label": "group"},
            },
            "parts": {"type": "token-classification", "source": "names"},
            "kind": {
                "type": "text-classification",
                "source": "names",
                "columns": {"text": "tokens"},
            },
        },
        "sources": {"names": {"path": "json", "data_files": {"train": "names.jsonl"}}},
        "mixture": {"tasks_per_step": "all"},
        "training": {"output_dir": "out"},
    }


def read(folder: Path, content: Any, *overrides: str) -> Recipe:
    text = content if isinstance(content, str) else dump_yaml(content)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return Recipe.from_file(folder / "recipe.yaml", overrides)


def faults(folder: Path, content: Any, *overrides: str) -> tuple[str, ...]:
    return read(folder, content, *overrides).faults


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


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        pytest.param(
            "tasks.topic.type=text-clasification",
            "tasks.topic.type: Unknown task type 'text-clasification'. Did you mean "
            "'text-classification'? Known: [",
            id="unknown task type",
        ),
        pytest.param(
            "tasks.topic.wieght=2",
            "tasks.topic.wieght: Unknown field 'wieght'. Did you mean 'weight'? Known: "
            "['batch_size', 'columns', 'data', 'head', 'labels', 'learning_rate', 'loss', "
            "'max_length', 'metrics', 'schedule', 'source', 'type', 'weight', 'weight_decay'].",
            id="unknown field of a task",
        ),
        pytest.param(
            "tasks.topic.metrics=[acuracy]",
            "tasks.topic.metrics: `metrics` of task 'topic': Unknown metric 'acuracy'. "
            "Did you mean 'accuracy'?",
            id="unknown metric",
        ),
        pytest.param(
            "tasks.topic.head=poold",
            "tasks.topic.head: Unknown head 'poold'. Did you mean 'pooled'? "
            "Known: ['chain', 'native', 'pooled'].",
            id="unknown head",
        ),
        pytest.param(
            "tasks.topic.columns={txt: body}",
            "tasks.topic.columns: Unknown role in `columns` 'txt'. Did you mean 'text'? "
            "Known: ['label', 'text', 'text_pair'].",
            id="unknown role",
        ),
        pytest.param(
            "tasks.topic.weight=-1",
            "tasks.topic.weight: `weight` must be finite and not negative, but got -1.",
            id="bad value of a task",
        ),
        pytest.param(
            "tasks.topic.source=names",
            "tasks.topic: A task has `data` or `source`, not both, but got `source: names` as "
            "well. Leave one of the two out.",
            id="rows twice",
        ),
        pytest.param(
            "tasks.kind.source=nams",
            "tasks.kind.source: Unknown source 'nams'. Did you mean 'names'? "
            "Known: ['names', 'topic'].",
            id="unknown source",
        ),
        pytest.param(
            "tasks.topic=null",
            "tasks.topic: A task must have a `type`, such as `type: text-classification`.",
            id="a task that is nothing",
        ),
        pytest.param(
            "tasks.topic=text-classification",
            "tasks.topic: `tasks.topic` must be a mapping, but got 'text-classification'. "
            "Write `name: value`.",
            id="a task that is no mapping",
        ),
        pytest.param(
            "tasks={}",
            "tasks: There must be at least one task. Write `tasks: {name: {type: ...}}`.",
            id="no task",
        ),
        pytest.param(
            "tasks.topic.data.data_files=new.csv",
            "There is no file or folder 'new.csv' in",
            id="missing file",
        ),
        pytest.param(
            "sources.names.data_files=[a-*.jsonl]",
            "No file matches 'a-*.jsonl' in",
            id="pattern without a match",
        ),
        pytest.param(
            "sources.names.path=null",
            "sources.names.path: `path` must be what `datasets.load_dataset` takes, such as `csv` "
            "or a name on the Hub, but got None. Add it.",
            id="source without data",
        ),
        pytest.param(
            "sources.names.path=./names",
            "sources.names.path: There is no file or folder './names' in",
            id="missing folder",
        ),
        pytest.param(
            "sources.names.eval_split=3",
            "sources.names.eval_split: `eval_split` must name a split, but got 3.",
            id="bad split",
        ),
        pytest.param(
            "tasks.topic.schedule={strat: 0.5}",
            "tasks.topic.schedule: Unknown field of `schedule` 'strat'. Did you mean 'start'?",
            id="unknown field of a schedule",
        ),
        pytest.param(
            "training.layer_decay=2",
            "training.layer_decay: `layer_decay` must be in (0, 1], but got 2",
            id="layer decay that would grow",
        ),
        pytest.param(
            "training.baseline_scores={topc: 1}",
            "training: Unknown task in `baseline_scores` 'topc'. Did you mean 'topic'?",
            id="baseline of an unknown task",
        ),
        pytest.param(
            "mixture={sampler: temprature}",
            "mixture.sampler: Unknown sampler 'temprature'. Did you mean 'temperature'? "
            "Known: ['alpha', 'annealed', 'fixed', 'nested', 'proportional', 'round_robin', ",
            id="unknown sampler",
        ),
        pytest.param(
            "mixture.sampler=uniform",
            "`sampler` must be left out with `tasks_per_step='all'`, where every source is drawn "
            "in each step, but got 'uniform'.",
            id="sampler beside all",
        ),
        pytest.param(
            "mixture.tasks_per_step=0",
            "mixture.tasks_per_step: `tasks_per_step` must be a whole number from 1 or 'all', "
            "but got 0.",
            id="bad value of the mixture",
        ),
        pytest.param(
            "mixture.batchs=merged",
            "mixture.batchs: Unknown field 'batchs'. Did you mean 'batches'? Known: "
            "['batches', 'sampler', 'stopping', 'tasks_per_step'].",
            id="unknown field of the mixture",
        ),
        pytest.param(
            "balancing.weighting=uncertainy",
            "balancing.weighting: Unknown loss weighting 'uncertainy'. Did you mean 'uncertainty'?",
            id="unknown weighting",
        ),
        pytest.param(
            "balancing.gradient_method=pc_grad",
            "balancing.gradient_method: Unknown gradient method 'pc_grad'. Did you mean 'pcgrad'?",
            id="unknown gradient method",
        ),
        pytest.param(
            "training.weighting=dwa",
            "training.weighting: Move `weighting` to the section `balancing`.",
            id="weighting among the training arguments",
        ),
        pytest.param(
            "training.learning_rat=1",
            "training.learning_rat: Unknown field 'learning_rat'. Did you mean 'learning_rate'?",
            id="unknown training argument",
        ),
        pytest.param(
            "training.tasks_per_step=1",
            "training.tasks_per_step: Move `tasks_per_step` to the section `mixture`.",
            id="misplaced training argument",
        ),
        pytest.param(
            "training.learning_rate=fast",
            "training.learning_rate: `learning_rate` must be a number, but got 'fast'.",
            id="text where a number is expected",
        ),
        pytest.param(
            "training.max_steps=1.5",
            "training.max_steps: `max_steps` must be a whole number, but got 1.5.",
            id="a fraction where a whole number is expected",
        ),
        pytest.param(
            "training.per_device_train_batch_size=0",
            "training.per_device_train_batch_size: `per_device_train_batch_size` must be above 0, "
            "but got 0.",
            id="no rows in a batch",
        ),
        pytest.param(
            "training.eval_strategy=often",
            "training.eval_strategy: often is not a valid IntervalStrategy",
            id="a choice that there is not",
        ),
        pytest.param(
            "training.metric_for_best_model=eval_topc_accuracy",
            "training.metric_for_best_model: Unknown `metric_for_best_model` 'topc_accuracy'. "
            "Did you mean 'topic_accuracy'?",
            id="metric that no evaluation reports",
        ),
        pytest.param(
            "training={}",
            "training.output_dir: `output_dir` must be given: the folder of the run.",
            id="no output folder",
        ),
        pytest.param(
            "model.backbone=null",
            "model.backbone: `backbone` must be a name on the Hub or a folder, but got None. "
            "Write `model: {backbone: bert-base-uncased}`.",
            id="no backbone",
        ),
    ],
)
def test_a_fault_is_named_in_the_users_words(tmp_path, content, override, problem):
    found = faults(tmp_path, content, override)
    assert problem in "\n".join(found)


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
