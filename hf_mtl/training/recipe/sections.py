# SPDX-License-Identifier: Apache-2.0
"""What every section of a recipe is checked for: that it is a mapping, and of known fields."""

from collections.abc import Collection, Mapping
from typing import Any

from hf_mtl._checks import nearest, unknown_name
from hf_mtl.training.recipe.problems import Problems

__all__ = ["SECTIONS", "known_fields", "mapping_at", "read_model"]

SECTIONS = ("model", "tasks", "sources", "mixture", "balancing", "training")
"""The sections of a recipe, in the order in which a reader wants them."""

# The section `training` has more fields than anybody wants to read.
_LONGEST_LIST = 20


def mapping_at(path: str, value: object, problems: Problems) -> dict[str, Any]:
    """Mapping that stands at a path; nothing there is an empty one, anything else a problem."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problems.add(path, f"`{path}` must be a mapping, but got {value!r}. Write `name: value`.")
        return {}
    for key in value:
        if not isinstance(key, str):
            problems.add(path, f"Names must be text, but got {key!r}. Put it in quotes.")
    return {key: value[key] for key in value if isinstance(key, str)}


def known_fields(
    path: str, given: Mapping[str, Any], known: Collection[str], problems: Problems
) -> dict[str, Any]:
    """The known fields of a mapping; each other one is a problem with the nearest name."""
    for name in given:
        if name not in known:
            problems.add(f"{path}.{name}" if path else name, _unknown(path, name, known))
    return {name: given[name] for name in given if name in known}


def _unknown(path: str, name: str, known: Collection[str]) -> str:
    kind = "field" if path else "section"
    if len(known) <= _LONGEST_LIST:
        return unknown_name(kind, name, known)
    return f"Unknown {kind} {name!r}. {_hint(name, known)}"


def _hint(name: str, known: Collection[str]) -> str:
    """What a name may stand for among very many: those that end with it, or else the nearest."""
    meant = sorted(each for each in known if each.endswith(f"_{name}"))
    if not meant and (near := nearest(name, known)):
        meant = [near]
    if not meant:
        return "Its fields are the arguments of `MultiTaskTrainingArguments`."
    return f"Did you mean {f'one of {meant}' if len(meant) > 1 else repr(meant[0])}?"


def read_model(section: object, problems: Problems) -> dict[str, Any]:
    """Arguments of ``MultiTaskModel.from_backbone``, among them ``backbone``."""
    model = mapping_at("model", section, problems)
    backbone = model.get("backbone")
    is_mapping = isinstance(section, Mapping | None)
    if is_mapping and not (isinstance(backbone, str) and backbone):
        problems.add(
            "model.backbone",
            f"`backbone` must be a name on the Hub or a folder, but got {backbone!r}. "
            "Write `model: {backbone: bert-base-uncased}`.",
        )
    return model
