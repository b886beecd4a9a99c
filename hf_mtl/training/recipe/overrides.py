# SPDX-License-Identifier: Apache-2.0
"""Changes to a recipe from the command line: ``training.learning_rate=3e-5``."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from hf_mtl._checks import check_known
from hf_mtl._yaml import load_yaml
from hf_mtl.training.recipe.problems import Problems
from hf_mtl.training.recipe.sections import SECTIONS

__all__ = ["apply_overrides"]

_NAMED = {"tasks": "task", "sources": "source"}


def apply_overrides(
    content: Mapping[str, Any], overrides: Iterable[str], problems: Problems
) -> dict[str, Any]:
    """Recipe in which every override has taken effect; the given one stays as it is.

    A field that is not in the file is added, for the checks of its section to judge. A task or
    a source that is not in the file is refused, because a misspelt name would make a new one.

    Args:
        content: The mapping that the file holds.
        overrides: Each ``dotted.path=value``, the value in YAML.
        problems: Where malformed overrides and unknown paths are noted.
    """
    changed = deepcopy(dict(content))
    for override in overrides:
        path, equals, text = override.partition("=")
        path = path.strip()
        if not equals or not all(path.split(".")):
            problems.add(
                f"override {override!r}",
                "An override must be `dotted.path=value`, such as `training.learning_rate=3e-5`.",
            )
            continue
        with problems.at(path):
            _set(changed, path, load_yaml(text, origin=f"override {override!r}"))
    return changed


def _set(content: dict[str, Any], path: str, value: object) -> None:
    """Puts a value at a dotted path.

    Raises:
        KeyError: If the path leads to no section, task or source of the recipe.
        ValueError: If the path goes through something that is no mapping.
    """
    *parents, last = path.split(".")
    _check_path([*parents, last], content)
    place = content
    for depth, name in enumerate(parents):
        if place.get(name) is None:
            place[name] = {}
        place = place[name]
        if not isinstance(place, dict):
            outer = ".".join(parents[: depth + 1])
            raise ValueError(
                f"`{outer}` must be a mapping to be changed in part, but is {place!r}. "
                f"Override the whole of `{outer}`."
            )
    place[last] = value


def _check_path(names: list[str], content: Mapping[str, Any]) -> None:
    check_known("section", names[0], SECTIONS)
    noun = _NAMED.get(names[0])
    if noun and len(names) > 1:
        check_known(noun, names[1], content.get(names[0]) or ())
