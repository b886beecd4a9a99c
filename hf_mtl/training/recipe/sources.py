# SPDX-License-Identifier: Apache-2.0
"""The sources of a recipe: where rows lie, which split is which, and who learns from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mtl._numbers import check_positive
from hf_mtl.training.recipe.data_files import locate_data
from hf_mtl.training.recipe.problems import Problems
from hf_mtl.training.recipe.sections import mapping_at

__all__ = ["NO_SPLIT", "SourceEntry", "read_sources"]

NO_SPLIT = "none"
"""Value of ``eval_split`` of a source that is not evaluated on."""


@dataclass(frozen=True)
class SourceEntry:
    """Rows of one source, as the recipe names them.

    Attributes:
        path: Dotted path of the entry in the recipe.
        data: What ``hf_mtl.data.load_source`` takes, local files as absolute paths.
        train_split: Split to train on.
        eval_split: Split to report on; ``None``: the first there is of test, validation, dev
            and eval; ``"none"``: this source is not evaluated on.
        num_rows: Rows of a stream to train on, where they are known.
    """

    path: str
    data: Mapping[str, Any]
    train_split: str = "train"
    eval_split: str | None = None
    num_rows: int | None = None

    @property
    def is_streamed(self) -> bool:
        """Whether rows to train on are read while training."""
        return bool(self.data.get("streaming"))


def read_sources(
    section: object, tasks: Mapping[str, Any], folder: Path, problems: Problems
) -> dict[str, SourceEntry | None]:
    """All sources by name: those of the section, and each task's own ``data``.

    A source that is wrong is there as ``None``, so that tasks may name it.

    Args:
        section: The section ``sources``.
        tasks: The section ``tasks``.
        folder: Folder of the recipe, where local files are sought first.
        problems: Where problems are noted.
    """
    shared = mapping_at("sources", section, problems)
    entries = {
        name: _read_entry(f"sources.{name}", data, folder, problems)
        for name, data in shared.items()
    }
    for name, task in tasks.items():
        if not isinstance(task, Mapping) or "data" not in task:
            continue
        if name in shared:
            problems.add(
                f"tasks.{name}.data",
                f"There is a source {name!r} in `sources` as well. Leave one of the two out.",
            )
            continue
        entries[name] = _read_entry(f"tasks.{name}.data", task["data"], folder, problems)
    used = [task.get("source") or name for name, task in tasks.items() if isinstance(task, Mapping)]
    for name in shared:
        if name not in used:
            problems.add(
                f"sources.{name}",
                f"No task learns from this source. Give a task `source: {name}`, or take it out.",
            )
    return entries


def _read_entry(path: str, section: object, folder: Path, problems: Problems) -> SourceEntry | None:
    before = len(problems.found)
    data = mapping_at(path, section, problems)
    if isinstance(section, Mapping | None) and not isinstance(data.get("path"), str):
        problems.add(
            f"{path}.path",
            f"`path` must be what `datasets.load_dataset` takes, such as `csv` or a name on the "
            f"Hub, but got {data.get('path')!r}. Add it.",
        )
    splits = {name: data.pop(name) for name in ("train_split", "eval_split") if name in data}
    for name, split in splits.items():
        if not isinstance(split, str):
            problems.add(f"{path}.{name}", f"`{name}` must name a split, but got {split!r}.")
    num_rows = _read_num_rows(path, data, problems)
    located = locate_data(path, data, folder, problems)
    if len(problems.found) > before:
        return None
    return SourceEntry(path, located, **splits, num_rows=num_rows)


def _read_num_rows(path: str, data: dict[str, Any], problems: Problems) -> int | None:
    streaming = data.get("streaming", False)
    if not isinstance(streaming, bool):
        problems.add(
            f"{path}.streaming", f"`streaming` must be true or false, but got {streaming!r}."
        )
    if "num_rows" not in data:
        return None
    num_rows = data.pop("num_rows")
    with problems.at(f"{path}.num_rows"):
        check_positive("num_rows", num_rows, whole=True)
        if streaming is not True:
            raise ValueError(
                f"`num_rows` must be left out unless `streaming` is true: the rows are counted, "
                f"but got {num_rows}."
            )
    return int(num_rows) if isinstance(num_rows, int) else None
