# SPDX-License-Identifier: Apache-2.0
"""A text with the choices that may go with it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

from hf_mtl.tasks.inputs.base import INPUTS
from hf_mtl.tasks.inputs.several_texts import SeveralTexts
from hf_mtl.tasks.inputs.wrong_row import WrongRowError

__all__ = ["ChoicesInput"]


@INPUTS.register("choices")
@final
class ChoicesInput(SeveralTexts):
    """A text and a list of choices, each of which is read after the text as its pair.

    Rows may have different numbers of choices. They are in one column as a list, or in a column
    each.
    """

    roles: ClassVar[tuple[str, ...]] = ("text", "choices")
    list_roles: ClassVar[frozenset[str]] = frozenset({"choices"})

    def candidates(self, columns: Mapping[str, Sequence[Any]]) -> list[list[dict[str, str]]]:
        rows = zip(columns["text"], columns["choices"], strict=True)
        return [_candidates(*row, index) for index, row in enumerate(rows)]

    def accepts(self, row: Any) -> bool:
        return isinstance(row, Mapping) and "choices" in row

    def from_raw(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        return {role: [row[role] for row in rows] for role in self.roles}


def _candidates(text: Any, choices: Any, row_index: int) -> list[dict[str, str]]:
    if not isinstance(text, str):
        raise WrongRowError(
            "`text` must be a text in every row",
            row_index,
            f"holds {text!r}. Remove the row or give it a text.",
        )
    is_list = isinstance(choices, Sequence) and not isinstance(choices, str)
    if not is_list or not choices or not all(isinstance(each, str) for each in choices):
        raise WrongRowError(
            "`choices` must be a list of texts in every row",
            row_index,
            f"holds {choices!r}. Remove the row or mend its choices.",
        )
    return [{"text": text, "text_pair": choice} for choice in choices]
