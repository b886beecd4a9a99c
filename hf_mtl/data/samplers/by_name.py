# SPDX-License-Identifier: Apache-2.0
"""Probabilities that users give to sources by name."""

from collections.abc import Mapping, Sequence

from hf_mtl._numbers import check_not_negative
from hf_mtl.data.samplers.base import SourceSize
from hf_mtl.data.samplers.by_rate import shares

__all__ = ["check_by_source", "check_probabilities", "rates_by_name"]


def check_by_source(name: str, values: object) -> None:
    """Raises ``TypeError`` unless these are given by the name of a source.

    Args:
        name: The argument that the user passed.
        values: What was passed.
    """
    if not isinstance(values, Mapping):
        raise TypeError(
            f"`{name}` must be a mapping from sources to numbers, but got {values!r} "
            f"({type(values).__name__}). Write it as {{source: number}}."
        )


def check_probabilities(name: str, probabilities: Mapping[str, float]) -> None:
    """Raises unless these are numbers of 0 or more by the name of a source, one of them above 0.

    Args:
        name: The argument that the user passed.
        probabilities: What was passed.

    Raises:
        TypeError: If it is no mapping, or a value is no number.
        ValueError: If a value is negative, or none is above 0.
    """
    check_by_source(name, probabilities)
    for source, value in probabilities.items():
        check_not_negative(f"{name}.{source}", value)
    if not any(probabilities.values()):
        raise ValueError(f"`{name}` must hold a number above 0, but got {dict(probabilities)}.")


def rates_by_name(probabilities: Mapping[str, float], sizes: Sequence[SourceSize]) -> list[float]:
    """The probabilities in the order of the sources, as shares."""
    return shares([probabilities[size.name] for size in sizes])
