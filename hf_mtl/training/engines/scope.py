# SPDX-License-Identifier: Apache-2.0
"""Of which shared parameters the gradients of tasks are compared."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hf_mtl.models.parameters import layer_of

__all__ = ["Scope"]


@dataclass(frozen=True)
class Scope:
    """The shared parameters whose gradients are compared; the weights hold for all of them.

    Args:
        entry: ``None``: all. A whole number ``k``: those of the last ``k`` layers; of several
            stacks of layers the decoder's, or else the deepest, or else the last. A text: those in
            whose names this regular expression is found, such as ``"lora_"``.

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
        _, layers = _stack(names)
        return [name for layer in sorted(layers)[-self.entry :] for name in layers[layer]]

    def described(self, parameters: Iterable[str]) -> str | None:
        """What is compared, in words; ``None``: all.

        Args:
            parameters: Names of the shared parameters that are trained.
        """
        if self.entry is None:
            return None
        if isinstance(self.entry, str):
            return f"parameters with {self.entry!r} in their names"
        stack, layers = _stack(list(parameters))
        return f"the last {self.entry} of {len(layers)} layers of {stack}"

    def check(self, parameters: Iterable[str]) -> None:
        """Raises ``ValueError`` if no parameter is compared, or there are not as many layers.

        Args:
            parameters: Names of the shared parameters that are trained.
        """
        names = list(parameters)
        stack, layers = _stack(names)
        if isinstance(self.entry, int) and 0 < len(layers) < self.entry:
            raise ValueError(
                f"`gradient_scope` must be at most {len(layers)}, the layers of `{stack}` that are "
                f"trained, but got {self.entry}. Leave it out to compare all gradients."
            )
        if not self.names(names):
            raise ValueError(
                f"`gradient_scope` must take in a shared parameter that is trained, but "
                f"{self.entry!r} takes in none of {len(names)}, such as {names[:3]}."
            )


def _stack(names: list[str]) -> tuple[str, dict[int, list[str]]]:
    """Name of the stack whose layers are counted, and its parameters by layer.

    It is to be the one that a forward ends with: a decoder, or else the deepest one. Of several,
    models have the last in their forward as the last of their parameters, too.
    """
    by_stack: dict[str, dict[int, list[str]]] = {}
    for name in names:
        if place := layer_of(name):
            stack, layer = place
            by_stack.setdefault(stack, {}).setdefault(layer, []).append(name)
    return max(
        reversed(by_stack.items()),
        key=lambda stack: ("decoder" in stack[0], len(stack[1])),
        default=("", {}),
    )
