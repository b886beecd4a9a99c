# SPDX-License-Identifier: Apache-2.0
"""Laws that every metric keeps, on every kind of label that it can judge."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from hf_mtl.evaluation import METRICS, Metric
from hf_mtl.tasks import LABELS

EXACT_MATCH = """
import datasets
import evaluate


class ExactMatch(evaluate.Metric):
    def _info(self):
        columns = {"predictions": datasets.Value("float"), "references": datasets.Value("float")}
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="", features=datasets.Features(columns)
        )

    def _compute(self, predictions, references):
        hits = sum(p == r for p, r in zip(predictions, references, strict=True))
        return {"exact_match": hits / len(references)}
"""


@dataclass(frozen=True)
class Example:
    """Rows of one kind of label, the same rows with one mistake, and constant answers."""

    references: list[Any]
    worse: list[Any]
    constant: list[Any]
    labels: tuple[str, ...] | None = None


EXAMPLES = {
    "answer_span": Example(
        [["the film"], [], ["Ada Byron", "Byron"]], [["a book"], [], ["Ada Byron"]], [[]] * 3
    ),
    "class": Example([0, 1, 2, 1, 0], [0, 1, 2, 1, 2], [1] * 5, ("a", "b", "c")),
    "choice": Example([0, 3, 2, 1, 0], [0, 3, 2, 1, 2], [1] * 5),
    "preference": Example([1.0, -1.0, -1.0], [1.0, 0.5, -1.0], [0.0] * 3),
    "score": Example([0.5, -1.0, 2.0, 3.25], [0.5, 4.0, 2.0, 3.25], [0.1 + 0.2] * 4),
    "masked_token": Example(
        [[(5, 0.0), (6, 0.0)], [(7, 0.0)]],
        [[(5, 0.0), (9, 2.0)], [(7, 0.0)]],
        [[(5, 1.0), (5, 1.0)], [(5, 1.0)]],
    ),
    "ordinal": Example([0, 1, 2, 1, 0], [0, 1, 2, 1, 2], [1] * 5, ("low", "middle", "high")),
    "class_set": Example(
        [frozenset({0, 2}), frozenset(), frozenset({1})],
        [frozenset({0, 1}), frozenset(), frozenset({1})],
        [frozenset({1})] * 3,
        ("a", "b", "c"),
    ),
    "token_class": Example(
        [[1, 2, 0], [0], [0, 1, 0, 1]],
        [[1, 2, 0], [0], [0, 0, 0, 1]],
        [[0, 0, 0], [0], [0, 0, 0, 0]],
        ("O", "B-person", "I-person"),
    ),
}


def broken_laws(metric: Metric) -> list[str]:
    """Laws that a metric breaks, in words."""
    broken = [f"{kind} is no kind of label" for kind in metric.label_kinds - {*LABELS.names()}]
    for kind in sorted(metric.label_kinds & EXAMPLES.keys()):
        example = EXAMPLES[kind]
        references, labels = example.references, example.labels
        perfect = metric.compute(references, references, labels)
        if not math.isclose(perfect, metric.best, abs_tol=1e-12):
            broken.append(f"{kind}: perfect predictions give {perfect}")
        value = metric.compute(example.worse, references, labels)
        if (value < perfect) != metric.greater_is_better or value == perfect:
            broken.append(f"{kind}: a mistake does not make it worse")
        reordered = metric.compute(example.worse[::-1], references[::-1], labels)
        if not math.isclose(value, reordered):
            broken.append(f"{kind}: the order of the rows matters")
        if math.isinf(metric.compute(example.constant, references, labels)):
            broken.append(f"{kind}: constant predictions give no number")
        metric.compute(example.constant, example.constant, labels)
        metric.compute(references[:1], references[:1], labels)
    return broken


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """One entry a metric; those with required fields get them here."""
    folder = tmp_path_factory.mktemp("modules") / "exact_match"
    folder.mkdir()
    (folder / "exact_match.py").write_text(EXACT_MATCH)
    required = {"evaluate": {"path": str(folder)}}
    return {name: {"name": name, **required.get(name, {})} for name in METRICS.names()}


@pytest.fixture(params=METRICS.names())
def metric(request, entries):
    return METRICS.build(entries[request.param])


def test_perfect_is_best_mistakes_are_worse_and_order_is_irrelevant(metric):
    assert broken_laws(metric) == []


def test_a_metric_survives_a_round_trip_through_its_config(metric):
    assert METRICS.build(METRICS.to_config(metric)) == metric


def test_every_metric_judges_some_kind_of_label(metric):
    assert metric.label_kinds


def test_a_metric_that_points_the_wrong_way_is_caught():
    @dataclass(frozen=True)
    class Wrong(Metric):
        label_kinds: ClassVar[frozenset[str]] = frozenset({"score", "scores"})
        greater_is_better: ClassVar[bool] = True

        def compute(
            self,
            predictions: Sequence[Any],
            references: Sequence[Any],
            labels: Sequence[str] | None = None,
        ) -> float:
            pairs = zip(predictions, references, strict=True)
            return predictions[0] + sum(abs(first - second) for first, second in pairs)

    assert broken_laws(Wrong()) == [
        "scores is no kind of label",
        "score: perfect predictions give 0.5",
        "score: a mistake does not make it worse",
        "score: the order of the rows matters",
    ]


def test_a_metric_that_divides_by_what_does_not_vary_is_caught():
    @dataclass(frozen=True)
    class Steepness(Metric):
        label_kinds: ClassVar[frozenset[str]] = frozenset({"score"})
        greater_is_better: ClassVar[bool] = False
        best: ClassVar[float] = 0.0

        def compute(
            self,
            predictions: Sequence[Any],
            references: Sequence[Any],
            labels: Sequence[str] | None = None,
        ) -> float:
            pairs = zip(predictions, references, strict=True)
            wrong = sum(abs(first - second) for first, second in pairs)
            spread = max(predictions) - min(predictions)
            return wrong / spread if spread else math.inf

    assert broken_laws(Steepness()) == ["score: constant predictions give no number"]
