# SPDX-License-Identifier: Apache-2.0
"""Seeded splits and subsamples of data that come without."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

from hf_mtl._numbers import check_positive
from hf_mtl.data.columns import check_column

__all__ = ["split_dataset", "subsample"]


def split_dataset(
    dataset: Dataset,
    *,
    test_size: float | int,
    seed: int = 42,
    stratify_by: str | None = None,
    group_by: str | None = None,
) -> DatasetDict:
    """A split into ``train`` and ``test``, the same for the same seed.

    Args:
        dataset: Rows to split.
        test_size: Size of the test split: a share of the rows between 0 and 1, or a number of
            rows. With ``group_by``, a share or a number of the groups.
        seed: Seed of the choice.
        stratify_by: Column whose values keep their shares in both splits.
        group_by: Column whose values stay together: no value is in both splits. For rows that
            are near copies of each other, or come from one document or person.

    Raises:
        KeyError: If a column is none of the data's.
        TypeError: If ``test_size`` is no number.
        ValueError: If ``test_size`` is out of range, both columns are given, a value to stratify
            by is too rare, or there is only one group.
    """
    if stratify_by is not None and group_by is not None:
        raise ValueError(
            f"Only one of `stratify_by` and `group_by` must be given, but got {stratify_by!r} and "
            f"{group_by!r}. Leave one of them out."
        )
    _check_test_size(test_size, dataset.num_rows if group_by is None else None)
    if stratify_by is not None:
        strata = _column(dataset, "stratify_by", stratify_by)
        _check_strata(stratify_by, strata)
        splitter = StratifiedShuffleSplit(n_splits=1, test_size=test_size, random_state=seed)
        return _selected(dataset, next(splitter.split(strata, _codes(strata))))
    if group_by is not None:
        groups = _codes(_column(dataset, "group_by", group_by))
        _check_groups(group_by, len(np.unique(groups)), test_size)
        splitter = GroupShuffleSplit(n_splits=1, test_size=test_size, random_state=seed)
        return _selected(dataset, next(splitter.split(groups, groups=groups)))
    return dataset.train_test_split(test_size=test_size, seed=seed)


def subsample(dataset: Dataset, max_examples: int, *, seed: int = 42) -> Dataset:
    """At most ``max_examples`` rows, chosen at random and in their order; the same for one seed.

    Args:
        dataset: Rows to choose from.
        max_examples: Most rows to keep.
        seed: Seed of the choice.

    Raises:
        TypeError: If ``max_examples`` is no whole number.
        ValueError: If it is not positive.
    """
    check_positive("max_examples", max_examples, whole=True)
    if max_examples >= dataset.num_rows:
        return dataset
    rows = np.random.default_rng(seed).permutation(dataset.num_rows)[:max_examples]
    return dataset.select(np.sort(rows))


def _selected(dataset: Dataset, rows: tuple[Any, Any]) -> DatasetDict:
    """Rows in their order: samplers shuffle, and neighbours on disk are read fast."""
    train, test = (dataset.select(np.sort(indices)) for indices in rows)
    return DatasetDict({"train": train, "test": test})


def _column(dataset: Dataset, name: str, column: str) -> list[Any]:
    check_column(dataset, column, wanted_as=f"`{name}`")
    values: list[Any] = dataset[column][:]
    return values


def _codes(values: Iterable[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Equal numbers for equal values of any kind, also for ``None``."""
    code_by_value: dict[Any, int] = {}
    return np.array([code_by_value.setdefault(value, len(code_by_value)) for value in values])


def _check_test_size(test_size: Any, num_rows: int | None) -> None:
    if isinstance(test_size, bool) or not isinstance(test_size, int | float):
        raise TypeError(f"`test_size` must be a number, but got {test_size!r}.")
    limit = 1 if isinstance(test_size, float) else num_rows
    if test_size <= 0 or (limit is not None and test_size >= limit):
        rule = "a share between 0 and 1" if limit in (1, None) else f"below the {limit} rows"
        raise ValueError(
            f"`test_size` must be {rule}, or a number of rows that leaves some to train on, but "
            f"got {test_size!r}."
        )


def _check_strata(column: str, values: list[Any]) -> None:
    value, least = min(Counter(values).items(), key=lambda item: item[1])
    if least < 2:
        raise ValueError(
            f"`stratify_by` must be a column in which every value occurs at least twice, but "
            f"{value!r} occurs once in {column!r}. Remove that row, or split without."
        )


def _check_groups(column: str, num_groups: int, test_size: float | int) -> None:
    if num_groups < 2 or (isinstance(test_size, int) and test_size >= num_groups):
        raise ValueError(
            f"`group_by` must be a column with more groups than go to the test split, but "
            f"{column!r} has {num_groups} and `test_size` is {test_size!r}."
        )
