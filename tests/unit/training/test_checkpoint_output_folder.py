# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: no other run there is overwritten by chance."""

import pytest

from hf_mtl.training.checkpoints import check_output_folder


def test_an_empty_or_new_folder_may_be_trained_into(tmp_path):
    check_output_folder(tmp_path, is_overwriting=False)
    check_output_folder(tmp_path / "new", is_overwriting=False)


@pytest.mark.parametrize("other_run", ["checkpoint-10", "model.safetensors"])
def test_a_folder_with_another_run_is_refused(tmp_path, other_run):
    (tmp_path / other_run).mkdir()
    message = r"`output_dir` must not hold another run.*`resume_from_checkpoint=True`.*overwrite"
    with pytest.raises(ValueError, match=message):
        check_output_folder(tmp_path, is_overwriting=False)


def test_overwriting_removes_checkpoints_and_nothing_else(tmp_path):
    for name in ("checkpoint-10", "checkpoint-notes", "logs"):
        (tmp_path / name).mkdir()
    check_output_folder(tmp_path, is_overwriting=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-notes", "logs"]
