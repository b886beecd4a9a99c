# SPDX-License-Identifier: Apache-2.0
"""The folder of a diagnosis: nothing but an earlier diagnosis is replaced, and that on request."""

import pytest

from hf_mtl.training.diagnosis.folder import check_folder, clear_folder
from hf_mtl.training.diagnosis.report import TITLE


def an_earlier_diagnosis(folder):
    (folder / "report.md").write_text(f"{TITLE}\n\nRecipe", encoding="utf-8")
    (folder / "cosines.png").write_bytes(b"")


@pytest.mark.parametrize("is_overwriting", [False, True])
def test_a_folder_with_other_files_is_refused(tmp_path, is_overwriting):
    an_earlier_diagnosis(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"must hold nothing but a diagnosis.*'model.safetensors'"):
        check_folder(tmp_path, is_overwriting=is_overwriting)


def test_a_report_of_something_else_is_refused(tmp_path):
    (tmp_path / "report.md").write_text("# Sales\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"must hold nothing but a diagnosis.*'report.md'"):
        check_folder(tmp_path, is_overwriting=True)


def test_an_earlier_diagnosis_is_replaced_on_request_only(tmp_path):
    an_earlier_diagnosis(tmp_path)
    with pytest.raises(ValueError, match=r"must hold no other diagnosis.*--overwrite"):
        check_folder(tmp_path, is_overwriting=False)
    check_folder(tmp_path, is_overwriting=True)
    assert (tmp_path / "cosines.png").exists()
    clear_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "diagnosis").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"must be a folder, but .* is a file"):
        check_folder(tmp_path / "diagnosis", is_overwriting=True)


def test_a_folder_that_is_empty_or_not_there_will_do(tmp_path):
    check_folder(tmp_path, is_overwriting=False)
    check_folder(tmp_path / "new" / "one", is_overwriting=False)
