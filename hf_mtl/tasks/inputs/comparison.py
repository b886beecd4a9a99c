# SPDX-License-Identifier: Apache-2.0
"""Two texts of which one is the better, or one text to be scored."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

from hf_mtl.tasks.inputs.base import INPUTS
from hf_mtl.tasks.inputs.several_texts import SeveralTexts
from hf_mtl.tasks.inputs.wrong_row import WrongRowError

__all__ = ["ComparisonInput"]


@INPUTS.register("comparison")
@final
class ComparisonInput(SeveralTexts):
    """Two texts that are compared, both after a text that they share if there is one.

    New input may be a single text: a bare one, or a mapping without ``rejected``.
    """

    roles: ClassVar[tuple[str, ...]] = ("chosen", "rejected")
    optional_roles: ClassVar[tuple[str, ...]] = ("text",)

    def candidates(self, columns: Mapping[str, Sequence[Any]]) -> list[list[dict[str, str]]]:
        sides = [role for role in self.roles if role in columns]
        for role in columns:
            _check_texts(role, columns[role])
        if "text" not in columns:
            rows = zip(*(columns[role] for role in sides), strict=True)
            return [[{"text": each} for each in row] for row in rows]
        rows = zip(columns["text"], *(columns[role] for role in sides), strict=True)
        return [[{"text": text, "text_pair": each} for each in row] for text, *row in rows]

    def accepts(self, row: Any) -> bool:
        return isinstance(row, str) or (isinstance(row, Mapping) and "chosen" in row)

    def roles_of(self, row: Any) -> frozenset[str]:
        return frozenset(self.roles) | (frozenset(row) if isinstance(row, Mapping) else frozenset())

    def from_raw(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        mappings = [row if isinstance(row, Mapping) else {"chosen": row} for row in rows]
        roles = set(mappings[0])
        if any(set(row) != roles for row in mappings):
            raise ValueError(
                "Either all inputs of one call or none must have a `rejected`, but got both. Make "
                "two calls."
            )
        return {role: [row[role] for row in mappings] for role in sorted(roles)}


def _check_texts(role: str, values: Sequence[Any]) -> None:
    for row_index, value in enumerate(values):
        if not isinstance(value, str):
            raise WrongRowError(
                f"`{role}` must be a text in every row",
                row_index,
                f"holds {value!r}. Remove the row or give it a text.",
            )
