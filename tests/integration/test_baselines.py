# SPDX-License-Identifier: Apache-2.0
"""Tasks alone and together through the command line, on a tiny encoder and a handful of rows."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from cli_runs import plain, run

from hf_mtl._yaml import dump_yaml

NEWS = {
    "path": "csv",
    "data_files": "news.csv",
    "split": {"test_size": 0.25, "seed": 3, "stratify_by": "label"},
}
MARKS = {"path": "csv", "data_files": {"train": "marks.csv", "validation": "marks.csv"}}


def measured(*arguments: object) -> dict[str, Any]:
    """What the command writes as JSON."""
    shown = run("baselines", *arguments, "--json")
    assert shown.exit_code == 0, shown.stderr
    return json.loads(shown.stdout)


def by_task(found: dict[str, Any], name: str) -> dict[str, Any]:
    return {task["task"]: task[name] for task in found["tasks"]}


@pytest.fixture
def recipe(tmp_path: Path, tiny_tokenizer: Any, tiny_bert_config: Any) -> Path:
    """Tasks `topic` on 12 of 16 rows, `mark` and `length` on 8 rows that they share."""
    from transformers import BertModel

    tiny_bert_config.hidden_dropout_prob = 0.1
    BertModel(tiny_bert_config).save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    with (tmp_path / "news.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        texts = ("the film was very good", "film"), ("the book is not great", "book")
        rows.writerows([f"{texts[n % 2][0]} {n}", texts[n % 2][1]] for n in range(16))
    with (tmp_path / "marks.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", "length"])
        rows.writerows([f"a {'good ' * n} film", float(n), n / 2] for n in range(8))
    content = {
        "model": {"backbone": "encoder"},
        "tasks": {
            "topic": {"type": "text-classification", "data": NEWS},
            "mark": {"type": "regression", "source": "marks", "metrics": ["rmse"]},
            "length": {
                "type": "regression",
                "source": "marks",
                "metrics": ["rmse"],
                "columns": {"label": "length"},
                "weight": 0.5,
            },
        },
        "sources": {"marks": MARKS},
        "mixture": {"tasks_per_step": "all"},
        "training": {
            "output_dir": str(tmp_path / "run"),
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-3,
            "save_strategy": "no",
            "use_cpu": True,
            "disable_tqdm": True,
        },
    }
    (tmp_path / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
    return tmp_path / "recipe.yaml"


def test_together_is_what_training_gives_and_alone_what_the_recipe_of_one_task_gives(
    recipe, tmp_path
):
    found = measured(recipe, "--seeds", 2)
    together, alone = by_task(found, "together"), by_task(found, "alone")
    for index, seed in enumerate((42, 43)):
        folder = f"training.output_dir={tmp_path / f'all-{seed}'}"
        trained = run("train", recipe, folder, f"training.seed={seed}", "--json")
        results = {row["task"]: row for row in json.loads(trained.stdout)["results"][::-1]}
        assert {task: own["values"][index] for task, own in together.items()} == {
            task: row["value"] for task, row in results.items()
        }
    assert by_task(found, "constant") == {task: row["baseline"] for task, row in results.items()}
    # `length` is of the same source as `mark`, and loses its fields of the mixture here.
    single = run(
        "train",
        recipe,
        f"training.output_dir={tmp_path / 'one'}",
        "tasks={length: {type: regression, source: marks, columns: {label: length}}}",
        "training.max_steps=6",
        "training.seed=43",
        "--json",
    )
    rows = {row["metric"]: row["value"] for row in json.loads(single.stdout)["results"]}
    assert alone["length"]["values"][1] == rows["rmse"]


def test_the_table_shows_gains_and_names_what_is_lost(recipe):
    shown = run("baselines", recipe, "--seeds", 2)
    assert shown.exit_code == 0, shown.output
    text = plain(shown.stdout)
    assert "Run 1 of 8: all tasks together, seed 42, 6 steps." in text
    assert "Run 8 of 8: length alone, seed 43, 6 steps." in text
    assert "Alone and together, 2 seeds" in text
    assert "Steps: 6 together; alone topic 6, mark 6, length 6." in text
    assert "Negative transfer beyond the noise:" in text
    assert "Delta_m, the mean relative gain over the tasks:" in text
    assert "training: {baseline_scores: {topic: " in text
    assert "; no `weight`." in text


@pytest.mark.slow
def test_nothing_is_trained_twice_and_a_change_trains_what_it_touches(recipe, tmp_path):
    first = measured(recipe, "--seeds", 1)
    assert first["num_trained"] == 4
    assert measured(recipe, "--seeds", 1) == first | {"num_trained": 0}
    more = measured(recipe, "--seeds", 2)
    assert more["num_trained"] == 4
    assert by_task(more, "alone")["mark"]["values"][:1] == by_task(first, "alone")["mark"]["values"]
    # All tasks together change with one of them, and that one; the other two do not.
    assert measured(recipe, "--seeds", 1, "tasks.topic.max_length=8")["num_trained"] == 2
    # What does not concern a task alone changes nothing for it.
    assert measured(recipe, "--seeds", 1, "balancing.weighting=uncertainty")["num_trained"] == 1
    rows = (tmp_path / "marks.csv").read_text("utf-8").replace("7.0", "9.0")
    (tmp_path / "marks.csv").write_text(rows, encoding="utf-8")
    assert measured(recipe, "--seeds", 1)["num_trained"] == 2  # together and `mark`
    kept = {path.name.rsplit("-seed-")[0] for path in (tmp_path / "run" / "baselines").iterdir()}
    assert kept == {"together", "alone-topic", "alone-mark", "alone-length"}


@pytest.mark.slow
def test_an_interrupted_call_goes_on_where_it_was(recipe, tmp_path, monkeypatch):
    from hf_mtl.training.baselines import run as module

    whole = measured(recipe, "--seeds", 1, "--cache", tmp_path / "whole")
    train, done = module._train, []

    def interrupted(job: Any, seed: int) -> Any:
        if len(done) == 2:
            raise RuntimeError("the light went out")
        done.append(job.task)
        return train(job, seed)

    monkeypatch.setattr(module, "_train", interrupted)
    assert run("baselines", recipe, "--seeds", 1).exit_code == 1
    monkeypatch.undo()
    rest = measured(recipe, "--seeds", 1)
    assert rest["num_trained"] == 2
    assert rest["tasks"] == whole["tasks"]
    assert by_task(rest, "verdict") == {"topic": None, "mark": None, "length": None}
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_best_checkpoint_is_chosen_for_a_task_alone_by_its_own_metric(recipe):
    choosing = (
        "training.eval_strategy=steps",
        "training.eval_steps=2",
        "training.save_strategy=steps",
        "training.save_steps=2",
        "training.load_best_model_at_end=true",
        "training.metric_for_best_model=eval_topic_accuracy",
        "tasks.topic.schedule={stop: 0.5}",
    )
    found = measured(recipe, "--seeds", 1, *choosing)
    assert by_task(found, "steps") == {"topic": 3, "mark": 6, "length": 6}
    assert found["differs"] == [
        "no `schedule` of topic",
        "no `weight`",
        "`eval_steps` as the same part of its steps",
        "`save_steps` as the same part of its steps",
        "its own first metric in place of 'eval_topic_accuracy' as `metric_for_best_model`",
    ]


def test_streams_are_compared_too(recipe, tmp_path):
    stream = {"path": "csv", "streaming": True}
    stream["data_files"] = {"train": "marks.csv", "test": "marks.csv"}
    found = measured(
        recipe,
        "--seeds",
        1,
        f"sources.marks={json.dumps(stream)}",
        "training.max_steps=4",
        "mixture.tasks_per_step=1",
        "mixture.sampler=uniform",
    )
    # Draws are as many for both sources: half of four each.
    assert by_task(found, "steps") == {"topic": 2, "mark": 2, "length": 2}
    assert by_task(found, "constant")["mark"] is None


def test_all_that_is_wrong_is_said_before_anything_is_trained(recipe, tmp_path):
    wrong = run(
        "baselines",
        recipe,
        "tasks.topic.weight=0",
        "tasks.mark.weight=0",
        "training.learning_rate=fast",
        "sources.marks.data_files.validation=mark.csv",
    )
    assert wrong.exit_code == 2
    assert "recipe.yaml has 3 problems:" in wrong.stderr
    assert "tasks: There must be two tasks or more of a weight above 0" in plain(wrong.stderr)
    assert "only ['length'] are trained" in plain(wrong.stderr)
    assert not (tmp_path / "run").exists()


def test_rows_to_evaluate_on_are_needed(recipe):
    none = "tasks.topic.data.eval_split=none", "sources.marks.eval_split=none"
    wrong = run("baselines", recipe, *none)
    assert wrong.exit_code == 2
    assert "must name rows to evaluate on, but says `eval_split: none`" in plain(wrong.stderr)


def test_the_command_explains_itself():
    shown = run("baselines", "--help")
    assert shown.exit_code == 0
    for option in ("--seeds", "--cache", "--json", "--debug"):
        assert option in shown.stdout


def test_several_processes_are_refused(recipe, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    wrong = run("baselines", recipe)
    assert wrong.exit_code == 2
    assert "Baselines must be measured in one process, but there are 2." in plain(wrong.stderr)


def test_a_number_of_seeds_must_be_positive(recipe):
    from hf_mtl.training.baselines import measure_baselines

    wrong = run("baselines", recipe, "--seeds", 0)
    assert (wrong.exit_code, "greater than or equal to 1" in plain(wrong.output)) == (2, True)
    with pytest.raises(ValueError, match="`seeds` must be a positive whole number, but got 0"):
        measure_baselines(recipe, num_seeds=0)
    with pytest.raises(TypeError, match=r"`seeds` must be a positive whole number, but got 1\.5"):
        measure_baselines(recipe, num_seeds=1.5)
