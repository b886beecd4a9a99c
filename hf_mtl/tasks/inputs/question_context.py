# SPDX-License-Identifier: Apache-2.0
"""A question and the text that its answer is in, which may be longer than the model can read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from hf_mtl._numbers import check_positive
from hf_mtl.tasks.inputs.base import INPUTS, InputKind
from hf_mtl.tasks.inputs.text import TextInput, tokenizer_of
from hf_mtl.tasks.inputs.wrong_row import WrongRowError
from hf_mtl.tasks.window import RowWindow

__all__ = ["QuestionContextInput"]

# Tokenizers without a limit of their own say 1e30.
_NO_LIMIT = 10**9


@INPUTS.register("question_context")
@final
@dataclass(frozen=True)
class QuestionContextInput(InputKind):
    """A question and a context; a context that is too long is read in windows that overlap.

    Each window is a row of features: the question, and a stretch of the context. Beside the
    features ``encode`` gives ``"windows"``, a ``RowWindow`` for each of them.

    Args:
        stride: Tokens that neighbouring windows share, so that an answer which one of them cuts in
            two is whole in the other. 128 as in the scripts of BERT.

    Raises:
        TypeError: If the stride is no whole number.
        ValueError: If it is not positive.
    """

    roles: ClassVar[tuple[str, ...]] = ("question", "context")
    batched_as: ClassVar[str | None] = "text"
    makes_windows: ClassVar[bool] = True

    stride: int = 128

    def __post_init__(self) -> None:
        check_positive("stride", self.stride, whole=True)

    def check(self, processing_class: Any, *, with_words: bool) -> None:
        if with_words:
            raise ValueError(
                "A task on words must have one text a row as its input, but got questions."
            )
        # Answers are found again by the characters of tokens, as words are.
        TextInput().check(processing_class, with_words=True)

    def encode(
        self,
        columns: Mapping[str, Sequence[Any]],
        processing_class: Any,
        *,
        max_length: int | None = None,
        with_words: bool = False,
    ) -> dict[str, list[Any]]:
        del with_words
        tokenizer = tokenizer_of(processing_class)
        limit = tokenizer.model_max_length if max_length is None else max_length
        for role in self.roles:
            _check_texts(role, columns[role])
        contexts = list(columns["context"])
        # Whole, and cut into windows here: a tokenizer's own windows depend on the side on which
        # it truncates, and it stops at a stride that does not fit without naming the row.
        encoding = tokenizer(
            list(columns["question"]),
            contexts,
            truncation=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        names = [name for name in encoding if name != "offset_mapping"]
        features: dict[str, list[Any]] = {name: [] for name in [*names, "windows"]}
        for row, context in enumerate(contexts):
            whole = _whole_window(row, context, encoding, tokenizer)
            for window in _windows(whole, limit, self.stride):
                features["windows"].append(window)
                for name in names:
                    features[name].append(window.cut(encoding[name][row]))
        return features

    def collate(
        self, features: Sequence[Mapping[str, Any]], processing_class: Any
    ) -> dict[str, Tensor]:
        return TextInput().collate(features, processing_class)

    def accepts(self, row: Any) -> bool:
        return isinstance(row, Mapping) and all(role in row for role in self.roles)

    def from_raw(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        return {role: [row[role] for row in rows] for role in self.roles}

    def padding_side(self, processing_class: Any) -> str:
        return TextInput().padding_side(processing_class)


def _check_texts(role: str, texts: Sequence[Any]) -> None:
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise WrongRowError(
                f"`{role}` must be a text that is not empty in every row",
                row,
                f"holds {text!r}. Remove the row or give it a text.",
            )


def _whole_window(row: int, context: str, encoding: Any, tokenizer: Any) -> RowWindow:
    """The one window of a context that fits."""
    sequences = encoding.sequence_ids(row)
    positions = [position for position, sequence in enumerate(sequences) if sequence == 1]
    if not positions:
        raise WrongRowError(
            "`context` must have at least one token in every row",
            row,
            f"holds {context!r}. Remove the row or give it a text.",
        )
    offsets = encoding["offset_mapping"][row]
    return RowWindow(
        row=row,
        context=context,
        spans=[offsets[position] for position in positions],
        begin=0,
        stop=len(positions),
        first=positions[0],
        null=_null_position(encoding["input_ids"][row], sequences, tokenizer),
        length=len(sequences),
    )


def _null_position(ids: Sequence[int], sequences: Sequence[int | None], tokenizer: Any) -> int:
    """Position that stands for "not here": of the token for a whole row, else the first one."""
    for special in (tokenizer.cls_token_id, tokenizer.bos_token_id):
        for position, (token, sequence) in enumerate(zip(ids, sequences, strict=True)):
            if sequence is None and token == special:
                return position
    return 0


def _windows(whole: RowWindow, limit: int, stride: int) -> Iterator[RowWindow]:
    """The stretches in which a context is read: as few as have that overlap."""
    if limit >= _NO_LIMIT or whole.length <= limit:
        yield whole
        return
    room = limit - (whole.length - len(whole.spans))
    if room <= stride:
        raise WrongRowError(
            "`stride` must be less than the tokens of the context that fit into `max_length`",
            whole.row,
            f"has room for {max(room, 0)} beside its question, and the stride is {stride}. Give a "
            f"smaller `stride` or a larger `max_length`, or remove the row.",
        )
    begin = 0
    while begin + room < len(whole.spans):
        yield whole.part(begin, begin + room)
        begin += room - stride
    yield whole.part(begin, len(whole.spans))
