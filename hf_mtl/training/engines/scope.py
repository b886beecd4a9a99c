# SPDX-License-Identifier: Apache-2.0
"""Of which shared parameters the gradients of tasks are compared."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Scope"]

_LAYER = re.compile(r"^(.*?)\.(\d+)\.")


@dataclass(frozen=True)
class Scope:
    """The shared parameters whose gradients are compared; the weights hold for all of them.

    Args:
        entry: ``None``: all. A whole number ``k``: those of the last ``k`` layers. A text: those
            in whose names this regular expression is found, such as ``"lora_"``.

    Raises:
        ValueError: If it is none of these.

    Example:
        >>> names = ["backbone.layer.0.weight", "backbone.layer.1.weight", "backbone.norm.weight"]
        >>> Scope(1).names(names)
        ['backbone.layer.1.weight']
        >>> Scope("norm").names(names)
        ['backbone.norm.weight']
    """

    entry: int | str | None = None

    def __post_init__(self) -> None:
        is_count = isinstance(self.entry, int) and not isinstance(self.entry, bool)
        if is_count and int(self.entry or 0) >= 1:
            return
        if isinstance(self.entry, str):
            try:
                re.compile(self.entry)
            except re.error as error:
                raise ValueError(
                    f"`gradient_scope` must be a regular expression, but got {self.entry!r}: "
                    f"{error}."
                ) from error
        elif self.entry is not None:
            raise ValueError(
                f"`gradient_scope` must be a number of layers from 1, a part of parameter names, "
                f"or left out, but got {self.entry!r}."
            )

    def names(self, parameters: Iterable[str]) -> list[str]:
        """Those of some parameters that are compared.

        Args:
            parameters: Names of the shared parameters that are trained.
        """
        names = list(parameters)
        if self.entry is None:
            return names
        if isinstance(self.entry, str):
            return [name for name in names if re.search(self.entry, name)]
        return _of_last_layers(names, self.entry)

    def check(self, parameters: Iterable[str]) -> None:
        """Raises ``ValueError`` if no parameter is compared.

        Args:
            parameters: Names of the shared parameters that are trained.
        """
        names = list(parameters)
        if not self.names(names):
            raise ValueError(
                f"`gradient_scope` must take in a shared parameter that is trained, but "
                f"{self.entry!r} takes in none of {len(names)}, such as {names[:3]}."
            )


def _of_last_layers(names: list[str], count: int) -> list[str]:
    """Parameters of the last layers of the deepest stack."""
    by_stack: dict[str, dict[int, list[str]]] = {}
    for name in names:
        if found := _LAYER.match(name):
            layers = by_stack.setdefault(found[1], {})
            layers.setdefault(int(found[2]), []).append(name)
    if not by_stack:
        return []
    deepest = max(by_stack.values(), key=len)
    return [name for layer in sorted(deepest)[-count:] for name in deepest[layer]]
