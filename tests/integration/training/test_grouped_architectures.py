# SPDX-License-Identifier: Apache-2.0
"""One grouped backward against a backward for each task, on every family of backbones."""

from collections.abc import Sequence

import pytest
import torch
from gradient_sums import GradientSums, assert_same_gradients
from slow_cells import some_fast
from tiny_backbones import CONFIGS, backbone_of, batch_for
from torch import Tensor, nn

from hf_mtl.training.engines.grouped import RowGroups, grouped, ungroupable

FAST = {"bert", "gpt2"}
# Task 0 has rows in two places, task 1 a single row.
SEGMENTS = [(0, 0, 3), (1, 3, 4), (2, 4, 6), (0, 6, 7)]
TASKS = range(3)
NUM_ROWS = 7

over_families = pytest.mark.parametrize("family", some_fast(CONFIGS, FAST))

Batch = dict[str, Tensor]


def rows_of(task: int) -> Tensor:
    return torch.cat(
        [torch.arange(start, stop) for group, start, stop in SEGMENTS if group == task]
    )


def task_loss(hidden: Tensor, rows: Tensor, task: int) -> Tensor:
    """A loss of its own for each task; each row and position counts differently."""
    generator = torch.Generator().manual_seed(task)
    head = torch.randn(hidden.shape[-1], generator=generator).to(hidden)
    shares = torch.randn(NUM_ROWS, hidden.shape[1], generator=generator).to(hidden)[rows]
    return (torch.tanh(hidden @ head) * shares).sum()


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def separate_gradients(
    model: nn.Module, batch: Batch, tasks: Sequence[int] = TASKS
) -> dict[int, dict[str, Tensor]]:
    """Gradients of each task from a pass over its rows alone."""
    parameters = trained(model)
    found = {}
    for task in tasks:
        rows = rows_of(task)
        hidden = model(**{key: value[rows] for key, value in batch.items()})[0]
        gradients = torch.autograd.grad(
            task_loss(hidden, rows, task), list(parameters.values()), materialize_grads=True
        )
        found[task] = dict(zip(parameters, gradients, strict=True))
    return found


def total_loss(model: nn.Module, batch: Batch) -> Tensor:
    hidden = model(**batch)[0]
    return torch.stack([task_loss(hidden[rows_of(t)], rows_of(t), t) for t in TASKS]).sum()


def grouped_gradients(model: nn.Module, *batches: Batch) -> GradientSums:
    """Gradients of each task from one pass over each batch."""
    sums = GradientSums()
    for batch in batches:
        sums.finished = []
        groups = RowGroups(NUM_ROWS, SEGMENTS, list(TASKS))
        with grouped(model, trained(model), groups, sums) as grouping:
            total_loss(model, batch).backward()
            grouping.after_backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    return sums


@over_families
def test_the_gradients_are_those_of_each_task_alone(family):
    model, batch = backbone_of(family), batch_for(family, NUM_ROWS)
    assert ungroupable(model, trained(model)) == {}
    sums = grouped_gradients(model, batch)
    assert_same_gradients(sums, separate_gradients(model, batch), trained(model))


@over_families
@pytest.mark.parametrize("length", [NUM_ROWS, 2])
def test_the_length_of_the_rows_does_not_matter(family, length):
    """As many positions as rows, or as heads, must not be mistaken for them."""
    model, batch = backbone_of(family), batch_for(family, NUM_ROWS, length)
    sums = grouped_gradients(model, batch)
    assert_same_gradients(sums, separate_gradients(model, batch), trained(model))


@over_families
def test_one_row_alone_is_a_batch(family):
    model, batch = backbone_of(family), batch_for(family, 1)
    head = torch.linspace(-1, 1, 16).double()
    parameters, sums = trained(model), GradientSums()
    with grouped(model, parameters, RowGroups(1, [(0, 0, 1)], [0]), sums):
        torch.tanh(model(**batch)[0] @ head).sum().backward()
    gradients = torch.autograd.grad(
        torch.tanh(model(**batch)[0] @ head).sum(),
        list(parameters.values()),
        materialize_grads=True,
    )
    assert_same_gradients(sums, {0: dict(zip(parameters, gradients, strict=True))}, parameters)


@over_families
def test_every_parameter_is_finished_once(family):
    model = backbone_of(family)
    sums = grouped_gradients(model, batch_for(family, NUM_ROWS))
    told = {parameter for parameter, _ in sums.sums}
    assert len(sums.finished) == len(set(sums.finished))
    assert set(sums.finished) == told


def with_lora(family: str) -> nn.Module:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=2, target_modules="all-linear", lora_dropout=0.0, fan_in_fan_out=family == "gpt2"
    )
    model = peft.get_peft_model(backbone_of(family), config).double()
    with torch.no_grad():
        for parameter in trained(model).values():
            parameter += 0.3 * torch.randn_like(parameter)  # one factor begins as 0
    return model


@over_families
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft
def test_the_gradients_of_low_rank_adapters_are_those_of_each_task_alone(family):
    model, batch = with_lora(family), batch_for(family, NUM_ROWS)
    assert ungroupable(model, trained(model)) == {}
    sums = grouped_gradients(model, batch)
    assert len(sums.sums) == 3 * len([name for name in trained(model) if "pooler" not in name])
    assert_same_gradients(sums, separate_gradients(model, batch), trained(model))


@over_families
def test_activation_checkpointing_changes_nothing(family):
    model, batch = backbone_of(family), batch_for(family, NUM_ROWS)
    if not model.supports_gradient_checkpointing:
        pytest.skip("transformers does not checkpoint this family")
    expected = separate_gradients(model, batch)
    model.activation_checkpointing_enable({"use_reentrant": False})
    sums = grouped_gradients(model, batch)
    assert_same_gradients(sums, expected, trained(model))
    assert len(sums.finished) == len(set(sums.finished))


@over_families
def test_gradients_of_several_batches_add_up(family):
    model = backbone_of(family)
    first, second = batch_for(family, NUM_ROWS), batch_for(family, NUM_ROWS + 1)
    second = {key: value[:NUM_ROWS] for key, value in second.items()}
    sums = grouped_gradients(model, first, second)
    parts = [separate_gradients(model, batch) for batch in (first, second)]
    expected = {
        task: {name: parts[0][task][name] + parts[1][task][name] for name in parts[0][task]}
        for task in TASKS
    }
    assert_same_gradients(sums, expected, trained(model))


def whole_gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """What a backward leaves in `.grad`."""
    loss.backward()
    found = {
        name: torch.zeros_like(each) if each.grad is None else each.grad
        for name, each in trained(model).items()
    }
    model.zero_grad()
    return found


@over_families
def test_a_second_backward_through_the_same_graph_gives_plain_gradients(family):
    model, batch = backbone_of(family), batch_for(family, NUM_ROWS)
    expected = whole_gradients(model, total_loss(model, batch))
    sums = GradientSums()
    groups = RowGroups(NUM_ROWS, SEGMENTS, list(TASKS))
    with grouped(model, trained(model), groups, sums) as grouping:
        loss = total_loss(model, batch)
        loss.backward(retain_graph=True)
        grouping.after_backward()
        assert all(parameter.grad is None for parameter in model.parameters())
        grouping.is_split = False
        found = whole_gradients(model, loss)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert_same_gradients(sums, separate_gradients(model, batch), trained(model))


@over_families
def test_mixed_precision_gives_what_it_gives_each_task_alone(family):
    model = backbone_of(family, torch.float32)
    batch = {
        key: value.float() if value.is_floating_point() else value
        for key, value in batch_for(family, NUM_ROWS).items()
    }
    with torch.autocast("cpu", torch.bfloat16):
        expected = separate_gradients(model, batch)
        sums = grouped_gradients(model, batch)
    for task, gradients in expected.items():
        found = torch.cat([sums.of(each, task).flatten() for each in trained(model).values()])
        wanted = torch.cat([each.flatten() for each in gradients.values()])
        assert (found - wanted).norm() <= 0.02 * wanted.norm()


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_with_dropout_the_tasks_gradients_add_up_to_the_plain_one(family):
    model, batch = backbone_of(family), batch_for(family, NUM_ROWS)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.3
    torch.manual_seed(5)
    expected = whole_gradients(model, total_loss(model, batch))
    torch.manual_seed(5)
    sums = grouped_gradients(model, batch)
    for name, parameter in trained(model).items():
        total = torch.stack([sums.of(parameter, task) for task in TASKS]).sum(0)
        torch.testing.assert_close(total, expected[name], rtol=1e-9, atol=1e-12)
