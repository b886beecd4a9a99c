# SPDX-License-Identifier: Apache-2.0
"""The command line from a recipe to answers, on a tiny encoder and a handful of rows."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_runs import plain, run

import hf_mtl
from hf_mtl._yaml import dump_yaml

GOOD, BAD = "the film was very good", "the book is not great"


NO_MODEL = (
    "`MODEL` must be the folder of a model that `hf-mtl train` has saved, but there is no "
    "config.json in"
)


@pytest.fixture
def recipe(tmp_path: Path, tiny_tokenizer: Any, tiny_bert_config: Any) -> Path:
    """Recipe of three tasks on two sources, beside its encoder and its data."""
    from transformers import BertModel

    BertModel(tiny_bert_config).save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    with (tmp_path / "news.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["body", "group"])
        rows.writerows([[f"{GOOD} {index}", "film"] for index in range(10)])
        rows.writerows([[f"{BAD} {index}", "book"] for index in range(6)])
    with (tmp_path / "names.jsonl").open("w", encoding="utf-8") as file:
        for index in range(10):
            words = ["Ada", "Byron"] if index % 2 else ["Bell", "Labs", "Inc"]
            tags = ["first", "last"] if index % 2 else ["company"] * 3
            row = {"words": words, "tags": tags, "length": float(len(words))}
            file.write(json.dumps(row) + "\n")
    content = {
        "model": {"backbone": "encoder"},
        "tasks": {
            "topic": {
                "type": "text-classification",
                "data": {
                    "path": "csv",
                    "data_files": "news.csv",
                    "split": {"test_size": 0.25, "seed": 0, "stratify_by": "group"},
                },
                "columns": {"text": "body", "label": "group"},
            },
            "parts": {
                "type": "token-classification",
                "source": "names",
                "columns": {"tokens": "words", "labels": "tags"},
            },
            "length": {"type": "regression", "source": "names", "columns": {"text": "words"}},
        },
        "sources": {
            "names": {
                "path": "json",
                "data_files": {"train": "names.jsonl", "validation": "names.jsonl"},
            }
        },
        "mixture": {"tasks_per_step": "all"},
        "training": {
            "output_dir": str(tmp_path / "run"),
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "save_strategy": "no",
            "use_cpu": True,
            "disable_tqdm": True,
        },
    }
    content["tasks"]["length"]["columns"]["label"] = "length"
    (tmp_path / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
    return tmp_path / "recipe.yaml"


@pytest.fixture
def trained(recipe: Path) -> Path:
    """Folder of a run of the recipe."""
    shown = run("train", recipe, "training.learning_rate=1e-3", "training.hub_token=hf_secret")
    assert shown.exit_code == 0, shown.stderr
    assert "constant: the best single answer for all rows" in shown.stdout
    return recipe.parent / "run"


def test_training_gives_results_beside_constant_answers(recipe):
    shown = run("train", recipe, "--json")
    assert shown.exit_code == 0, shown.stderr
    results = json.loads(shown.stdout)["results"]
    assert [(row["task"], row["metric"]) for row in results] == [
        ("topic", "accuracy"),
        ("topic", "f1_macro"),
        ("parts", "accuracy"),
        ("parts", "f1_macro"),
        ("length", "pearson"),
        ("length", "rmse"),
    ]
    baselines = {(row["task"], row["metric"]): row["baseline"] for row in results}
    assert baselines["parts", "accuracy"] == pytest.approx(15 / 25)  # 5 rows with 3 tags, 5 with 2
    assert baselines["length", "rmse"] == pytest.approx(0.5)  # lengths 2 and 3 around 2.5


def test_a_run_leaves_model_results_and_card_but_no_secrets(trained):
    written = {path.name for path in trained.iterdir()}
    assert {"model.safetensors", "tokenizer.json", "results.json", "README.md"} <= written
    card = (trained / "README.md").read_text("utf-8")
    assert "training.learning_rate=1e-3" in card
    assert "hf_secret" not in card + (trained / "results.json").read_text("utf-8")


def test_a_trained_model_is_measured_again_with_the_same_numbers(trained, recipe):
    measured = run("evaluate", trained, recipe, "--json")
    assert measured.exit_code == 0, measured.stderr
    results = json.loads((trained / "results.json").read_text("utf-8"))["results"]
    assert json.loads(measured.stdout)["results"] == [
        {**row, "value": pytest.approx(row["value"], abs=1e-5)} for row in results
    ]
    assert (
        "constant: the best single answer for all rows" in run("evaluate", trained, recipe).stdout
    )


def test_a_validation_split_is_evaluated_on_in_training_and_the_test_split_in_the_end(recipe):
    folder = recipe.parent
    lines = (folder / "names.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "test.jsonl").write_text("".join(lines[:4]), encoding="utf-8")
    (folder / "provenance.json").write_text("[]", encoding="utf-8")  # somebody else's
    shown = run(
        "train",
        recipe,
        "--json",
        "sources.names.data_files={train: names.jsonl, dev: names.jsonl, test: test.jsonl}",
        "training.eval_strategy=epoch",
    )
    assert shown.exit_code == 0, shown.stderr
    num_rows = {row["task"]: row["num_rows"] for row in json.loads(shown.stdout)["results"]}
    assert num_rows == {"topic": 4, "parts": 4, "length": 4}
    assert (folder / "run" / "results.json").exists()


def test_rows_that_a_trained_model_cannot_read_are_refused(trained, recipe):
    settings = trained / "tokenizer_config.json"
    content = json.loads(settings.read_text("utf-8")) | {"model_max_length": 10**30}
    settings.write_text(json.dumps(content), encoding="utf-8")
    with (recipe.parent / "names.jsonl").open("a", encoding="utf-8") as file:
        row = {"words": ["Ada"] * 40, "tags": ["first"] * 40, "length": 40.0}
        file.write(json.dumps(row) + "\n")
    wrong = run("evaluate", trained, recipe)
    assert wrong.exit_code == 2
    assert "at most 32 tokens" in plain(wrong.stderr)
    assert "row 10 of source 'names' has 42" in plain(wrong.stderr)


def test_a_recipe_with_other_labels_than_the_model_is_refused(trained, recipe):
    wrong = run("evaluate", trained, recipe, "tasks.topic.labels=[car, film]")
    assert wrong.exit_code == 2
    assert (
        "tasks.topic: `labels` must be that of the trained model, ('book', 'film'), but got "
        "('car', 'film')."
    ) in plain(wrong.stderr)


def test_one_task_answers_a_text(trained):
    (line,) = run("predict", trained, GOOD, "--task", "topic", "--json").stdout.splitlines()
    answer = json.loads(line)
    assert answer["input"] == GOOD
    assert answer["answers"].keys() == {"topic"}
    assert answer["answers"]["topic"]["label"] in {"book", "film"}


@pytest.mark.parametrize("size", [1, 32])  # 1: a batch of nothing but an empty line
def test_all_tasks_answer_the_lines_of_standard_input(trained, size):
    shown = run("predict", trained, "--json", "--batch-size", size, given=f"{GOOD}\n\n{BAD}\n")
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [line["input"] for line in lines] == [GOOD, "", BAD]
    empty = lines.pop(1)
    assert empty == {"input": "", "error": "empty line"}
    assert [list(line["answers"]) for line in lines] == [["topic", "parts", "length"]] * 2
    assert [part["word"] for part in lines[0]["answers"]["parts"]] == GOOD.split()


def test_answers_to_the_lines_of_a_file_can_be_read(trained, tmp_path):
    (tmp_path / "inputs.jsonl").write_text('["Ada", "Byron"]\n\n"a film"\n', encoding="utf-8")
    shown = run("predict", trained, "--file", tmp_path / "inputs.jsonl")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith("Ada Byron\n  topic ")
    assert "\n(empty line)\n\na film\n  topic " in shown.stdout


def test_standard_input_is_json_if_every_line_of_it_starts_as_an_object(trained):
    asked = ["predict", trained, "--task", "topic", "--json"]
    shown = run(*asked, given=f"\n{json.dumps({'text': GOOD})}\n{json.dumps({'text': BAD})}\n")
    assert shown.exit_code == 0, shown.stderr
    inputs = [json.loads(line)["input"] for line in shown.stdout.splitlines()]
    assert inputs == ["", {"text": GOOD}, {"text": BAD}]
    shown = run(*asked, given="{a brace\na film\n")
    inputs = [json.loads(line)["input"] for line in shown.stdout.splitlines()]
    assert inputs == ["{a brace", "a film"]
    wrong = run(*asked, given='{"text": "a"}\n\n{a brace\n')
    assert "standard input, line 3: not valid JSON" in plain(wrong.stderr)


def test_a_task_that_the_model_has_not_is_refused_with_the_nearest(trained):
    wrong = run("predict", trained, GOOD, "--task", "topc")
    assert wrong.exit_code == 2
    assert "Unknown task 'topc'. Did you mean 'topic'?" in plain(wrong.stderr)


def test_the_card_of_a_run_is_written_for_publishing(trained, tmp_path):
    shown = run("card", trained, "--output", tmp_path / "card", "--name", "three-in-one")
    assert shown.exit_code == 0, shown.stderr
    assert "# three-in-one" in (tmp_path / "card" / "README.md").read_text("utf-8")
    results = tmp_path / "card" / "results.json"
    assert results.exists()
    again = run("card", trained, "--output", tmp_path / "card", "--json")
    assert json.loads(again.stdout)["results"] == str(results)


def test_a_folder_with_a_run_is_not_trained_into_by_chance(trained, recipe):
    again = run("train", recipe)
    assert again.exit_code == 2
    assert plain(
        f"training.output_dir: `output_dir` must not hold another run, but '{trained}' has one. "
        f"Go on with that run (--resume), replace it (--overwrite), or choose another folder."
    ) in plain(again.stderr)


def test_a_dry_run_prints_the_plan_and_writes_nothing(recipe, tmp_path):
    shown = run("train", recipe, "--dry-run")
    assert shown.exit_code == 0, shown.stderr
    assert "6 = 2 epochs of 3" in shown.stdout  # 12 rows in batches of 4
    assert "The recipe and its data are right. No weight was loaded." in shown.stdout
    rows = "topic text-classification topic 2 1", "names 10 10 4 3 5"
    for words in (*rows, "Parameters", "Estimated memory", "= parameters", "+ activations"):
        assert words in plain(shown.stdout)
    assert not (tmp_path / "run").exists()
    plan = json.loads(run("train", recipe, "--dry-run", "--json").stdout)
    assert plan["steps"] == 6
    assert {source["name"]: source["train_rows"] for source in plan["sources"]} == {
        "topic": 12,
        "names": 10,
    }


def test_the_plan_says_how_many_rows_a_step_has_and_on_how_many_ranks(recipe):
    shown = run("train", recipe, "--dry-run")
    # 12 and 10 rows, 3 steps of up to 4 of each; names start again for their third draw
    assert "Rows a step" in shown.stdout
    assert " on one process" in shown.stdout
    plan = json.loads(run("train", recipe, "--dry-run", "--json").stdout)
    assert (plan["ranks"], plan["strategy"]) == (1, "one process")


def test_memory_that_will_not_do_is_said_before_training(recipe, monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    shown = run("train", recipe, "--dry-run")
    assert shown.exit_code == 0, shown.stderr
    assert "Warning: Training will most likely run out of memory" in plain(shown.stdout)


def test_a_run_is_resumed_or_replaced_when_asked(recipe, tmp_path):
    saving = ["training.save_strategy=epoch", "--json"]
    first = run("train", recipe, *saving)
    assert first.exit_code == 0, first.stderr
    resumed = run("train", recipe, *saving, "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    assert json.loads(resumed.stdout) == json.loads(first.stdout)
    checkpoint = tmp_path / "run" / "checkpoint-3"
    from_first = run("train", recipe, *saving, "--resume-from", checkpoint)
    assert json.loads(from_first.stdout) == json.loads(first.stdout)
    replaced = run("train", recipe, "--overwrite", "--json")
    assert replaced.exit_code == 0, replaced.stderr
    assert not checkpoint.exists()


def test_a_run_without_a_checkpoint_is_not_resumed(recipe, tmp_path):
    (tmp_path / "news.csv").unlink()  # said before data are loaded
    wrong = run("train", recipe, "--resume")
    assert wrong.exit_code == 2
    assert plain(
        f"There is no checkpoint in '{tmp_path / 'run'}' to go on from. Leave --resume out to "
        f"start."
    ) in plain(wrong.stderr)


def test_a_wrong_recipe_is_one_report_of_text_and_data_and_exit_code_2(recipe):
    wrong = run(
        "train",
        recipe,
        "tasks.topic.columns.text=bodi",
        "tasks.length.columns.label=words",
        "training.learning_rate=fast",
        "mixture.sampler=uniform",
    )
    assert wrong.exit_code == 2
    assert wrong.stdout == ""
    assert "Traceback" not in wrong.stderr
    headline, *problems = wrong.stderr.splitlines()[-6:]
    assert headline == f"Error: {recipe} has 5 problems:"
    assert problems[0].startswith("  training.learning_rate: `learning_rate` must be a number")
    assert problems[1].startswith("  mixture.sampler: `sampler` must be left out")
    assert "Did you mean 'body'?" in problems[2]
    assert problems[2].startswith("  tasks.topic.data")
    assert problems[3].startswith("  sources.names, split 'train': The label of task 'length' must")
    assert problems[4].startswith("  sources.names, split 'validation': The label of task 'length'")


def test_an_error_shows_its_traceback_with_debug_only(recipe):
    wrong = run("train", recipe, "training.learning_rate=fast", "--debug")
    assert type(wrong.exception).__name__ == "RecipeError"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "nowhere", "a", "--file", "b"], "Inputs must be texts or come from `--file`"),
        (
            ["predict", "nowhere", "--file", "b.txt"],
            "`--file` must be a file, but there is none called 'b.txt'.",
        ),
        (["predict", "nowhere", "--file", "."], "`--file` must be a file, but '.' is a folder."),
        (["predict", "nowhere", "a"], f"{NO_MODEL} 'nowhere'."),
        (["predict", "./no/where", "a"], f"{NO_MODEL} './no/where'."),
        (["predict", "no/where", "a"], f"{NO_MODEL} 'no/where', and it is no name on the Hub"),
        (["evaluate", "nowhere", "a.yaml"], f"{NO_MODEL} 'nowhere'."),
        (["train", "a.yaml", "--resume-from", "b"], "There is no checkpoint 'b' to go on from."),
        (["predict", "nowhere"], "There must be at least one input, but got only empty lines."),
        (["train", "nowhere.yaml"], "nowhere.yaml has 1 problem: The recipe cannot be read"),
        (["train", "a.yaml", "--resume", "--overwrite"], "Either --overwrite or --resume"),
        (["card", "nowhere", "--output", "b"], "must hold the results.json of a run"),
    ],
)
def test_wrong_input_is_one_readable_block_and_exit_code_2(arguments, words):
    wrong = run(*arguments, given="\n")
    assert wrong.exit_code == 2
    assert words in plain(wrong.stderr)
    assert "Traceback" not in wrong.stderr


def test_the_version_is_shown():
    assert run("--version").stdout.strip() == hf_mtl.__version__


COMMANDS = [
    "baselines",
    "card",
    "diagnose",
    "evaluate",
    "export",
    "inspect",
    "launch",
    "predict",
    "prepare",
]


@pytest.mark.parametrize("command", [*COMMANDS, "tasks", "train"])
def test_every_command_explains_itself_and_writes_json(command):
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert "--debug" in shown.stdout
    assert "--json" in shown.stdout or command == "launch"  # that hands on what it launches


def test_the_shell_can_complete_commands():
    assert "--install-completion" in run("--help").stdout


def test_a_diagnosis_compares_gradients_and_keeps_no_model(recipe, tmp_path):
    folder = tmp_path / "report"
    result = run("diagnose", recipe, "--steps", 3, "--output", folder)
    assert result.exit_code == 0, result.output
    assert "Whatever you try, compare it with equal weights" in plain(result.output)
    assert f"The report is {folder}" in result.output.replace("\n", "")
    text = (folder / "report.md").read_text("utf-8")
    assert "gradient method mean; 3 steps compared gradients" in text
    again = run("diagnose", recipe, "--steps", 3, "--output", folder, "--overwrite", "--json")
    assert json.loads(again.stdout)["advice"]
    assert {path.name for path in folder.iterdir()} == {
        "report.md",
        "cosines.png",
        "norms.png",
        "shares.png",
    }
    assert not (tmp_path / "out").exists()


def test_a_diagnosis_of_one_step_is_refused(recipe):
    result = run("diagnose", recipe, "--steps", 1)
    assert result.exit_code == 2
    assert "greater than or equal to 2" in plain(result.output)
