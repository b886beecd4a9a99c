# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint folder holds under each strategy, and which one a run can go on from."""

import pytest
import torch
from safetensors.torch import save_file

from hf_mtl.training.checkpoints import RunState
from hf_mtl.training.checkpoints.contents import file_sizes, missing_parts, newest_whole

LAYOUTS = {
    "one process": ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"],
    "DDP": ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state_0.pth"],
    "FSDP": [
        "model.safetensors",
        "pytorch_model_fsdp.bin",
        "optimizer.bin",
        "scheduler.pt",
        "rng_state_0.pth",
    ],
    "DeepSpeed": [
        "model.safetensors",
        "latest",
        "global_step3/mp_rank_00_model_states.pt",
        "rng_state_0.pth",
    ],
}


@pytest.fixture
def make(tmp_path):
    """Makes a checkpoint of a layout and step."""

    def make_one(layout="one process", step=3):
        folder = tmp_path / f"checkpoint-{step}"
        for name in [*LAYOUTS[layout], "trainer_state.json"]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"text of {name}")
        save_file({"a": torch.zeros(3)}, folder / "model.safetensors")
        RunState(mixture={}, files=file_sizes(folder)).write(folder)
        return folder

    return make_one


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_strategy_leaves_all_that_is_needed(make, layout):
    assert missing_parts(make(layout)) == []


@pytest.mark.parametrize(
    ("removed", "missing"),
    [
        ("model.safetensors", "model.safetensors"),
        ("optimizer.pt", "optimizer.pt"),
        ("scheduler.pt", "scheduler.pt"),
        ("trainer_state.json", "trainer_state.json"),
        ("multitask_state.json", "multitask_state.json"),
    ],
)
def test_what_is_missing_is_named(make, removed, missing):
    folder = make()
    (folder / removed).unlink()
    assert missing_parts(folder) == [missing]


def test_without_random_numbers_it_cannot_go_on_exactly(make):
    folder = make()
    (folder / "rng_state.pth").unlink()
    assert missing_parts(folder) == ["rng_state*.pth", "rng_state.pth"]


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("FSDP", "pytorch_model_fsdp.bin"),
        ("DeepSpeed", "global_step3/mp_rank_00_model_states.pt"),
    ],
)
def test_a_missing_file_that_a_strategy_goes_on_from_is_named(make, layout, name):
    folder = make(layout)
    (folder / name).unlink()
    assert missing_parts(folder) == [name]


def test_a_missing_optimizer_of_fsdp_is_named(make):
    folder = make("FSDP")
    (folder / "optimizer.bin").unlink()
    assert missing_parts(folder) == ["optimizer.pt", "optimizer.bin"]


def test_what_a_resume_does_not_read_may_be_missing(make):
    folder = make()
    (folder / "training_args.bin").write_text("text")
    RunState(mixture={}, files=file_sizes(folder)).write(folder)
    (folder / "training_args.bin").unlink()
    assert missing_parts(folder) == []


def test_a_file_cut_off_is_named(make):
    folder = make()
    (folder / "optimizer.pt").write_text("text")
    assert missing_parts(folder) == ["optimizer.pt (cut off)"]


def test_what_a_gradient_method_remembers_must_be_there_and_whole(make):
    folder = make()
    file = folder / "gradient_memory.safetensors"
    save_file({"average/a": torch.zeros(3)}, file)
    RunState(mixture={}, files=file_sizes(folder)).write(folder)
    assert missing_parts(folder) == []
    file.write_bytes(file.read_bytes()[:-4])
    assert missing_parts(folder) == ["gradient_memory.safetensors (cut off)"]
    file.unlink()
    assert missing_parts(folder) == ["gradient_memory.safetensors"]


def test_the_newest_whole_checkpoint_is_found_and_others_are_named(make, tmp_path, caplog):
    make(step=2)
    whole = make(step=9)
    (make(step=10) / "multitask_state.json").unlink()
    weights = make(step=11) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    (make(step=12) / "optimizer.pt").write_text("")
    assert newest_whole(tmp_path) == whole
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 3
    assert "checkpoint-12': it is not whole, it lacks ['optimizer.pt (cut off)']" in warned[0]
    assert "checkpoint-11/model.safetensors' must be whole" in warned[1]
    assert "checkpoint-10': it is not whole, it lacks ['multitask_state.json']" in warned[2]


def test_without_a_whole_checkpoint_there_is_none(make, tmp_path):
    (make() / "scheduler.pt").unlink()
    assert newest_whole(tmp_path) is None
