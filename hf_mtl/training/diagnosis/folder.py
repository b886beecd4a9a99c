# SPDX-License-Identifier: Apache-2.0
"""The folder of a diagnosis: nothing there but an earlier diagnosis is ever replaced."""

from pathlib import Path

from hf_mtl.training.diagnosis.plots import PICTURE_FILES
from hf_mtl.training.diagnosis.report import TITLE

__all__ = ["REPORT_FILE", "check_folder", "clear_folder"]

REPORT_FILE = "report.md"
_OWN_FILES = frozenset({REPORT_FILE, *PICTURE_FILES})
_MOST_NAMED = 3


def check_folder(folder: Path, *, is_overwriting: bool) -> None:
    """Refuses a folder in which something would be lost.

    Args:
        folder: Where a diagnosis is to be written; it need not exist.
        is_overwriting: Whether the user said that an earlier diagnosis there may go.

    Raises:
        ValueError: If it is a file, has something in it that is no diagnosis, or has a diagnosis
            and nobody said that it may go.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"`output` must be a folder, but {str(folder)!r} is a file. Choose another name."
        )
    names = _names_in(folder)
    if others := [name for name in names if name not in _OWN_FILES or _is_of_another(folder, name)]:
        shown = ", ".join(map(repr, others[:_MOST_NAMED]))
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        raise ValueError(
            f"`output` must hold nothing but a diagnosis, but {str(folder)!r} has {shown}{more}. "
            f"Choose another folder (--output)."
        )
    if names and not is_overwriting:
        raise ValueError(
            f"`output` must hold no other diagnosis, but {str(folder)!r} has one. Replace it "
            f"(--overwrite), or choose another folder (--output)."
        )


def clear_folder(folder: Path) -> None:
    """Removes an earlier diagnosis, of which not every file might be written anew.

    Args:
        folder: A folder that was checked.
    """
    for name in _OWN_FILES:
        (folder / name).unlink(missing_ok=True)


def _names_in(folder: Path) -> list[str]:
    """What the user would see there."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _is_of_another(folder: Path, name: str) -> bool:
    if name != REPORT_FILE:
        return False
    text = (folder / name).read_text(encoding="utf-8", errors="replace")
    return not text.startswith(TITLE)
