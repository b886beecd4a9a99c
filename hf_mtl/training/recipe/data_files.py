# SPDX-License-Identifier: Apache-2.0
"""Local files and folders that a recipe names.

A relative path is sought from the folder of the recipe, then from the folder that the command is
started in.
"""

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_mtl._checks import nearest
from hf_mtl.training.recipe.problems import Problems

__all__ = ["locate_backbone", "locate_data", "missing_backbone"]


def locate_data(
    path: str, data: Mapping[str, Any], folder: Path, problems: Problems
) -> dict[str, Any]:
    """Arguments of ``datasets.load_dataset`` with every local file as an absolute path.

    ``path`` and ``data_dir`` are local where such a folder or file exists. ``data_files`` are
    local unless ``path`` is a data set on the Hub (``owner/name``), whose own files they then are.

    Args:
        path: Dotted path of the mapping in the recipe.
        data: The mapping, as the recipe has it.
        folder: Folder of the recipe.
        problems: Where missing files are noted.
    """
    located = dict(data)
    places: tuple[Path, ...] = (folder, Path.cwd())
    for name in ("path", "data_dir"):
        if isinstance(data.get(name), str):
            found = _found(data[name], places)
            located[name] = found or data[name]
            if found is None and data[name].startswith((".", "/", "~")):
                problems.add(f"{path}.{name}", _missing(data[name], places))
    on_hub = "/" in str(data.get("path")) and located.get("path") == data.get("path")
    if data.get("data_files") is not None and not on_hub:
        if isinstance(located.get("data_dir"), str):
            places = (Path(located["data_dir"]),)
        located["data_files"] = _located_files(
            f"{path}.data_files", data["data_files"], places, problems
        )
    return located


def locate_backbone(backbone: str, folder: Path) -> str:
    """Folder of a local backbone as an absolute path; a name on the Hub as it is.

    Args:
        backbone: Folder or name.
        folder: Folder of the recipe.
    """
    return _found(backbone, (folder, Path.cwd())) or backbone


def missing_backbone(backbone: str, folder: Path) -> str:
    """What is said of a backbone that is neither a folder nor a name on the Hub.

    Args:
        backbone: What the recipe has.
        folder: Folder of the recipe.
    """
    given = Path(backbone).expanduser()
    parents = [(place / given).parent for place in (folder, Path.cwd())]
    siblings = [path.name for place in parents for path in place.glob("*/") if path.is_dir()]
    hint = nearest(given.name, siblings)
    return (
        f"There is no folder {backbone!r} beside the recipe or in the current folder, and it is "
        f"no name on the Hub that could be reached."
        + (f" Did you mean {str(Path(backbone).with_name(hint))!r}?" if hint else "")
    )


def _located_files(path: str, files: object, places: tuple[Path, ...], problems: Problems) -> Any:
    if isinstance(files, Mapping):
        return {
            split: _located_files(f"{path}.{split}", entry, places, problems)
            for split, entry in files.items()
        }
    if isinstance(files, list):
        return [_located_files(path, entry, places, problems) for entry in files]
    if not isinstance(files, str):
        problems.add(path, f"`data_files` must be names of files, but got {files!r}.")
        return files
    if "://" in files:
        return files
    found = _found(files, places)
    if found is None:
        problems.add(path, _missing(files, places))
    return found or files


def _found(name: str, places: tuple[Path, ...]) -> str | None:
    """Absolute path of a file, folder or pattern in the first place that has it."""
    for place in places:
        candidate = place / Path(name).expanduser()
        is_match = glob.has_magic(name) and glob.glob(str(candidate), recursive=True)
        if is_match or candidate.exists():
            return str(candidate)
    return None


def _missing(name: str, places: tuple[Path, ...]) -> str:
    where = " or ".join(dict.fromkeys(str(place) for place in places))
    what = "No file matches" if glob.has_magic(name) else "There is no file or folder"
    return f"{what} {name!r} in {where}. Correct the path, or put the data there."
