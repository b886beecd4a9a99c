# SPDX-License-Identifier: Apache-2.0
"""Any module of the `evaluate` package as a metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import PurePath
from typing import Any, ClassVar, final

from datasets import List, Value

from hf_mtl._optional import require
from hf_mtl.evaluation.metrics.base import METRICS, Metric

__all__ = ["EvaluateModule"]


@METRICS.register("evaluate")
@final
@dataclass(frozen=True)
class EvaluateModule(Metric):
    """A module of the ``evaluate`` package, which is imported (8 seconds) only when this is built.

    Use it for what is not in the registry. The module gets label names where it asks for strings,
    rows of words where it asks for sequences, and else ids or numbers, words joined.

    Args:
        path: Name of a module on the Hub, such as ``"accuracy"``, or a folder with one, which needs
            no Hub. The value is reported under its last part.
        key: Which of the values that the module returns. ``None``: the one called like the module,
            or the only one.
        greater_is_better: Whether a larger value is the better one.
        options: Further arguments of the module's ``compute``, such as ``{"average": "macro"}``.

    Raises:
        ImportError: If ``evaluate`` is not installed.
        ValueError: If there is no such module, or ``key`` is none of its values.
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"class", "score", "token_class"})

    path: str
    key: str | None = None
    greater_is_better: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.reported_name.isidentifier():
            raise ValueError(
                f"`path` of metric 'evaluate' must be the name or the folder of a module, but got "
                f"{self.path!r}."
            )
        # Loaded here, so that a missing module is found before any training.
        _ = self._module

    @property
    def reported_name(self) -> str:
        return PurePath(self.path).stem

    @cached_property
    def _module(self) -> Any:
        evaluate = require("evaluate", extra="evaluate")
        try:
            return evaluate.load(self.path)
        except (FileNotFoundError, ConnectionError) as error:
            raise ValueError(
                f"`path` of metric 'evaluate' must be a module that the `evaluate` package finds, "
                f"but got {self.path!r}: {error} Without a Hub, give a folder that holds it."
            ) from error

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        features = self._module.features
        values = self._module.compute(
            predictions=_in_form_of(features["predictions"], predictions, labels),
            references=_in_form_of(features["references"], references, labels),
            **self.options,
        )
        return float(values[self._key_among(values)])

    def _key_among(self, values: Mapping[str, Any]) -> str:
        wanted = self.key if self.key is not None else self.reported_name
        if wanted in values:
            return wanted
        if self.key is None and len(values) == 1:
            return next(iter(values))
        raise ValueError(
            f"`key` of metric 'evaluate' must be one of {sorted(values)}, which "
            f"{self.path!r} returns, but got {self.key!r}."
        )


def _in_form_of(feature: Any, values: Sequence[Any], labels: Sequence[str] | None) -> list[Any]:
    """Values in the form that a module declares: rows of words or all joined, names or ids."""
    if isinstance(feature, List):
        return [_in_form_of(feature.feature, row, labels) for row in values]
    flat = list(chain.from_iterable(values)) if _are_rows(values) else list(values)
    is_text = isinstance(feature, Value) and feature.dtype in ("string", "large_string")
    return [labels[index] for index in flat] if is_text and labels is not None else flat


def _are_rows(values: Sequence[Any]) -> bool:
    return bool(values) and isinstance(values[0], Sequence)
