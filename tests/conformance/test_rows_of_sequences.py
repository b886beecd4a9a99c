# SPDX-License-Identifier: Apache-2.0
"""Laws of tasks whose rows are several sequences, on every family of text backbones."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from head_families import CONFIG_BY_FAMILY, PAD, VOCABULARY, padding_token
from torch import Tensor
from torch.testing import assert_close

from hf_mtl.models import LOSSES, MultiTaskModel
from hf_mtl.models.folding import folded
from hf_mtl.models.loading import new_backbone
from hf_mtl.models.losses.choice import ChoiceLikelihood
from hf_mtl.tasks import TaskSpec, TaskSuite

FAMILIES = sorted(CONFIG_BY_FAMILY.keys() - {"vit"})
# Families without a class for multiple choice; that head is a pooled one there.
WITHOUT_CHOICES = {"gpt2", "llama", "mistral", "qwen3", "t5"}
# Families whose native heads on rows read a decoder.
WITHOUT_SCORES = {"t5"}
ROWS = torch.tensor([0, 0, 0, 1, 1, 2, 2])
LABELS = {"ending": torch.tensor([2, 0, 1]), "better": torch.tensor([0, 0, 1])}
TASKS = list(LABELS)


def build(family: str) -> MultiTaskModel:
    """Model with random weights, in evaluation mode."""
    config = CONFIG_BY_FAMILY[family]()
    if getattr(config, "pad_token_id", PAD) is None:
        config.pad_token_id = PAD
    choices = "pooled" if family in WITHOUT_CHOICES else "native"
    scores = "pooled" if family in WITHOUT_SCORES else "native"
    suite = TaskSuite(
        {
            "ending": TaskSpec("multiple-choice", head=choices),
            "better": TaskSpec("pairwise-ranking", head=scores),
            "valence": TaskSpec("regression", head=scores),
        }
    )
    model = MultiTaskModel.from_backbone(new_backbone(config), suite)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            # Scores of new heads lie so close together that mistakes would not be seen.
            parameter += 0.3 * torch.randn_like(parameter)
    return model.double()


def sequences(family: str) -> dict[str, Tensor]:
    """Rows of three, two and two sequences; two sequences are padded on the right."""
    input_ids = torch.randint(3, VOCABULARY, (len(ROWS), 6))
    attention_mask = torch.ones_like(input_ids)
    attention_mask[2, -2:] = attention_mask[5, -1:] = 0
    return {
        "input_ids": input_ids.masked_fill(attention_mask == 0, padding_token(family)),
        "attention_mask": attention_mask,
    }


def own_rows() -> dict[str, Tensor]:
    """Only the rows of two are pairs."""
    return {"ending": torch.arange(7), "better": torch.arange(3, 7)}


def assert_rows_have_the_scores_of_their_sequences(
    model: MultiTaskModel, inputs: dict[str, Tensor]
) -> None:
    """A row has the scores that its sequences have alone, and minus infinity behind them."""
    alone = model(tasks=TASKS, **inputs).logits
    logits = model(tasks=TASKS, row_of_sequence=ROWS, rows=own_rows(), **inputs).logits
    by_hand = alone["ending"].squeeze(-1)
    wanted = torch.full((3, 3), -torch.inf, dtype=torch.float64)
    wanted[0], wanted[1, :2], wanted[2, :2] = by_hand[:3], by_hand[3:5], by_hand[5:]
    assert_close(logits["ending"], wanted)
    assert_close(logits["better"], alone["better"].squeeze(-1)[3:].view(2, 2))


def assert_a_row_without_label_counts_nowhere(
    model: MultiTaskModel, inputs: dict[str, Tensor]
) -> None:
    """The loss is that of the other rows, and there is none without any label."""
    given = {"row_of_sequence": ROWS, **inputs}
    labels = torch.tensor([2, -100, 1])
    loss = model(labels={"ending": labels}, **given).losses["ending"]
    others = {"ending": torch.tensor([0, 1, 2, 5, 6])}
    expected = model(labels={"ending": labels[[0, 2]]}, rows=others, **given).losses["ending"]
    assert_close(loss, expected)
    assert "ending" not in model(labels={"ending": torch.full((3,), -100)}, **given).losses


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_row_has_the_scores_that_its_sequences_have_alone(family):
    assert_rows_have_the_scores_of_their_sequences(build(family), sequences(family))


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - WITHOUT_SCORES))
def test_the_genuine_classes_give_the_same_bits(family):
    model, inputs = build(family), sequences(family)
    # Rows of two: what has as many choices in every row, as the genuine class wants it.
    pairs = {name: value[3:] for name, value in inputs.items()}
    logits = model(tasks=TASKS, row_of_sequence=ROWS[3:], **pairs).logits
    scores = model.to_single_task("better")(**pairs).logits
    assert torch.equal(scores.view(2, 2), logits["better"])
    if family not in WITHOUT_CHOICES:
        choices = {name: value.view(2, 2, -1) for name, value in pairs.items()}
        assert torch.equal(model.to_single_task("ending")(**choices).logits, logits["ending"])


def test_fitting_one_batch_lowers_the_loss(family):
    model, inputs = build(family), sequences(family)
    labels = LABELS | {"better": LABELS["better"][1:]}
    given = {"labels": labels, "rows": own_rows(), "row_of_sequence": ROWS, **inputs}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    before = model(**given).losses
    for _ in range(20):
        optimizer.zero_grad()
        sum(model(**given).losses.values()).backward()
        optimizer.step()
    after = model(**given).losses
    for task in labels:
        assert after[task] < 0.95 * before[task], task


def test_a_row_without_label_counts_nowhere(family):
    assert_a_row_without_label_counts_nowhere(build(family), sequences(family))


def test_every_family_is_the_same_after_reload(family, tmp_path: Path):
    model, inputs = build(family), sequences(family)
    model.save_pretrained(tmp_path)
    loaded = MultiTaskModel.from_pretrained(tmp_path)
    found = loaded(tasks=TASKS, row_of_sequence=ROWS, **inputs).logits
    for task, logits in model(tasks=TASKS, row_of_sequence=ROWS, **inputs).logits.items():
        assert torch.equal(found[task], logits), task


@pytest.mark.parametrize("family", sorted(WITHOUT_CHOICES))
def test_a_family_without_a_class_for_choices_is_told_of_a_pooled_head(family):
    backbone = new_backbone(CONFIG_BY_FAMILY[family]())
    tasks = {"ending": TaskSpec("multiple-choice")}
    with pytest.raises(ValueError, match=r"no AutoModelForMultipleChoice. Use the head 'pooled'"):
        MultiTaskModel.from_backbone(backbone, tasks)


def test_scores_that_stand_where_there_is_no_sequence_are_caught(monkeypatch):
    def full(scores: Tensor, row_of_sequence: Tensor | None) -> Tensor:
        return folded(scores, row_of_sequence).nan_to_num(neginf=0.0)

    monkeypatch.setattr("hf_mtl.models.routing.folded", full)
    with pytest.raises(AssertionError):
        assert_rows_have_the_scores_of_their_sequences(build("bert"), sequences("bert"))


def test_a_loss_of_rows_without_label_is_caught(monkeypatch):
    class Counting(ChoiceLikelihood):
        def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
            return super().total(logits, labels.clamp(min=0))

    monkeypatch.setitem(LOSSES._class_by_name, "choice", Counting)
    with pytest.raises(AssertionError):
        assert_a_row_without_label_counts_nowhere(build("bert"), sequences("bert"))
