# SPDX-License-Identifier: Apache-2.0
"""The sections ``mixture``, ``balancing`` and ``training`` of a recipe: training arguments."""

import typing
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields
from enum import Enum
from types import UnionType
from typing import Any

from hf_mtl._checks import message_of
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.recipe.problems import Problems
from hf_mtl.training.recipe.sections import known_fields, mapping_at

__all__ = ["read_arguments", "section_of"]

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "mixture": ("tasks_per_step", "batches", "sampler", "stopping"),
    "balancing": (
        "weighting",
        "weighting_losses",
        "gradient_method",
        "gradient_engine",
        "gradient_scope",
        "gradient_update_every",
    ),
}
_SECTION_BY_FIELD = {name: section for section, names in _FIELDS.items() for name in names}
_TRAINING = tuple(
    field.name
    for field in fields(MultiTaskTrainingArguments)
    if field.init and field.name not in _SECTION_BY_FIELD
)
# `fsdp` is annotated as text for the sake of upstream's parser, but documented as true or false.
_ANNOTATED_TOO_NARROWLY = frozenset({"fsdp"})
# Numbers that upstream takes unchecked and that would fail in the middle of a run, or do nothing.
_POSITIVE = frozenset(
    {
        "gradient_accumulation_steps",
        "num_train_epochs",
        "per_device_eval_batch_size",
        "per_device_train_batch_size",
    }
)
_WORDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}


def section_of(argument: str) -> str:
    """Section of a recipe in which a training argument stands."""
    return _SECTION_BY_FIELD.get(argument, "training")


def read_arguments(sections: Mapping[str, object], problems: Problems) -> dict[str, Any]:
    """Arguments of ``MultiTaskTrainingArguments`` that are right.

    Args:
        sections: The sections of the recipe.
        problems: Where problems are noted.
    """
    hints = typing.get_type_hints(MultiTaskTrainingArguments)
    paths: dict[str, str] = {}
    given: dict[str, Any] = {}
    for section, known in (*_FIELDS.items(), ("training", _TRAINING)):
        content = mapping_at(section, sections.get(section), problems)
        if section == "training":
            content = _without_misplaced(content, problems)
        for name, value in known_fields(section, content, known, problems).items():
            paths[name] = f"{section}.{name}"
            value = _off_switch(value, hints[name])
            if rule := _broken_rule(name, value, hints[name]):
                problems.add(paths[name], f"`{name}` must be {rule}, but got {value!r}.")
            else:
                given[name] = value
    if "output_dir" not in paths:
        problems.add("training.output_dir", "`output_dir` must be given: the folder of the run.")
    return _without_culprits(given, paths, problems)


def _without_misplaced(training: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Section ``training`` without the fields of other sections, each of which is a problem."""
    for name in training:
        if section_of(name) != "training":
            problems.add(f"training.{name}", f"Move `{name}` to the section `{section_of(name)}`.")
    return {name: value for name, value in training.items() if section_of(name) == "training"}


def _without_culprits(
    given: dict[str, Any], paths: Mapping[str, str], problems: Problems
) -> dict[str, Any]:
    """The values that go together; one that does not is noted with what the arguments say.

    The arguments check values together and stop at the first that is wrong. The culprit is the
    first value without which the complaint is gone, first of all the one that it is about; it is
    taken out and the rest tried again.
    """
    while (complaint := _complaint(given)) is not None:
        # The value that it begins with, if that is one; else one it does not name has a part in it.
        named = sorted(given, key=lambda name: not complaint.startswith(f"`{name}`"))
        culprit = next(
            (
                name
                for name in named
                if _complaint({key: given[key] for key in given if key != name}) != complaint
            ),
            None,
        )
        problems.add(paths[culprit] if culprit else "training", complaint)
        if culprit is None:
            break
        given = {name: value for name, value in given.items() if name != culprit}
    return given


def _complaint(given: Mapping[str, Any]) -> str | None:
    try:
        # A copy, because upstream changes mappings that it is given.
        MultiTaskTrainingArguments(**{"output_dir": "unnamed", **deepcopy(given)})
    except (ValueError, TypeError, LookupError, ImportError, OSError) as error:
        return message_of(error)
    return None


def _off_switch(value: object, hint: Any) -> object:
    """``"no"`` where YAML reads the word ``no`` as false but the field's choices have it."""
    choices = [member.value for option in _options(hint) for member in _members(option)]
    return "no" if value is False and "no" in choices else value


def _members(option: Any) -> list[Enum]:
    return list(option) if isinstance(option, type) and issubclass(option, Enum) else []


def _broken_rule(name: str, value: object, hint: Any) -> str | None:
    """What a value must be and is not, in words; ``None`` if nothing is wrong with it alone."""
    if name not in _ANNOTATED_TOO_NARROWLY and not _fits(value, hint):
        return _in_words(hint)
    is_too_small = isinstance(value, int | float) and value <= 0
    if name == "max_steps" and is_too_small and value != -1:
        return "above 0, or -1 to train for `num_train_epochs`"
    return "above 0" if name in _POSITIVE and is_too_small else None


def _options(hint: Any) -> tuple[Any, ...]:
    """Alternatives of a union; a plain type is its own only one."""
    origin = typing.get_origin(hint)
    return typing.get_args(hint) if origin in (typing.Union, UnionType) else (hint,)


def _fits(value: object, hint: Any) -> bool:
    """Whether a value read from YAML is of the kind that a field is annotated with."""
    return any(_fits_option(value, option) for option in _options(hint))


def _fits_option(value: object, option: Any) -> bool:
    origin = typing.get_origin(option) or option
    if origin is typing.Literal:
        return value in typing.get_args(option)
    if option is None or option is type(None):
        return value is None
    if isinstance(value, bool):
        return origin in (bool, Any)
    if origin is float:
        return isinstance(value, int | float)
    if not isinstance(origin, type) or origin not in _WORDS:
        # An enum is given as its text, which the arguments check; other kinds are theirs too.
        return isinstance(value, str) if _members(origin) else True
    return isinstance(value, origin)


def _in_words(hint: Any) -> str:
    words: dict[str, None] = {}
    for option in _options(hint):
        origin = typing.get_origin(option) or option
        if origin is typing.Literal:
            words.update(dict.fromkeys(map(repr, typing.get_args(option))))
        elif _members(origin):
            words.update(dict.fromkeys(repr(member.value) for member in _members(origin)))
        elif origin in _WORDS:
            words[_WORDS[origin]] = None
    return " or ".join(words) or "of another kind"
