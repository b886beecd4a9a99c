# SPDX-License-Identifier: Apache-2.0
"""Checks of what users wrote, worded for them."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

__all__ = ["check_known", "check_same_names", "message_of", "nearest", "unknown_name"]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Known name that a misspelt word most likely meant, or ``None``."""
    matches = get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Message for an unknown name: the name, the nearest known one, and all of them."""
    known = sorted(known)
    hint = nearest(name, known)
    suggestion = f" Did you mean {hint!r}?" if hint else ""
    return f"Unknown {kind} {name!r}.{suggestion} Known: {known}."


class UnknownNameError(KeyError):
    """An unknown name; prints its message as it is, where ``KeyError`` would quote it."""

    def __str__(self) -> str:
        return str(self.args[0])


def check_known(kind: str, name: str, known: Collection[str]) -> None:
    """Raises ``KeyError`` with the nearest name unless ``name`` is known.

    Args:
        kind: The user's word for the thing, such as "sampler".
        name: What the user wrote.
        known: The names there are.

    Raises:
        KeyError: If the name is not among the known ones.
    """
    if name not in known:
        raise UnknownNameError(unknown_name(kind, name, known))


def check_same_names(name: str, found: Iterable[str], expected: Iterable[str], noun: str) -> None:
    """Raises ``ValueError`` unless both hold the same names.

    Args:
        name: The argument that the user passed.
        found: The names in it.
        expected: The names that it must hold.
        noun: What the names stand for, such as "source".

    Raises:
        ValueError: If a name is missing from the argument, or is not an expected one.
    """
    found, expected = set(found), set(expected)
    if missing := sorted(expected - found):
        raise ValueError(
            f"`{name}` must cover every {noun}, but {missing} are missing. Got {sorted(found)}."
        )
    if extra := sorted(found - expected):
        raise ValueError(
            f"`{name}` has {extra}, which are no {noun}s of this suite. "
            f"Expected {sorted(expected)}."
        )


def message_of(error: Exception) -> str:
    """Text of an error as its author wrote it: ``KeyError`` puts its own in quotes."""
    is_quoted = isinstance(error, KeyError) and len(error.args) == 1
    return str(error.args[0] if is_quoted else error) or type(error).__name__
