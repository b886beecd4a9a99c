# SPDX-License-Identifier: Apache-2.0
"""`hf-mtl launch` with two CPU processes, from a recipe to a model, and when it is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from launched_runs import launched_environment, trained_as_launched
from ranks import run_ranks
from typer.testing import CliRunner

from hf_mtl._yaml import dump_yaml
from hf_mtl.cli.app import app
from hf_mtl.training.strategies.data_parallel import DataParallel
from hf_mtl.training.strategies.sharded import FullySharded
from hf_mtl.training.strategies.zero import Zero

pytestmark = pytest.mark.distributed

TWO = ["-m", "hf_mtl.cli.app", "launch", "--config", "ddp", "--num-processes", "2"]
ENDLESS = ["training.max_steps=1000000", "training.logging_steps=20"]


@pytest.fixture
def recipe(tmp_path: Path, tiny_tokenizer: Any, tiny_bert_config: Any) -> Path:
    """Recipe of two tasks on sources of 12 and 7 rows, beside its encoder and its data."""
    from transformers import BertModel

    BertModel(tiny_bert_config).save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    topics = [{"text": f"a good film {row}", "label": "film"} for row in range(8)]
    topics += [{"text": f"not a good book {row}", "label": "book"} for row in range(8)]
    values = [{"text": "very good" if row % 2 else "bad", "label": row / 4} for row in range(10)]
    for name, rows in (("topics", topics), ("values", values)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")

    def task(kind: str, name: str) -> dict[str, Any]:
        split = {"test_size": 0.25, "seed": 0}
        return {
            "type": kind,
            "data": {"path": "json", "data_files": f"{name}.jsonl", "split": split},
        }

    content = {
        "model": {"backbone": "encoder"},
        "tasks": {
            "topic": task("text-classification", "topics"),
            "value": task("regression", "values"),
        },
        "mixture": {"tasks_per_step": "all"},
        "training": {
            "output_dir": str(tmp_path / "run"),
            "num_train_epochs": 2,
            "per_device_train_batch_size": 2,
            "save_strategy": "no",
            "logging_steps": 1,
            "disable_tqdm": True,
            "seed": 1,
        },
    }
    (tmp_path / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
    return tmp_path / "recipe.yaml"


def start(recipe: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The command, as a process of its own."""
    return subprocess.Popen(
        [sys.executable, *TWO, str(recipe), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(recipe: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    process = start(recipe, *arguments)
    output, errors = process.communicate(timeout=180)
    return process.returncode, output, errors


def training(recipe: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The command, when it has made some steps."""
    process = start(recipe, *arguments, *ENDLESS)
    assert process.stdout is not None
    for line in process.stdout:
        if "loss/topic" in line:
            return process
    raise AssertionError(process.communicate()[1])


def test_two_processes_train_one_model_and_the_first_speaks_for_both(recipe):
    code, output, errors = finished(recipe, "--json")
    assert code == 0, errors
    results = json.loads(output)["results"]  # one JSON document, not two
    assert [(row["task"], row["metric"], row["num_rows"]) for row in results] == [
        ("topic", "accuracy", 4),
        ("topic", "f1_macro", 4),
        ("value", "pearson", 3),
        ("value", "rmse", 3),
    ]
    assert errors.count("2 ranks (DDP)") == 1
    assert errors.count("'epoch': '1'}") == 1
    card = (recipe.parent / "run" / "README.md").read_text("utf-8")
    assert f"hf-mtl launch --config ddp --num-processes 2 {recipe}" in card
    measured = CliRunner().invoke(
        app, ["evaluate", str(recipe.parent / "run"), str(recipe), "--json"]
    )
    assert json.loads(measured.stdout)["results"] == [
        {**row, "value": pytest.approx(row["value"], abs=1e-5)} for row in results
    ]


@pytest.mark.slow
def test_a_wrong_recipe_is_said_once_and_has_the_exit_code_of_train(recipe):
    code, output, errors = finished(recipe, "tasks.topic.type=text-clasification")
    assert code == 2
    assert errors.count("Did you mean 'text-classification'?") == 1
    assert "Traceback" not in output + errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "dpp", "a.yaml"], "Unknown launch configuration 'dpp'. Did you mean 'ddp'?"),
        (["a.yaml", "--num-processes", "2"], "No such option: --num-processes."),
        (["a.yaml", "--num-processes", "2"], "`hf-mtl launch` stand before the recipe."),
        (["--num-machines", "2", "a.yaml"], "`--main-process-ip` must be given"),
    ],
)
def test_wrong_arguments_are_one_block_before_any_process_starts(arguments, words):
    wrong = CliRunner().invoke(app, ["launch", *arguments])
    assert wrong.exit_code == 2
    assert words in " ".join(wrong.stderr.split())


@pytest.mark.parametrize("name", ["fsdp2", "zero1", "zero2", "zero3"])
def test_what_accelerate_would_not_run_on_a_cpu_is_refused(name):
    wrong = CliRunner().invoke(app, ["launch", "--config", name, "a.yaml"])
    assert wrong.exit_code == 2
    assert f"without an accelerator, but got '{name}'" in " ".join(wrong.stderr.split())


@pytest.mark.slow
def test_a_run_that_is_told_to_leave_ends_with_its_own_code_and_goes_on(recipe):
    saving = "training.enable_jit_checkpoint=true"
    process = training(recipe, saving)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 75, errors
    run = recipe.parent / "run"
    (checkpoint,) = run.glob("checkpoint-*")
    steps = int(checkpoint.name.removeprefix("checkpoint-"))
    code, _, errors = finished(recipe, f"training.max_steps={steps + 2}", "--resume", saving)
    assert code == 0, errors
    assert json.loads((run / "trainer_state.json").read_text("utf-8"))["global_step"] == steps + 2


@pytest.mark.slow
def test_a_run_that_loses_a_rank_ends_soon_and_says_so(recipe):
    import psutil

    process = training(recipe)
    _, second = psutil.Process(process.pid).children()
    start = time.monotonic()
    second.kill()
    errors = process.communicate(timeout=60)[1]
    assert time.monotonic() - start < 45
    assert process.returncode == 128 + signal.SIGKILL
    assert "A process was ended by signal 9" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "strategy", "is_split"),
    [
        ("ddp", DataParallel, False),
        ("fsdp2", FullySharded, True),
        ("zero1", Zero, False),
        ("zero2", Zero, False),
        ("zero3", Zero, True),
    ],
)
def test_every_configuration_chooses_its_strategy_with_equal_losses(
    tmp_path, name, strategy, is_split
):
    if name.startswith("zero"):
        pytest.importorskip("deepspeed")
    settings = {"max_steps": 3, "tasks_per_step": "all"}
    (alone,) = run_ranks(trained_as_launched, 1, "ddp", str(tmp_path / "alone"), **settings)
    runs = run_ranks(
        trained_as_launched,
        2,
        name,
        str(tmp_path / name),
        env=launched_environment(name),
        per_device_train_batch_size=2,  # of 4 alone
        **settings,
    )
    for run in runs:
        assert run["strategy"] == strategy
        assert bool(run["is_split"]) == is_split
        losses = [line["loss"] for line in run["history"]]
        assert losses == pytest.approx([line["loss"] for line in alone["history"]], rel=1e-5)
