# SPDX-License-Identifier: Apache-2.0
"""YAML as users mean it: no silent overwriting, and ``3e-5`` is a number."""

import re
from typing import Any

import yaml

__all__ = ["dump_yaml", "load_yaml"]


class _StrictLoader(yaml.SafeLoader):
    """Safe loader that refuses a key given twice and reads all floats of JSON.

    Attributes:
        repeated: Where keys given twice are noted instead of refused.
    """

    repeated: list[str] | None = None


class _Dumper(yaml.SafeDumper):
    """Safe dumper that writes what ``_StrictLoader`` reads back unchanged."""


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool) and key is not None:
            raise yaml.constructor.ConstructorError(
                "while reading a mapping", node.start_mark, "found a key that is no plain value"
            )
        if key in mapping:
            problem, mark = f"the key {key!r} is given twice", key_node.start_mark
            if loader.repeated is None:
                raise yaml.constructor.ConstructorError(None, None, problem, mark)
            loader.repeated.append(f"line {mark.line + 1}, column {mark.column + 1}: {problem}.")
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
# YAML 1.1 wants a dot and a signed exponent, so 3e-5 would be read as text.
_FLOAT = re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
for _class in (_StrictLoader, _Dumper):
    _class.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789"))


def load_yaml(text: str, origin: str, *, repeated: list[str] | None = None) -> Any:
    """Value that a YAML text holds.

    Args:
        text: YAML 1.1, where additionally numbers such as ``3e-5`` are floats.
        origin: Where the text is from, for the message.
        repeated: Where keys that are given twice are noted, with their place, for a caller that
            goes on; the last value counts then. ``None``: they are refused.

    Raises:
        ValueError: If the text is no YAML or gives a key twice; the message has the line.
    """
    try:
        loader = _StrictLoader(text)
        loader.repeated = repeated
        return loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ValueError(f"{origin}{place}: not valid YAML: {problem}.") from error


def dump_yaml(value: Any) -> str:
    """YAML text of plain values, keys in the order given."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
