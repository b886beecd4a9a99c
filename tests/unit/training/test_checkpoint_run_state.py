# SPDX-License-Identifier: Apache-2.0
"""The state of a run in a checkpoint: its format, and older and newer ones."""

import json

import pytest

from hf_mtl.training.checkpoints import RUN_STATE_FILE, RunState

STATE = RunState(
    mixture={"seed": 3, "sources": {"a": [4, 2]}},
    step=7,
    tasks=["a"],
    parameter_names=[["backbone.weight"], ["heads.a.bias"]],
    world_size=2,
    strategy="fsdp",
    files={"optimizer.bin": 12},
    parts={"streams": {"a": {"0": 5}}},
)


def test_what_is_written_is_read(tmp_path):
    STATE.write(tmp_path)
    assert RunState.read(tmp_path) == STATE


def test_the_file_names_its_format_and_each_part(tmp_path):
    STATE.write(tmp_path)
    saved = json.loads((tmp_path / RUN_STATE_FILE).read_text())
    assert saved["format"] == 1
    assert saved["streams"] == {"a": {"0": 5}}
    assert saved["mixture"] == {"seed": 3, "sources": {"a": [4, 2]}}


def test_a_part_may_not_take_a_name_of_the_format(tmp_path):
    with pytest.raises(ValueError, match=r"names of its own, but \['mixture'\] are taken. Rename"):
        RunState(mixture={}, parts={"mixture": 1}).write(tmp_path)


def test_the_format_before_the_first_is_migrated(tmp_path):
    mixture = {"seed": 3, "tasks_per_step": 1, "sampler": None, "sources": {"a": [4, 2]}}
    (tmp_path / "mixture.json").write_text(json.dumps(mixture))
    (tmp_path / "config.json").write_text(json.dumps({"tasks": [{"name": "a"}, {"name": "b"}]}))
    assert RunState.read(tmp_path) == RunState(
        mixture={**mixture, "streams": [], "stream_shuffle_rows": None},
        tasks=["a", "b"],
        parameter_names=None,
        world_size=1,
    )


def test_a_newer_format_is_refused_with_the_way_out(tmp_path):
    (tmp_path / RUN_STATE_FILE).write_text('{"format": 2, "mixture": {}}')
    message = r"must be of format 1 or older, but it is of format 2.*upgrade hf_mtl to resume"
    with pytest.raises(ValueError, match=message):
        RunState.read(tmp_path)


def test_a_file_cut_off_is_named(tmp_path):
    (tmp_path / RUN_STATE_FILE).write_text('{"format": 1, "mix')
    with pytest.raises(ValueError, match=r"multitask_state.json' must be whole, but it cannot"):
        RunState.read(tmp_path)
