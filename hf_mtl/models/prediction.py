# SPDX-License-Identifier: Apache-2.0
"""From raw inputs to readable answers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_mtl._checks import check_known
from hf_mtl.tasks import (
    InputKind,
    LabelColumn,
    RowWords,
    TracedLabelKind,
    batch_of,
    split_words,
)

if TYPE_CHECKING:
    from hf_mtl.models.modeling import MultiTaskModel

__all__ = ["evaluation_mode", "is_several", "predict"]


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Dropout off and no gradients inside the block; afterwards every submodule as it was."""
    was_training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        # Not `inference_mode`: what a module computes once and keeps, such as rotary positions,
        # could not take part in training afterwards.
        with torch.no_grad():
            yield
    finally:
        for part, flag in was_training.items():
            part.training = flag


def is_several(inputs: Any) -> bool:
    """Whether what ``predict`` is given are several inputs: any sequence but a tuple of words."""
    return isinstance(inputs, Sequence) and not isinstance(inputs, str | bytes | tuple)


def predict(
    model: "MultiTaskModel",
    rows: Sequence[Any],
    tasks: Sequence[str] | None,
    *,
    batch_size: int,
    processing_class: Any,
) -> list[dict[str, Any]]:
    """Answers of each row, in the order of the suite; see ``MultiTaskModel.predict``."""
    if processing_class is None:
        raise ValueError(
            "`processing_class` must be known to encode raw inputs, but the model has none. "
            "Pass the tokenizer or image processor."
        )
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, but got {batch_size}.")
    for task in tasks or ():
        check_known("task", task, model.suite)
    wanted = list(model.suite) if tasks is None else list(tasks)
    found: list[dict[str, Any]] = [{} for _ in rows]
    with evaluation_mode(model):
        for group in _groups(model, wanted):
            kind = model.suite[group[0]].task_type.input_kind
            roles = frozenset(model.suite[group[0]].input_columns())
            fitting = [
                index
                for index, row in enumerate(rows)
                if kind.accepts(row) and kind.roles_of(row) == roles
            ]
            if tasks is not None and len(fitting) < len(rows):
                _refuse(rows, set(range(len(rows))) - set(fitting), model, group)
            for start in range(0, len(fitting), batch_size):
                indices = fitting[start : start + batch_size]
                batch = [rows[index] for index in indices]
                answers = _answers(
                    model,
                    group,
                    kind,
                    batch,
                    batch_size=batch_size,
                    processing_class=processing_class,
                )
                for task, values in answers.items():
                    for index, value in zip(indices, values, strict=True):
                        found[index][task] = value
    if unanswered := {index for index, answers in enumerate(found) if not answers}:
        _refuse(rows, unanswered, model, wanted)
    return [{task: answers[task] for task in wanted if task in answers} for answers in found]


def _groups(model: "MultiTaskModel", tasks: Sequence[str]) -> list[list[str]]:
    """Tasks that share one encoding and so one pass."""
    groups: dict[tuple[str, frozenset[str], int | None], list[str]] = {}
    for task in tasks:
        spec = model.suite[task]
        entry = repr(spec.task_type.input_entry)
        key = entry, frozenset(spec.input_columns()), spec.max_length
        groups.setdefault(key, []).append(task)
    return list(groups.values())


def _refuse(
    rows: Sequence[Any], indices: set[int], model: "MultiTaskModel", tasks: Sequence[str]
) -> None:
    index = min(indices)
    row = rows[index]
    found = (
        f"has the keys {sorted(map(str, row))}"
        if isinstance(row, Mapping)
        else f"is a {type(row).__name__}: {row!r:.80}"
    )
    tasks_by_roles: dict[tuple[str, ...], list[str]] = {}
    for task in tasks:
        tasks_by_roles.setdefault(tuple(model.suite[task].input_columns()), []).append(task)
    needs = "; ".join(
        f"{' and '.join(f'`{role}`' for role in roles)} for {of}"
        for roles, of in tasks_by_roles.items()
    )
    raise TypeError(
        f"`inputs` must suit the tasks {list(tasks)}, but input {index} {found}. Give a mapping "
        f"with exactly these keys: {needs}. A bare text or picture is one with a single key."
    )


def _answers(
    model: "MultiTaskModel",
    tasks: Sequence[str],
    kind: InputKind,
    rows: Sequence[Any],
    *,
    batch_size: int,
    processing_class: Any,
) -> dict[str, list[Any]]:
    """Answers of one batch to tasks that share its encoding."""
    label_kinds = {task: model.suite[task].task_type.label_kind for task in tasks}
    with_words = any(label_kind.needs_words for label_kind in label_kinds.values())
    kind.check(processing_class, with_words=with_words)
    columns = kind.from_raw(rows)
    features = kind.encode(
        columns,
        processing_class,
        max_length=model.suite[tasks[0]].max_length,
        with_words=with_words,
    )
    word_ids, windows = features.pop("word_ids", ()), features.pop("windows", None)
    encoded = [
        dict(zip(features, values, strict=True)) for values in zip(*features.values(), strict=True)
    ]
    inputs = batch_of([kind.sequences(row) for row in encoded], kind, processing_class)
    # Rows that became windows may be more than a batch.
    size = None if windows is None else batch_size
    logits = _logits(model, tasks, _placed(inputs, model), size)
    side = kind.padding_side(processing_class)
    words = None
    if with_words:
        texts = [split_words(text) for text in columns["text"]]
        words = RowWords(texts, _padded(word_ids, _length(inputs), side))
    answers = {}
    for task, label_kind in label_kinds.items():
        names = model.suite[task].labels or ()
        if isinstance(label_kind, TracedLabelKind):
            unknown = LabelColumn([None] * len(rows), task, names, windows=windows)
            traces = label_kind.traces(label_kind.encode(unknown), _length(inputs), side)
            answers[task] = label_kind.answers(logits[task], names, traces=traces)
        else:
            answers[task] = label_kind.answers(logits[task], names, words)
    return answers


def _logits(
    model: "MultiTaskModel", tasks: Sequence[str], inputs: Mapping[str, Tensor], size: int | None
) -> dict[str, Tensor]:
    """Logits of each task, from passes of so many rows each; ``None``: from one pass."""
    if size is None:
        logits: dict[str, Tensor] = model(tasks=list(tasks), **inputs).logits
        return logits
    num_rows = len(next(iter(inputs.values())))
    passes = [
        model(
            tasks=list(tasks),
            **{name: value[start : start + size] for name, value in inputs.items()},
        ).logits
        for start in range(0, num_rows, size)
    ]
    return {task: torch.cat([found[task] for found in passes]) for task in tasks}


def _length(inputs: Mapping[str, Tensor]) -> int:
    """Padded length of a batch."""
    return next(iter(inputs.values())).shape[1]


def _placed(inputs: Mapping[str, Tensor], model: "MultiTaskModel") -> dict[str, Tensor]:
    """Inputs on the model's device; pixels in its dtype."""
    return {
        name: value.to(model.device, model.dtype if value.is_floating_point() else value.dtype)
        for name, value in inputs.items()
    }


def _padded(
    word_ids: Sequence[Sequence[int | None]], length: int, side: str
) -> list[list[int | None]]:
    """Words of each position, ``None`` where the batch was padded."""
    padded: list[list[int | None]] = []
    for row in word_ids:
        padding: list[int | None] = [None] * (length - len(row))
        padded.append([*row, *padding] if side == "right" else [*padding, *row])
    return padded
