# SPDX-License-Identifier: Apache-2.0
"""Which split of a source is trained on, and which is evaluated on."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from datasets import Dataset, IterableDataset, load_dataset
from datasets.exceptions import DatasetsError

from hf_mtl._checks import nearest
from hf_mtl.data import load_source
from hf_mtl.training.recipe.file_faults import faults_of_files
from hf_mtl.training.recipe.sources import NO_SPLIT, SourceEntry
from hf_mtl.training.recipe.streaming import check_streamed, in_memory, load_streams

__all__ = ["EVAL_SPLITS", "Splits", "load_splits"]

EVAL_SPLITS = ("test", "validation", "dev", "eval")
"""Splits to evaluate on, the first that a source has, where the recipe does not name one."""

_VALIDATION_SPLITS = EVAL_SPLITS[1:]

_OWN_FIELDS = ("eval_split", "max_examples", "num_rows", "train_split")


@dataclass(frozen=True)
class Splits:
    """Raw rows of one source.

    Attributes:
        train: Rows to train on, perhaps as a stream.
        test: Rows to evaluate on; ``None`` if the recipe says that there are none.
        train_name: Name of the split to train on.
        test_name: Name of the split to evaluate on.
        validation: Rows to evaluate on during training; ``None`` if there are none beside those.
        validation_name: Name of their split.
    """

    train: Dataset | IterableDataset
    test: Dataset | None
    train_name: str
    test_name: str
    validation: Dataset | None = None
    validation_name: str | None = None


def load_splits(entry: SourceEntry) -> Splits:
    """Rows of a source in the splits that the recipe means.

    Args:
        entry: What the recipe says of the source.

    Raises:
        ValueError: If the data cannot be read, or have no such split.
        OSError: If the data are not there.
    """
    splits = _loaded(entry)
    if entry.train_split not in splits:
        raise ValueError(
            f"There is no split {entry.train_split!r} to train on, only {list(splits)}. "
            "Name the one you mean in `train_split`."
        )
    test_name = entry.eval_split or _usual_eval_split(entry, splits)
    if test_name != NO_SPLIT and test_name not in splits:
        raise ValueError(
            f"There is no split {test_name!r} to evaluate on, only {list(splits)}. "
            "Correct `eval_split`."
        )
    validation_name = _validation_split(test_name, entry, splits)
    return Splits(
        train=splits[entry.train_split],
        test=None if test_name == NO_SPLIT else _to_evaluate(entry, splits, test_name),
        train_name=entry.train_split,
        test_name=test_name,
        validation=None
        if validation_name is None
        else _to_evaluate(entry, splits, validation_name),
        validation_name=validation_name,
    )


def _loaded(entry: SourceEntry) -> Mapping[str, Dataset | IterableDataset]:
    """All splits of a source."""
    if entry.is_streamed:
        check_streamed(entry.data, entry.train_split)
    with _in_words(entry):
        return load_streams(entry.data) if entry.is_streamed else load_source(entry.data)


def _to_evaluate(
    entry: SourceEntry, splits: Mapping[str, Dataset | IterableDataset], name: str
) -> Dataset:
    """Rows of a split, read into memory where they are streamed."""
    rows = splits[name]
    if isinstance(rows, Dataset):
        return rows
    with _in_words(entry):
        return in_memory(rows, (entry.data.get("max_examples") or {}).get(name))


@contextmanager
def _in_words(entry: SourceEntry) -> Iterator[None]:
    """Says what is wrong where data cannot be read."""
    try:
        yield
    except DatasetsError as error:
        # What really happened, such as a line of a file that cannot be parsed, is the cause.
        reason = _with_faults_of_files(entry, error.__cause__ or error)
        raise ValueError(f"The data cannot be read: {reason}") from error
    except (ValueError, StopIteration) as error:  # the latter from an empty JSON file
        raise ValueError(_with_faults_of_files(entry, error)) from error
    except TypeError as error:
        # Fields that `load_dataset` does not know go on to the format's own configuration.
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None:
            raise
        hint = nearest(unknown[1], [*inspect.signature(load_dataset).parameters, *_OWN_FIELDS])
        raise TypeError(
            f"Unknown field {unknown[1]!r} for data of format {entry.data['path']!r}."
            + (f" Did you mean {hint!r}?" if hint else "")
        ) from error


def _with_faults_of_files(entry: SourceEntry, error: BaseException) -> str:
    """The words of an error, behind what is plainly wrong with the files."""
    faults = faults_of_files(entry.data)
    reason = str(error) or type(error).__name__
    return f"{'; '.join(faults)}. ({reason})" if faults else reason


def _validation_split(test_name: str, entry: SourceEntry, splits: Iterable[str]) -> str | None:
    """Split beside the one that is reported, which then does not choose the checkpoint."""
    if test_name in (NO_SPLIT, *_VALIDATION_SPLITS):
        return None
    usable = (name for name in _VALIDATION_SPLITS if name in splits and name != entry.train_split)
    return next(usable, None)


def _usual_eval_split(entry: SourceEntry, splits: Iterable[str]) -> str:
    for name in EVAL_SPLITS:
        if name in splits and name != entry.train_split:
            return name
    raise ValueError(
        f"There is no split to evaluate on, only {list(splits)}. Cut one off with "
        f"`split: {{test_size: 0.1, seed: 0}}`, name one in `eval_split`, or write "
        f"`eval_split: {NO_SPLIT}` to do without."
    )
