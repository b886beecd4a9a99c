# SPDX-License-Identifier: Apache-2.0
"""Gradient methods that need whole gradients, in training: engines, checkpoints, refusals."""

from pathlib import Path

import pytest
import torch
from gradient_runs import EXACT, assert_same_parameters, trained
from safetensors.torch import load_file
from slow_cells import some_fast
from toy_runs import history

from hf_mtl.gradients import GRADIENT_METHODS
from hf_mtl.training.checkpoints.tensor_files import GRADIENT_MEMORY_FILE
from hf_mtl.training.engine_choice import shared_parameters
from hf_mtl.training.gradient_plan import make_gradient_plan

NAMES = [
    name for name in GRADIENT_METHODS.names() if GRADIENT_METHODS.get(name).needs_whole_gradients
]
KEEPS_ALL = {"name": "graddrop", "leak": 1.0}
ENGINES = {
    "retained-merged": {"gradient_engine": "retained", "batches": "merged"},
    "grouped-merged": {"gradient_engine": "grouped", "batches": "merged"},
    "grouped-accumulated": {
        "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": 2,
        "gradient_engine": "grouped",
        "batches": "merged",
    },
}
SAVING = {
    "tasks_per_step": 2,
    "batches": "merged",
    "max_steps": 8,
    "dropout": 0.1,
    "logging_steps": 3,
    "save_strategy": "steps",
    "save_steps": 4,
}


def saved(trainer, step=4):
    return Path(trainer.args.output_dir) / f"checkpoint-{step}"


@pytest.mark.parametrize("name", some_fast(NAMES, {"graddrop", "moco"}))
def test_every_engine_has_the_same_gradients(toy_trainer, name):
    """Of a grouped embedding only the rows that occur, while averages of the others go on."""
    settings = {"gradient_method": name, "max_steps": 4}
    expected = trained(toy_trainer, "expected", **settings, gradient_engine="streaming")
    for engine, given in ENGINES.items():
        found = trained(toy_trainer, engine, **settings, **given)
        assert_same_parameters(found, expected)
        for line, wanted in zip(history(found), history(expected), strict=True):
            assert line == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_dropping_nothing_is_plain_training(toy_trainer, toy_suite):
    suite = toy_suite.replace("topic", weight=3.0)
    plain = trained(toy_trainer, "plain", suite=suite)
    found = trained(toy_trainer, "found", suite=suite, gradient_method=KEEPS_ALL)
    assert_same_parameters(found, plain)
    for line, wanted in zip(history(found), history(plain), strict=True):
        assert {key: line[key] for key in wanted} == pytest.approx(wanted, rel=1e-6)


def test_what_is_dropped_is_drawn_by_the_seed_and_by_nothing_else(toy_trainer):
    runs = [
        trained(toy_trainer, f"run{i}", gradient_method="graddrop", seed=seed, data_seed=1)
        for i, seed in enumerate((1, 1, 2))
    ]
    lines = [[line["loss"] for line in history(run)] for run in runs]
    assert lines[0] == lines[1] != lines[2]


def test_weights_of_excess_risks_begin_equal_and_then_differ(toy_trainer):
    method = {"name": "excess_mtl", "learning_rate": 1.0}
    lines = history(trained(toy_trainer, "excess", gradient_method=method))
    weights = [[line[f"weight/{t}"] for t in ("topic", "valence", "parts")] for line in lines]
    assert weights[0] == pytest.approx([1, 1, 1])
    assert weights[1] != pytest.approx([1, 1, 1], rel=1e-2)


def test_the_log_tells_of_no_shares_in_a_direction_that_is_no_mean(toy_trainer):
    trainer = trained(toy_trainer, "moco", gradient_method="moco", max_steps=1)
    mean = trained(toy_trainer, "mean", gradient_method="mean", max_steps=1)
    (line,), (wanted,) = history(trainer), history(mean)
    keys = {key for key in wanted if key.startswith(("gradient_norm/", "cosine/"))}
    assert {key: line[key] for key in keys} == pytest.approx({key: wanted[key] for key in keys})
    assert wanted.keys() - line.keys() == {f"update_share/{task}" for task in mean.suite}


def test_a_step_with_one_task_is_a_plain_one_and_is_not_tracked(toy_trainer):
    settings = {**EXACT, "tasks_per_step": 1, "max_steps": 4}
    trainer = toy_trainer("some", **settings, gradient_method="moco")
    trainer.train()
    with_two = sum("gradient_conflicts" in line for line in history(trainer))
    state = trainer._balance.state_dict()
    steps = dict(zip(state["tasks"], state["state"]["num_steps"], strict=True))
    assert steps == {"topic": 0, "valence": 0, "parts": with_two, "kind": with_two}


@pytest.mark.parametrize("name", some_fast(NAMES, {"moco"}))
def test_a_resumed_run_equals_the_uninterrupted_one(toy_trainer, name):
    whole = toy_trainer("whole", **SAVING, gradient_method=name)
    whole.train()
    resumed = toy_trainer("resumed", **SAVING, gradient_method=name)
    resumed.train(resume_from_checkpoint=str(saved(whole)))
    assert history(resumed, 4) == history(whole, 4)
    expected = whole.model.state_dict()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[key])
    has_memory = bool(GRADIENT_METHODS.get(name).memory)
    assert (saved(whole) / GRADIENT_MEMORY_FILE).is_file() == has_memory


def test_a_checkpoint_without_its_memory_is_refused(toy_trainer):
    trainer = toy_trainer("old", **SAVING, gradient_method="db_mtl")
    trainer.train()
    (saved(trainer) / GRADIENT_MEMORY_FILE).unlink()
    other = toy_trainer("new", **SAVING, gradient_method="db_mtl")
    with pytest.raises(ValueError, match=GRADIENT_MEMORY_FILE):
        other.train(resume_from_checkpoint=str(saved(trainer)))


def test_memory_is_kept_by_task_when_one_goes(toy_trainer, toy_data):
    settings = {**SAVING, "max_steps": 6, "tasks_per_step": "all"}
    trainer = toy_trainer("old", **settings, gradient_method="moco")
    trainer.train()
    before = load_file(saved(trainer) / GRADIENT_MEMORY_FILE)
    model = type(trainer.model).from_pretrained(saved(trainer))
    model.remove_task("valence")
    data = {source: rows for source, rows in toy_data.items() if source != "valence"}
    other = toy_trainer(
        "new",
        **settings,
        gradient_method="moco",
        suite=model.suite,
        data=data,
        ignore_data_skip=True,
    )
    other.args.max_steps = 4
    other.train(resume_from_checkpoint=str(saved(trainer)))
    found, _ = other._balance.memory.tensors()
    assert found.keys() == before.keys()
    for key, value in found.items():
        assert torch.equal(value, before[key][[0, 2, 3]])


def test_memory_counts_in_the_plan(toy_trainer):
    by_name = {}
    for name in ("mean", "graddrop", "moco"):
        trainer = toy_trainer(name, tasks_per_step="all", gradient_method=name)
        by_name[name] = make_gradient_plan(trainer.args, trainer.model, "DDP").extra_bytes
    size = sum(each.numel() for each in shared_parameters(trainer.model).values())
    assert by_name["graddrop"] == by_name["mean"] == 4 * 4 * size
    assert by_name["moco"] == 2 * 4 * 4 * size
    with pytest.raises(ValueError, match=r"must need only inner products .* \(FSDP2, ZeRO\)"):
        make_gradient_plan(trainer.args, trainer.model, "FSDP2")


@pytest.mark.parametrize(
    "given",
    [
        {"gradient_engine": "grouped_twice", "batches": "merged"},
        {"gradient_engine": "representation"},
        {"gradient_scope": 1},
        {"gradient_update_every": 2},
    ],
)
def test_what_shows_only_a_part_of_the_gradients_is_refused(toy_trainer, given):
    match = f"`{next(iter(given))}` must be left out with the gradient method 'moco', which needs"
    with pytest.raises(ValueError, match=match):
        toy_trainer(tasks_per_step="all", gradient_method="moco", **given)


def test_bf16_is_close_to_full_precision(toy_trainer):
    settings = {"tasks_per_step": "all", "max_steps": 3, "gradient_method": "excess_mtl"}
    whole, half = toy_trainer("whole", **settings), toy_trainer("half", **settings, bf16=True)
    for trainer in (whole, half):
        trainer.train()
    for line, wanted in zip(history(half), history(whole), strict=True):
        assert line["loss"] == pytest.approx(wanted["loss"], rel=0.05)
        assert line["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=0.2)
