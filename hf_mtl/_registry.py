# SPDX-License-Identifier: Apache-2.0
"""From a name in a recipe to a class, and back from an object to its description."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Generic, TypeVar, cast

from hf_mtl._checks import check_known, unknown_name
from hf_mtl._typing import Entry

__all__ = ["Registry", "entry_name"]

Base = TypeVar("Base")
Registered = TypeVar("Registered")


def entry_name(entry: Entry) -> str:
    """Name in an entry; whether the entry can be built is not checked."""
    return entry if isinstance(entry, str) else str(entry.get("name"))


class Registry(Generic[Base]):
    """Classes of one family by name.

    A class joins with a decorator, in this package or in a user's own code. What users write,
    ``"name"`` or ``{"name": ..., **fields}``, is turned into an object by ``build``, and back by
    ``to_config``; the two are inverses.

    Args:
        kind: The user's word for a member of the family, such as "sampler".

    Example:
        >>> from dataclasses import dataclass
        >>> shapes = Registry("shape")
        >>> @shapes.register("square")
        ... @dataclass(frozen=True)
        ... class Square:
        ...     side: float = 1.0
        >>> shapes.build({"name": "square", "side": 2.0})
        Square(side=2.0)
        >>> shapes.to_config(shapes.build("square"))
        {'name': 'square', 'side': 1.0}
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._class_by_name: dict[str, type[Base]] = {}

    def register(self, name: str) -> Callable[[type[Registered]], type[Registered]]:
        """Decorator that claims a name for a class.

        Raises:
            ValueError: If the name is taken by another class.
        """

        def claim(cls: type[Registered]) -> type[Registered]:
            taken = self._class_by_name.get(name)
            if taken is not None:
                raise ValueError(
                    f"`name` must be new among the {self.kind}s, but {name!r} is taken by "
                    f"{taken.__module__}.{taken.__qualname__}. Choose another name."
                )
            self._class_by_name[name] = cast("type[Base]", cls)
            return cls

        return claim

    def names(self) -> tuple[str, ...]:
        """All names, in the order of registration."""
        return tuple(self._class_by_name)

    def get(self, name: str) -> type[Base]:
        """Class of that name.

        Raises:
            KeyError: If there is none; the message offers the nearest name.
        """
        check_known(self.kind, name, self._class_by_name)
        return self._class_by_name[name]

    def name_of(self, member: type[Base]) -> str:
        """Name under which a class is registered."""
        return next(name for name, cls in self._class_by_name.items() if cls is member)

    def build(self, entry: Entry) -> Base:
        """Object that an entry describes.

        Args:
            entry: ``"name"``, or ``{"name": ..., **fields}`` with fields of that class.

        Raises:
            KeyError: If the name is unknown.
            TypeError: If the entry is neither form, or a field is unknown or missing.
            ValueError: If the class refuses a field's value.
        """
        name, given = self._name_and_fields(entry)
        cls = self.get(name)
        known = {field.name: field for field in fields(cls)} if is_dataclass(cls) else {}
        for field_name in given:
            if field_name not in known:
                raise TypeError(unknown_name(f"field of {self.kind} {name!r}", field_name, known))
        missing = [
            field.name
            for field in known.values()
            if field.init
            and field.default is MISSING
            and field.default_factory is MISSING
            and field.name not in given
        ]
        if missing:
            raise TypeError(f"{self.kind} {name!r} must be given {missing}, but got {dict(given)}.")
        return cls(**given)

    def to_config(self, member: Base) -> dict[str, Any]:
        """Entry that builds an equal object: ``{"name": ..., **fields}``."""
        values = (
            {field.name: getattr(member, field.name) for field in fields(member)}
            if is_dataclass(member)
            else {}
        )
        return {"name": self.name_of(type(member)), **values}

    def _name_and_fields(self, entry: Entry) -> tuple[str, Mapping[str, Any]]:
        if isinstance(entry, str):
            return entry, {}
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
            return entry["name"], {key: entry[key] for key in entry if key != "name"}
        raise TypeError(
            f"A {self.kind} must be a name or a mapping with a `name`, but got {entry!r}. "
            f"Known: {sorted(self._class_by_name)}."
        )
