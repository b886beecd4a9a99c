# SPDX-License-Identifier: Apache-2.0
"""Laws that every loss keeps, on every kind of label that it learns from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from hf_mtl.models import LOSSES, Loss
from hf_mtl.tasks import LABELS

NAN = float("nan")
NAMES = ("a", "b", "c")
LABELS_OF = {
    "answer_span": torch.tensor([[1, 2, 0], [3, 0, -100], [0, 3, 0], [-100, -100, -100]]),
    "choice": torch.tensor([0, 2, 1, -100]),
    "class": torch.tensor([0, 2, 1, -100]),
    "class_set": torch.tensor([[1.0, 0, 0], [0, 1, 1], [NAN, 0, 1], [NAN, NAN, NAN]]),
    "ordinal": torch.tensor([0, 2, 1, -100]),
    "preference": torch.tensor([0, 1, 0, -100]),
    "score": torch.tensor([0.5, -1.0, 2.0, NAN]),
    "token_class": torch.tensor([[0, -100], [2, 1], [-100, 1], [-100, -100]]),
}
"""Labels of four rows; the last one has none."""

WEIGHTS = {"a": 3.0, "c": 0.5}
ENTRIES = [
    *LOSSES.names(),
    {"name": "bradley_terry", "margin": 1.0},
    {"name": "cross_entropy", "label_smoothing": 0.1},
    {"name": "cross_entropy", "class_weights": WEIGHTS},
    {"name": "focal", "gamma": 0.5, "class_weights": WEIGHTS},
    {"name": "binary_cross_entropy", "class_weights": WEIGHTS, "positive_weights": {"b": 2.0}},
]


def logits_for(kind: str) -> Tensor:
    """Logits of four rows, in float64."""
    rows = LABELS_OF[kind].shape if LABELS.build(kind).per_token else (4,)
    per_sequence = LABELS.build(kind).per_sequence
    width = (
        int(LABELS_OF[kind].max()) + 1 if per_sequence else LABELS.build(kind).num_outputs(NAMES)
    )
    return torch.randn(*rows, width, dtype=torch.float64)


def assert_adds_up(loss: Loss, kind: str) -> None:
    """Sums and weights of two halves are those of the whole, in any order of the rows."""
    logits, labels = logits_for(kind), LABELS_OF[kind]
    order = torch.tensor([2, 0, 3, 1])
    reordered = loss.total(logits[order], labels[order], NAMES)
    assert_close(reordered, loss.total(logits, labels, NAMES))
    halves = [loss.total(logits[half], labels[half], NAMES) for half in (slice(1), slice(1, 4))]
    assert_close(sum(halves), loss.total(logits, labels, NAMES))
    weights = [loss.total_weight(labels[half], NAMES) for half in (slice(1), slice(1, 4))]
    assert float(sum(weights)) == pytest.approx(float(loss.total_weight(labels, NAMES)))


def assert_missing_labels_count_nowhere(loss: Loss, kind: str) -> None:
    """A row without labels has no loss, no weight and no gradient, whatever its logits."""
    logits, labels = logits_for(kind), LABELS_OF[kind]
    logits[-1] = 1e4
    assert float(loss.total(logits[-1:], labels[-1:], NAMES)) == 0
    assert float(loss.total_weight(labels[-1:], NAMES)) == 0
    logits.requires_grad_()
    loss.total(logits, labels, NAMES).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[-1].any()


def assert_falls_when_followed(loss: Loss, kind: str) -> None:
    """A step against the gradient lowers it, and it is never negative."""
    logits = logits_for(kind).requires_grad_()
    before = loss.total(logits, LABELS_OF[kind], NAMES)
    before.backward()
    assert logits.grad is not None
    after = loss.total(logits.detach() - 1e-3 * logits.grad, LABELS_OF[kind], NAMES)
    assert 0 <= float(after) < float(before.detach())


def assert_takes_half_precision(loss: Loss, kind: str) -> None:
    """Sums are in float32 at least."""
    total = loss.total(logits_for(kind).bfloat16(), LABELS_OF[kind], NAMES)
    assert total.dtype == torch.float32


LAWS = [
    assert_adds_up,
    assert_missing_labels_count_nowhere,
    assert_falls_when_followed,
    assert_takes_half_precision,
]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
@pytest.mark.parametrize("assert_law", LAWS)
def test_a_loss_obeys_the_law(entry, assert_law):
    loss = LOSSES.build(entry)
    for kind in sorted(loss.label_kinds & LABELS_OF.keys()):
        assert_law(loss, kind)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_loss_survives_a_round_trip_through_its_config(entry):
    loss = LOSSES.build(entry)
    assert LOSSES.build(LOSSES.to_config(loss)) == loss
    assert loss.label_kinds


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_weight_stays_on_the_device_of_the_labels(name):
    loss = LOSSES.build(name)
    for kind in sorted(loss.label_kinds & LABELS_OF.keys()):
        assert loss.total_weight(LABELS_OF[kind].to("meta"), NAMES).device.type == "meta"


@pytest.mark.parametrize("kind", LABELS.names())
def test_every_kind_of_label_has_a_loss(kind):
    assert [name for name in LOSSES.names() if kind in LOSSES.get(name).label_kinds]


@dataclass(frozen=True)
class Mean(Loss):
    """A mean, counts what is missing, and is computed as the logits come."""

    label_kinds: ClassVar[frozenset[str]] = frozenset({"score"})

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        return (logits[:, 0] - labels.nan_to_num(0.0)).square().mean().to(logits.dtype)


class Rewarding(Mean):
    """Wants logits to be far from their labels."""

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        return -super().total(logits, labels, names)


@pytest.mark.parametrize(
    ("assert_law", "faulty"),
    [
        (assert_adds_up, Mean()),
        (assert_missing_labels_count_nowhere, Mean()),
        (assert_falls_when_followed, Rewarding()),
        (assert_takes_half_precision, Mean()),
    ],
)
def test_the_law_catches_a_faulty_loss(assert_law, faulty):
    with pytest.raises(AssertionError):
        assert_law(faulty, "score")
