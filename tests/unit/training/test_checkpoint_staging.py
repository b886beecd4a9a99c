# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders that appear and vanish in one moment."""

from pathlib import Path

import pytest

from hf_mtl.training.checkpoints.staging import StagedCheckpoint, recover, remove, rotate


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def checkpoint(folder, step, text=""):
    (folder / f"checkpoint-{step}").mkdir()
    (folder / f"checkpoint-{step}" / "file").write_text(text)


def test_a_checkpoint_is_in_its_place_only_when_it_is_published(tmp_path):
    staged = StagedCheckpoint(tmp_path, 3)
    staged.prepare()
    (staged.folder / "file").write_text("new")
    assert names(tmp_path) == ["_saving-checkpoint-3"]
    staged.publish()
    assert names(tmp_path) == ["checkpoint-3"]
    assert (tmp_path / "checkpoint-3" / "file").read_text() == "new"


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path):
    checkpoint(tmp_path, 3, "old")
    staged = StagedCheckpoint(tmp_path, 3)
    staged.prepare()
    (staged.folder / "file").write_text("new")
    staged.publish()
    assert names(tmp_path) == ["checkpoint-3"]
    assert (tmp_path / "checkpoint-3" / "file").read_text() == "new"


def test_what_was_discarded_leaves_no_trace(tmp_path):
    staged = StagedCheckpoint(tmp_path, 3)
    staged.prepare()
    staged.discard()
    assert names(tmp_path) == []


def test_what_a_killed_run_left_is_removed(tmp_path):
    checkpoint(tmp_path, 2)
    for left_over in ("_saving-checkpoint-4", "_removed-checkpoint-1", "notes"):
        (tmp_path / left_over).mkdir()
    recover(tmp_path)
    assert names(tmp_path) == ["checkpoint-2", "notes"]


def test_a_run_killed_between_the_two_renames_of_a_replacement_keeps_the_old_checkpoint(tmp_path):
    checkpoint(tmp_path, 3, "old")
    (tmp_path / "checkpoint-3").rename(tmp_path / "_replaced-checkpoint-3")
    recover(tmp_path)
    assert (tmp_path / "checkpoint-3" / "file").read_text() == "old"
    assert names(tmp_path) == ["checkpoint-3"]


def test_a_run_killed_after_the_replacement_keeps_the_new_checkpoint(tmp_path):
    checkpoint(tmp_path, 3, "old")
    (tmp_path / "checkpoint-3").rename(tmp_path / "_replaced-checkpoint-3")
    checkpoint(tmp_path, 3, "new")
    recover(tmp_path)
    assert (tmp_path / "checkpoint-3" / "file").read_text() == "new"
    assert names(tmp_path) == ["checkpoint-3"]


def test_removing_takes_the_name_away_first(tmp_path):
    checkpoint(tmp_path, 3)
    remove(tmp_path / "checkpoint-3")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("limit", "last", "best", "left"),
    [
        (None, 9, None, [3, 5, 7, 9]),
        (0, 9, None, [3, 5, 7, 9]),
        (2, 9, None, [7, 9]),
        (1, 9, None, [9]),
        (2, 9, 3, [3, 9]),
        (1, 9, 3, [3, 9]),  # the best stays beyond the limit, as in transformers
        (3, 9, 9, [5, 7, 9]),
        (2, 5, None, [3, 5]),  # resumed at 3: 7 and 9 are from before
        (1, 5, None, [5]),
        (3, 5, None, [3, 5, 9]),
    ],
)
def test_the_earliest_checkpoints_go_first(tmp_path, limit, last, best, left):
    for step in (9, 3, 7, 5):
        checkpoint(tmp_path, step)
    keep = [] if best is None else [tmp_path / f"checkpoint-{best}"]
    rotate(tmp_path, limit, last=last, keep=keep)
    assert names(tmp_path) == sorted(f"checkpoint-{step}" for step in left)


def test_the_best_stays_however_its_path_is_written(tmp_path, monkeypatch):
    for step in (3, 5, 7):
        checkpoint(tmp_path, step)
    monkeypatch.chdir(tmp_path.parent)
    rotate(Path(tmp_path.name), 2, last=7, keep=[tmp_path / "checkpoint-3"])
    assert names(tmp_path) == ["checkpoint-3", "checkpoint-7"]
