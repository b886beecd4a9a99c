# SPDX-License-Identifier: Apache-2.0
"""What a run gave, kept in a small file until somebody asks for the same run again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hf_mtl._files import write_whole
from hf_mtl._numbers import finite_or_none
from hf_mtl.evaluation import ResultRow

__all__ = ["KeptRun", "check_cache", "finite_rows"]


@dataclass(frozen=True)
class KeptRun:
    """Metrics of one run. Plain values only.

    Args:
        task: The task that was trained alone; ``None``: all of them together.
        seed: Its seed.
        steps: Optimizer steps that it took.
        seconds: How long it trained.
        results: One row a metric of a task, as in ``results.json`` of a run.
        versions: Versions of libraries.
    """

    task: str | None
    seed: int
    steps: int
    seconds: float
    results: Sequence[Mapping[str, Any]]
    versions: Mapping[str, str]

    def first_scores(self) -> dict[str, float | None]:
        """Value of the first metric of each task."""
        # Of several values with one key the last one stays, so the rows go backwards.
        return {row["task"]: row["value"] for row in reversed(self.results)}

    def constant_scores(self) -> dict[str, float | None]:
        """That of the constant answer."""
        return {row["task"]: row["baseline"] for row in reversed(self.results)}

    def save(self, path: Path) -> None:
        """Writes the file, whole or not at all.

        Args:
            path: The file.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=2, allow_nan=False)
        write_whole(path, f"{text}\n")

    @classmethod
    def load(cls, path: Path) -> "KeptRun":
        """Inverse of ``save``.

        Args:
            path: The file.

        Raises:
            ValueError: If it holds something else.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            content = None
        if not isinstance(content, dict) or content.keys() != {item.name for item in fields(cls)}:
            raise ValueError(
                f"{str(path)!r} must be what `hf-mtl baselines` has written, but is not. Remove "
                f"it, and the run is made again."
            )
        return cls(**content)


def check_cache(folder: Path) -> None:
    """Raises ``ValueError`` if something else is where finished runs are to be kept.

    Args:
        folder: The folder; it need not exist.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"`cache` must be a folder, but {str(folder)!r} is a file. Choose another name "
            f"(--cache)."
        )


def finite_rows(rows: Iterable[ResultRow]) -> list[dict[str, Any]]:
    """Rows as plain values; a number that is not finite is ``None``, as it is not defined.

    Args:
        rows: Rows of the table of results.
    """
    return [{name: finite_or_none(value) for name, value in asdict(row).items()} for row in rows]
