# SPDX-License-Identifier: Apache-2.0
"""Laws that every task type keeps: its parts exist and fit each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
import transformers
from torch import Tensor

from hf_mtl.evaluation import METRICS
from hf_mtl.evaluation.collection import whole_rows, window_predictions
from hf_mtl.models import HEADS, LOSSES
from hf_mtl.tasks import (
    INPUTS,
    LABELS,
    TASK_TYPES,
    LabelColumn,
    LabelKind,
    RowWindow,
    RowWords,
    TaskSpec,
    TaskType,
    TracedLabelKind,
    num_labelled,
)
from hf_mtl.tasks.labels.class_label import ClassLabel
from hf_mtl.tasks.types.text_classification import TextClassification

VALUES = {
    "answer_span": [{"text": [], "answer_start": []}, None, None],
    "choice": [1, None, None],
    "class": [1, None, None],
    "class_set": [["1"], None, None],
    "masked_token": [True, None, None],
    "ordinal": [1, None, None],
    "preference": [1, None, None],
    "score": [1, None, None],
    "token_class": [[1], None, [None]],
}
"""A label and two that are missing, of each kind."""

INPUTS_OF_ROWS = {"choices": [["a", "b"]] * 3}
WINDOWS_OF_ROWS = [
    RowWindow(row=row, context="w", spans=[(0, 1)], begin=0, stop=1, first=0, null=0, length=1)
    for row in range(3)
]


def broken_laws(task_type: TaskType) -> list[str]:
    """Laws that a task type breaks, in words."""
    named = {
        "inputs": (task_type.inputs, INPUTS),
        "labels": (task_type.labels, LABELS),
        "head": (task_type.head, HEADS),
        "loss": (task_type.loss, LOSSES),
        **{f"metrics[{i}]": (name, METRICS) for i, name in enumerate(task_type.metrics)},
    }
    broken = [
        f"{part} is unknown" for part, (name, known) in named.items() if name not in known.names()
    ]
    if broken:
        return broken
    if not hasattr(transformers, task_type.auto_model):
        broken.append("auto_model is no class of transformers")
    if task_type.labels not in LOSSES.get(task_type.loss).label_kinds:
        broken.append("loss does not learn from labels")
    kind = task_type.label_kind
    broken += [
        f"metric {name} does not measure {task_type.labels}"
        for name in task_type.metrics
        if task_type.labels not in METRICS.get(name).label_kinds
    ]
    if kind.per_token != (task_type.level == "token"):
        broken.append("level and labels disagree")
    if task_type.has_choice_axis and not kind.per_sequence:
        broken.append("an axis of choices without labels of choices")
    if kind.needs_words and "text" not in task_type.input_kind.roles:
        broken.append("labels of words without text")
    if isinstance(kind, TracedLabelKind) != task_type.input_kind.makes_windows:
        broken.append("only one of input and labels knows windows")
    return broken


def encoded_labels(kind: LabelKind, names: Sequence[str], values: Sequence[Any]) -> list[Any]:
    """Labels of up to three rows of one word each."""
    words = RowWords([["w"]] * len(values), [[0]] * len(values))
    windows = WINDOWS_OF_ROWS[: len(values)]
    column = LabelColumn(
        values, "t", tuple(names), words=words, windows=windows, inputs=INPUTS_OF_ROWS
    )
    return kind.encode(column)


def assert_survives_a_round_trip(task_type: TaskType) -> None:
    """A spec of the type is the same after it was plain values."""
    spec = TaskSpec(TASK_TYPES.name_of(type(task_type)))
    assert TaskSpec.from_dict(spec.to_dict()) == spec


def assert_missing_labels_are_not_counted(task_type: TaskType) -> None:
    """Of three labels of which two are missing one counts; of none that is there none counts."""
    kind = task_type.label_kind
    names = ("0", "1") if kind.has_names else ()
    encoded = encoded_labels(kind, names, VALUES[task_type.labels])
    labels = kind.collate(encoded, 1, "right")
    assert num_labelled(labels) == num_labelled(labels[:1]) > 0
    assert num_labelled(kind.collate(kind.missing(encoded), 1, "right")) == 0


def assert_constant_answer_is_the_only_one_that_occurs(task_type: TaskType) -> None:
    """Where all labelled rows have one answer, the constant one is right for all of them."""
    kind = task_type.label_kind
    names = ("0", "1", "2") if kind.has_names else ()
    encoded = encoded_labels(kind, names, VALUES[task_type.labels])
    labels = kind.collate(encoded, 1, "right")
    answer = kind.constant_logits(labels, kind.num_outputs(names))
    assert answer.shape == (2 if kind.per_sequence else kind.num_outputs(names),)
    rows = labels.shape if kind.per_token else labels.shape[:1]
    traces = kind.traces(encoded, 1, "right") if isinstance(kind, TracedLabelKind) else None
    found = whole_rows(kind, window_predictions(kind, answer.expand(*rows, -1), labels, traces))
    assert found.predictions == found.references


def assert_outputs_have_names(task_type: TaskType) -> None:
    """There are as many different names as outputs."""
    kind = task_type.label_kind
    names = ("low", "middle", "high") if kind.has_names else ("score",)
    assert len(set(kind.output_names(names))) == kind.num_outputs(names)


def assert_answers_are_one_a_row(task_type: TaskType) -> None:
    """Two rows have two answers."""
    kind = task_type.label_kind
    names = ("a", "b", "c") if kind.has_names else ()
    shape = (2, 1) if kind.per_token else (2,)
    logits = torch.zeros(*shape, kind.num_outputs(names))
    if isinstance(kind, TracedLabelKind):
        traces = kind.traces(encoded_labels(kind, names, [None, None]), 1, "right")
        answers = kind.answers(logits, names, traces=traces)
    else:
        answers = kind.answers(logits, names, RowWords([["w"]] * 2, [[0]] * 2))
    assert len(answers) == 2


@pytest.fixture(params=TASK_TYPES.names())
def task_type(request):
    return TASK_TYPES.build(request.param)


def test_all_parts_exist_and_fit(task_type):
    assert broken_laws(task_type) == []


def test_a_type_whose_parts_do_not_fit_is_caught():
    class Misfit(TaskType):
        inputs: ClassVar[str] = "image"
        labels: ClassVar[str] = "token_class"
        auto_model: ClassVar[str] = "AutoModelForNothing"
        has_choice_axis: ClassVar[bool] = True
        loss: ClassVar[str] = "mse"
        metrics: ClassVar[tuple[str, ...]] = ("pearson",)

    assert broken_laws(Misfit()) == [
        "auto_model is no class of transformers",
        "loss does not learn from labels",
        "metric pearson does not measure token_class",
        "level and labels disagree",
        "an axis of choices without labels of choices",
        "labels of words without text",
    ]


def test_a_spec_of_the_type_survives_a_round_trip(task_type):
    assert_survives_a_round_trip(task_type)


def test_missing_labels_are_not_counted(task_type):
    assert_missing_labels_are_not_counted(task_type)


def test_the_constant_answer_is_the_only_one_that_occurs(task_type):
    if not task_type.label_kind.has_constant_answer:
        pytest.skip("no answer can be right for many rows")
    assert_constant_answer_is_the_only_one_that_occurs(task_type)


def test_outputs_have_names(task_type):
    assert_outputs_have_names(task_type)


def test_answers_are_one_a_row(task_type):
    assert_answers_are_one_a_row(task_type)


class CountsMissingLabels(ClassLabel):
    """Takes a missing label for the first class."""

    def collate(self, values: Sequence[Any], length: int | None, padding_side: str) -> Tensor:
        return super().collate(values, length, padding_side).clamp(min=0)


class LeastFrequent(ClassLabel):
    """Prefers the last class, however rare it is."""

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        return torch.arange(num_outputs)


class OneNameForAll(ClassLabel):
    """Calls all outputs by one name."""

    def output_names(self, names: Sequence[str]) -> tuple[str, ...]:
        return ("label",) * len(names)


class AnswersOnce(ClassLabel):
    """Has one answer for a whole batch."""

    def answers(self, logits: Tensor, names: Sequence[str], words: Any = None) -> list[Any]:
        return super().answers(logits, names, words)[:1]


@pytest.mark.parametrize(
    ("assert_law", "kind"),
    [
        (assert_missing_labels_are_not_counted, CountsMissingLabels()),
        (assert_constant_answer_is_the_only_one_that_occurs, LeastFrequent()),
        (assert_outputs_have_names, OneNameForAll()),
        (assert_answers_are_one_a_row, AnswersOnce()),
    ],
)
def test_the_law_catches_a_faulty_kind_of_label(assert_law, kind):
    class Planted(TextClassification):
        label_kind: ClassVar[LabelKind] = kind

    assert_law(TextClassification())
    with pytest.raises(AssertionError):
        assert_law(Planted())


def test_a_type_that_cannot_be_built_from_its_name_is_caught():
    @TASK_TYPES.register("demanding")
    @dataclass(frozen=True)
    class Demanding(TextClassification):
        depth: int

    with pytest.raises(TypeError, match="depth"):
        assert_survives_a_round_trip(Demanding(depth=1))
