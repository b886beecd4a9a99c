# SPDX-License-Identifier: Apache-2.0
"""What an ``IterableDataset`` is made of, which ``datasets`` does not say in public.

The one place that looks behind ``IterableDataset``. What is found here refuses or explains; the
rows themselves are read through the public interface.
"""

from collections.abc import Iterator
from typing import Any

from datasets import IterableDataset
from datasets.iterable_dataset import BufferShuffledExamplesIterable

__all__ = ["files_of", "is_shuffled"]


def is_shuffled(dataset: IterableDataset) -> bool:
    """Whether rows go through a shuffle buffer, which does not come back after a resume."""
    return any(isinstance(part, BufferShuffledExamplesIterable) for part in _parts(dataset))


def files_of(dataset: IterableDataset) -> list[str]:
    """Files that a stream is read from, where it says so."""
    files: dict[str, None] = {}
    for part in _parts(dataset):
        arguments = getattr(part, "kwargs", {})
        for name in ("original_files", "base_files", "files"):
            given = arguments.get(name)
            if isinstance(given, list) and all(isinstance(file, str) for file in given):
                files |= dict.fromkeys(given)
                break
    return list(files)


def _parts(dataset: IterableDataset) -> Iterator[Any]:
    found = [dataset._ex_iterable]
    while found:
        part = found.pop()
        yield part
        if hasattr(part, "ex_iterable"):
            found.append(part.ex_iterable)
        found.extend(getattr(part, "ex_iterables", ()))
