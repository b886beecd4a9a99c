# SPDX-License-Identifier: Apache-2.0
"""Reads one source: anything that ``datasets.load_dataset`` reads, split where it has no split."""

from collections.abc import Mapping
from typing import Any

from datasets import Dataset, DatasetDict, load_dataset

from hf_mtl._checks import check_known, unknown_name
from hf_mtl.data.splits import split_dataset, subsample

__all__ = ["load_source"]

_SEED = 42
_SPLIT_FIELDS = ("test_size", "seed", "stratify_by", "group_by")


def load_source(data: Mapping[str, Any] | Dataset | DatasetDict) -> DatasetDict:
    """Rows of one source by split.

    Args:
        data: Arguments of ``datasets.load_dataset`` (``path``, ``name``, ``data_files``, ...), of
            which two have more forms here. ``split`` may be a mapping of the arguments of
            ``split_dataset``, which cuts a test split off data that have only one.
            ``max_examples`` keeps at most so many rows of every split, or, as a mapping, of some;
            they are chosen by the split's seed. A ``Dataset`` or ``DatasetDict`` is taken as it
            is.

    Raises:
        KeyError: If a column to split by is none of the data's, or ``max_examples`` names a split
            that is not there.
        TypeError: If ``data`` is of another kind, streams, or ``split`` has an unknown field.
        ValueError: If ``path`` is missing, or data with several splits are to be split.
    """
    if isinstance(data, Dataset | DatasetDict):
        return _by_split(data)
    if not isinstance(data, Mapping):
        raise TypeError(
            f"`data` must be a mapping of arguments of `datasets.load_dataset`, a `Dataset` or a "
            f"`DatasetDict`, but got {data!r}."
        )
    arguments = dict(data)
    if "path" not in arguments:
        raise ValueError(
            f"`data` must have a `path`, such as 'csv' or a data set's name, but got only "
            f"{sorted(arguments)}. It is what `datasets.load_dataset` takes."
        )
    max_examples = arguments.pop("max_examples", None)
    rule = arguments.pop("split") if isinstance(arguments.get("split"), Mapping) else None
    splits = _by_split(load_dataset(**arguments))
    if rule is not None:
        splits = _split(splits, rule)
    if max_examples is None:
        return splits
    return _subsampled(splits, max_examples, seed=(rule or {}).get("seed", _SEED))


def _by_split(loaded: Any) -> DatasetDict:
    if isinstance(loaded, DatasetDict):
        return loaded
    if isinstance(loaded, Dataset):
        return DatasetDict({"train": loaded})
    raise TypeError(
        f"`data` must be read whole, but got {type(loaded).__name__}. Leave `streaming` out."
    )


def _split(splits: DatasetDict, rule: Mapping[str, Any]) -> DatasetDict:
    for name in rule:
        if name not in _SPLIT_FIELDS:
            raise TypeError(unknown_name("field of `split`", str(name), _SPLIT_FIELDS))
    if "test_size" not in rule:
        raise TypeError(f"`split` must have a `test_size`, but got {dict(rule)}.")
    if len(splits) > 1:
        raise ValueError(
            f"`split` must be left out for data that are split already, but got {dict(rule)} "
            f"beside the splits {list(splits)}. Remove it, or read one split by its name."
        )
    (dataset,) = splits.values()
    return split_dataset(dataset, **{"seed": _SEED, **rule})


def _subsampled(
    splits: DatasetDict, max_examples: int | Mapping[str, int], *, seed: int
) -> DatasetDict:
    if not isinstance(max_examples, Mapping):
        max_examples = dict.fromkeys(splits, max_examples)
    for name in max_examples:
        check_known("split in `max_examples`", name, splits)
    return DatasetDict(
        {
            name: subsample(dataset, max_examples[name], seed=seed)
            if name in max_examples
            else dataset
            for name, dataset in splits.items()
        }
    )
