# SPDX-License-Identifier: Apache-2.0
"""Laws of every head, on every family of backbones that the native head is promised for."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from head_families import CONFIG_BY_FAMILY, PAD, padding_token
from head_tasks import LENGTH, NUM_ROWS, batch, some_labels, suite
from torch import Tensor
from torch.nn.functional import pad
from torch.testing import assert_close

from hf_mtl.models import HEADS, LOSSES, MultiTaskModel
from hf_mtl.models.loading import new_backbone
from hf_mtl.models.losses import CrossEntropy
from hf_mtl.models.pooling import POOLINGS
from hf_mtl.tasks import TaskSpec, TaskSuite

FORMS: dict[str, Any] = {name: name for name in HEADS.names()} | {
    f"pooled-{pooling}": {"name": "pooled", "pooling": pooling, "dropout": 0.0}
    for pooling in POOLINGS
}


# Families that count padding on the left as positions. Here they do not, so that no row depends on
# the length of its neighbours; the genuine classes have to be told.
COUNTING_PADDING = {"albert", "bert", "deberta-v2", "distilbert", "electra", "gpt2"}
# Families whose native heads on rows look for real tokens.
READING_REAL_TOKENS = {"gpt2", "llama", "mistral", "modernbert", "qwen3", "t5"}
# Families that compute norms or rotary positions in float32 whatever the dtype of the model.
PARTLY_FLOAT32 = {"llama", "mistral", "modernbert", "qwen3", "t5"}


def build(family: str, tasks: TaskSuite | None = None) -> MultiTaskModel:
    """Model with random weights, in evaluation mode."""
    config = CONFIG_BY_FAMILY[family]()
    if getattr(config, "pad_token_id", PAD) is None:
        config.pad_token_id = PAD
    return MultiTaskModel.from_backbone(new_backbone(config), tasks or suite(family))


def missing_labels(labels: Tensor) -> Tensor:
    """Labels of the same kind, all of them missing."""
    return torch.full_like(labels, torch.nan if labels.is_floating_point() else -100)


def assert_fitting_lowers_the_loss(model: MultiTaskModel, inputs: Mapping[str, Tensor]) -> None:
    """Some steps on one batch lower every task's loss."""
    labels = some_labels(model.suite)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    before = model(labels=labels, **inputs).losses
    for _ in range(20):
        optimizer.zero_grad()
        sum(model(labels=labels, **inputs).losses.values()).backward()
        optimizer.step()
    after = model(labels=labels, **inputs).losses
    for task in labels:
        assert after[task] < 0.95 * before[task], task


def assert_ignored_labels_change_nothing(
    model: MultiTaskModel, inputs: Mapping[str, Tensor]
) -> None:
    """A row without labels counts neither in the sum nor in the number of a loss."""
    labels = some_labels(model.suite)
    for task in labels:
        without_last = labels[task].clone()
        without_last[-1] = missing_labels(without_last[-1])
        loss = model(labels={task: without_last}, **inputs).losses[task]
        rows = {task: torch.arange(NUM_ROWS - 1)}
        expected = model(labels={task: labels[task][:-1]}, rows=rows, **inputs).losses[task]
        assert_close(loss, expected, msg=task)
        assert task not in model(labels={task: missing_labels(labels[task])}, **inputs).losses


def assert_same_after_reload(
    model: MultiTaskModel, inputs: Mapping[str, Tensor], folder: Path
) -> None:
    """Saving and loading gives the same bits."""
    model.save_pretrained(folder)
    loaded = MultiTaskModel.from_pretrained(folder)
    assert loaded.suite == model.suite
    for task, logits in model(**inputs).logits.items():
        assert torch.equal(loaded(**inputs).logits[task], logits), task


def assert_rows_do_not_meet(model: MultiTaskModel, inputs: Mapping[str, Tensor]) -> None:
    """Rows in another order give the same logits in that order."""
    order = torch.tensor([2, 0, 3, 1])
    permuted = model(**{name: value[order] for name, value in inputs.items()}).logits
    for task, logits in model(**inputs).logits.items():
        assert_close(permuted[task], logits[order], msg=task)


def assert_gradients_stay_apart(model: MultiTaskModel, inputs: Mapping[str, Tensor]) -> None:
    """The loss of a task reaches its own head and no other."""
    for task, labels in some_labels(model.suite).items():
        model.zero_grad()
        model(tasks=list(model.suite), labels={task: labels}, **inputs).losses[task].backward()
        reached = {
            name
            for name, head in model.heads.items()
            if any(parameter.grad is not None for parameter in head.parameters())
        }
        assert reached == {task}


def assert_single_tasks_give_the_same_bits(model: MultiTaskModel, family: str) -> None:
    """The genuine class of a task gives its logits; where it counts padding, it is told."""
    inputs = {
        name: value.to(model.dtype) if value.is_floating_point() else value
        for name, value in batch(family).items()
    }
    without_left = {name: value[:3] for name, value in inputs.items()}
    told = dict(inputs)
    if family in COUNTING_PADDING:
        # By hand: row 3 has two tokens of padding on the left.
        counted = torch.arange(LENGTH).repeat(NUM_ROWS, 1)
        counted[3] = torch.tensor([0, 0, 0, 1, 2, 3])
        told["position_ids"] = counted
    native = [task for task, spec in model.suite.items() if spec.head is None]
    assert native
    for task in native:
        single = model.to_single_task(task)
        assert type(single).__module__.startswith("transformers.models."), task
        logits = model(**without_left).logits[task]
        assert torch.equal(genuine_logits(single(**without_left)), logits), task
        assert torch.equal(genuine_logits(single(**told)), model(**inputs).logits[task]), task


def genuine_logits(output: Any) -> Tensor:
    """Logits of a genuine class; those of spans are in two parts."""
    if "start_logits" in output:
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    return output.logits


def assert_padding_changes_no_logits(model: MultiTaskModel, family: str, side: str) -> None:
    """Two more positions of padding, as a longer neighbour brings them, leave logits alone."""
    inputs = {name: value[:3] for name, value in batch(family).items()}
    width = (2, 0) if side == "left" else (0, 2)
    padded = {
        name: pad(value, width, value=padding_token(family) if name == "input_ids" else 0)
        for name, value in inputs.items()
    }
    logits, expected = model(**padded).logits, model(**inputs).logits
    real, real_padded = inputs["attention_mask"].bool(), padded["attention_mask"].bool()
    by_position = [task for task in ("parts", "where", "hidden") if task in model.suite]
    for task in by_position:
        logits[task], expected[task] = logits[task][real_padded], expected[task][real]
    tolerance = 1e-5 if family in PARTLY_FLOAT32 else 1e-9
    # Heads that read the first position of a row read padding there.
    reads_first = side == "left" and family not in READING_REAL_TOKENS
    for task in by_position if reads_first else list(model.suite):
        assert_close(logits[task], expected[task], rtol=tolerance, atol=tolerance, msg=task)


def assert_merged_rows_are_separate_batches(model: MultiTaskModel, family: str) -> None:
    """Rows routed to their heads give the losses and gradients that each task has alone."""
    inputs = {
        name: value.double() if value.is_floating_point() else value
        for name, value in batch(family).items()
    }
    labels = some_labels(model.suite)
    drawn = ([2, 0], [1], [3, 2, 0], [3], [1, 0], [0, 1], [2, 3])
    rows = dict(zip(labels, map(torch.tensor, drawn), strict=False))
    own = {task: labels[task][rows[task]] for task in labels}

    merged = model(labels=own, rows=rows, **inputs).losses
    merged_gradients = gradients(model, merged)
    separate = {
        task: model(
            labels={task: own[task]}, **{name: value[rows[task]] for name, value in inputs.items()}
        ).losses[task]
        for task in labels
    }
    assert_close(merged, separate, rtol=1e-9, atol=1e-12)
    tolerance = (
        {"rtol": 1e-4, "atol": 1e-6} if family in PARTLY_FLOAT32 else {"rtol": 1e-9, "atol": 1e-12}
    )
    assert_close(merged_gradients, gradients(model, separate), **tolerance)


def gradients(model: MultiTaskModel, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradient of the sum of the losses by parameter."""
    model.zero_grad()
    sum(losses.values()).backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


@pytest.fixture(params=sorted(CONFIG_BY_FAMILY))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=sorted(FORMS))
def model(request: pytest.FixtureRequest) -> MultiTaskModel:
    """BERT with heads of one form, on tasks that the form suits."""
    entry = FORMS[request.param]
    moods = TaskSpec("multi-label-classification", labels=("a", "b", "c"), head=entry)
    if entry == "chain":
        return build("bert", TaskSuite({"moods": moods, "others": moods}))
    tasks = {"topic": TaskSpec("text-classification", labels=("a", "b", "c"), head=entry)}
    tasks |= {"valence": TaskSpec("regression", head=entry), "moods": moods}
    return build("bert", TaskSuite(tasks))


@pytest.fixture
def planted() -> Iterator[MultiTaskModel]:
    """A model for faults to be planted in."""
    return build("bert")


@pytest.mark.parametrize("entry", FORMS.values(), ids=FORMS)
def test_a_head_is_built_again_from_its_config(entry):
    head = HEADS.build(entry)
    assert HEADS.build(HEADS.to_config(head)) == head


def test_fitting_one_batch_lowers_the_loss_of_every_form_of_head(model):
    assert_fitting_lowers_the_loss(model, batch("bert"))


def test_ignored_labels_change_nothing_in_any_form_of_head(model):
    assert_ignored_labels_change_nothing(model, batch("bert"))


def test_every_form_of_head_is_the_same_after_reload(model, tmp_path):
    assert_same_after_reload(model, batch("bert"), tmp_path)


def test_rows_do_not_meet_in_any_form_of_head(model):
    assert_rows_do_not_meet(model, batch("bert"))


def test_gradients_stay_apart_in_every_form_of_head(model):
    assert_gradients_stay_apart(model, batch("bert"))


def test_fitting_one_batch_lowers_the_loss_on_every_family(family):
    assert_fitting_lowers_the_loss(build(family), batch(family))


def test_ignored_labels_change_nothing_on_any_family(family):
    assert_ignored_labels_change_nothing(build(family), batch(family))


def test_every_family_is_the_same_after_reload(family, tmp_path):
    assert_same_after_reload(build(family), batch(family), tmp_path)


def test_rows_do_not_meet_on_any_family(family):
    assert_rows_do_not_meet(build(family), batch(family))


def test_gradients_stay_apart_on_every_family(family):
    assert_gradients_stay_apart(build(family), batch(family))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_to_single_task_gives_the_same_bits_on_every_family(family, dtype):
    assert_single_tasks_give_the_same_bits(build(family).to(dtype), family)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", sorted(CONFIG_BY_FAMILY.keys() - {"vit"}))
def test_a_longer_neighbour_in_the_batch_changes_no_logits(family, side):
    assert_padding_changes_no_logits(build(family).double(), family, side)


def test_merged_rows_give_the_losses_and_gradients_of_separate_batches(family):
    assert_merged_rows_are_separate_batches(build(family).double(), family)


def test_a_head_that_cannot_learn_is_caught(planted):
    planted.heads["topic"].register_forward_hook(lambda head, given, logits: 0 * logits)
    with pytest.raises(AssertionError, match="topic"):
        assert_fitting_lowers_the_loss(planted, batch("bert"))


def test_a_loss_that_counts_ignored_labels_is_caught(planted, monkeypatch):
    class Counting(CrossEntropy):
        def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
            return super().total(logits, labels.clamp(min=0))

    monkeypatch.setitem(LOSSES._class_by_name, "cross_entropy", Counting)
    with pytest.raises(AssertionError, match="topic"):
        assert_ignored_labels_change_nothing(planted, batch("bert"))


def test_a_head_with_unsaved_state_is_caught(planted, tmp_path):
    planted.heads["parts"].register_forward_hook(lambda head, given, logits: 2 * logits)
    with pytest.raises(AssertionError, match="parts"):
        assert_same_after_reload(planted, batch("bert"), tmp_path)


def test_a_head_that_mixes_rows_is_caught(planted):
    planted.heads["valence"].register_forward_hook(lambda head, given, logits: logits.cumsum(0))
    with pytest.raises(AssertionError, match="valence"):
        assert_rows_do_not_meet(planted, batch("bert"))


def test_a_head_that_uses_another_head_is_caught(planted):
    other = planted.heads["parts"].model.classifier.bias
    planted.heads["topic"].register_forward_hook(lambda head, given, logits: logits + other.sum())
    with pytest.raises(AssertionError):
        assert_gradients_stay_apart(planted, batch("bert"))


def test_a_head_that_a_single_task_does_not_have_is_caught(planted):
    planted.heads["valence"].register_forward_hook(lambda head, given, logits: 2 * logits)
    with pytest.raises(AssertionError, match="valence"):
        assert_single_tasks_give_the_same_bits(planted, "bert")


def test_a_head_that_counts_padding_is_caught(planted):
    by_length = planted.double().heads["parts"]
    by_length.register_forward_hook(lambda head, given, logits: logits * logits.shape[1])
    with pytest.raises(AssertionError, match="parts"):
        assert_padding_changes_no_logits(planted, "bert", "right")


def test_a_head_that_sees_the_rows_of_other_tasks_is_caught(planted):
    backbone = planted.double().backbone.embeddings.word_embeddings
    backbone.register_forward_hook(lambda module, given, output: output + output.mean(0))
    with pytest.raises(AssertionError):
        assert_merged_rows_are_separate_batches(planted, "bert")
