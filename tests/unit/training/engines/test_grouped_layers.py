# SPDX-License-Identifier: Apache-2.0
"""Every kind of layer, grouped, against gradients that can be worked out by hand or row by row."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from gradient_sums import GradientSums
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import GPT2Config, GPT2Model, LlamaConfig, LlamaModel

from hf_mtl.training.engines.grouped import RowGroups, grouped

# Group 0 has the rows 0, 1 and 4, group 1 the rows 2 and 3.
SEGMENTS = [(0, 0, 2), (1, 2, 4), (0, 4, 5)]
ROWS = {0: [0, 1, 4], 1: [2, 3]}


def conv1d() -> nn.Module:
    """The layer of GPT-2 that has its weight as `[in, out]`."""
    config = GPT2Config(n_embd=3, n_head=1, n_layer=1, vocab_size=4, bos_token_id=0, eos_token_id=1)
    return GPT2Model(config).h[0].mlp.c_fc


def rms_norm() -> nn.Module:
    sizes = {"hidden_size": 3, "num_hidden_layers": 1, "num_attention_heads": 1}
    return LlamaModel(LlamaConfig(**sizes, vocab_size=4, intermediate_size=3)).norm


class TokenEmbeddings(nn.Module):
    """A token in front of each row, and positions."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, 3))
        self.position_embeddings = nn.Parameter(torch.randn(1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.cls_token.expand(len(x), -1, -1)
        return torch.cat([tokens, x], dim=1) * self.position_embeddings


class RelativeBias(nn.Module):
    """A bias that no row has its own of, as T5 and MPNet have it."""

    def __init__(self) -> None:
        super().__init__()
        self.relative_attention_bias = nn.Embedding(4, 2)

    def compute_bias(self, length: int) -> Tensor:
        distances = torch.arange(length)[:, None] - torch.arange(length) + 2
        return self.relative_attention_bias(distances).permute(2, 0, 1)[None]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.compute_bias(x.shape[-1])


VECTORS = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1)).double()
LAYERS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "linear": (lambda: nn.Linear(3, 4), VECTORS),
    "linear of pooled rows": (lambda: nn.Linear(3, 4, bias=False), VECTORS[:, 0]),
    "linear of four axes": (lambda: nn.Linear(3, 2), VECTORS[:, None]),
    "conv1d": (conv1d, VECTORS),
    "embedding": (
        lambda: nn.Embedding(6, 3),
        torch.tensor([[0, 1], [1, 1], [2, 5], [5, 0], [3, 1]]),
    ),
    "embedding with padding": (
        lambda: nn.Embedding(6, 3, padding_idx=1),
        torch.tensor([[0, 1], [1, 1], [2, 5], [5, 0], [3, 1]]),
    ),
    "layer norm": (lambda: nn.LayerNorm(3), VECTORS),
    "layer norm of two axes": (lambda: nn.LayerNorm((2, 3)), VECTORS),
    "layer norm without bias": (lambda: nn.LayerNorm(3, bias=False), VECTORS),
    "rms norm of a family": (rms_norm, VECTORS),
    "rms norm of torch": (lambda: nn.RMSNorm(3), VECTORS),
    "patches": (lambda: nn.Conv2d(2, 3, 2, stride=2), VECTORS.repeat(1, 1, 4).view(5, 2, 4, 3)),
    "convolution over time": (lambda: nn.Conv1d(2, 4, 2), VECTORS),
    "tokens": (TokenEmbeddings, VECTORS),
    "relative bias": (RelativeBias, VECTORS[:, None, :, :2]),
}

over_layers = pytest.mark.parametrize("kind", LAYERS)


def built(kind: str) -> tuple[nn.Module, Tensor, Tensor]:
    """Layer, input, and what each element of the output counts."""
    torch.manual_seed(0)
    build, x = LAYERS[kind]
    layer = build().double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    return layer, x.clone(), torch.randn_like(layer(x))


def groups(tasks: tuple[int | None, int | None] = (0, 1)) -> RowGroups:
    return RowGroups(5, SEGMENTS, list(tasks))


def separate(layer: nn.Module, x: Tensor, counts: Tensor, rows: list[int]) -> tuple[Tensor, ...]:
    """Gradients of the parameters from these rows alone."""
    total = (torch.tanh(layer(x[rows])) * counts[rows]).sum()
    return torch.autograd.grad(total, list(layer.parameters()))


def run(layer: nn.Module, x: Tensor, counts: Tensor, tasks=(0, 1)) -> GradientSums:
    sums = GradientSums()
    with grouped(layer, dict(layer.named_parameters()), groups(tasks), sums) as grouping:
        (torch.tanh(layer(x)) * counts).sum().backward()
        grouping.after_backward()
    return sums


@over_layers
def test_a_task_gets_the_gradient_of_its_rows(kind):
    layer, x, counts = built(kind)
    sums = run(layer, x, counts)
    for task, rows in ROWS.items():
        expected = separate(layer, x, counts, rows)
        for parameter, gradient in zip(layer.parameters(), expected, strict=True):
            assert_close(sums.of(parameter, task), gradient, rtol=1e-12, atol=1e-12)
            assert parameter.grad is None


@over_layers
def test_the_input_gets_the_gradient_that_it_has_without_groups(kind):
    layer, x, counts = built(kind)
    if not x.is_floating_point():
        return
    x.requires_grad_()
    (torch.tanh(layer(x)) * counts).sum().backward()
    expected, x.grad = x.grad, None
    run(layer, x, counts)
    assert_close(x.grad, expected, rtol=1e-12, atol=1e-12)


@over_layers
def test_a_group_without_a_loss_in_this_backward_is_left_out(kind):
    layer, x, counts = built(kind)
    sums = run(layer, x, counts, tasks=(None, 7))
    assert {task for _, task in sums.sums} == {7}
    expected = separate(layer, x, counts, ROWS[1])
    for parameter, gradient in zip(layer.parameters(), expected, strict=True):
        assert_close(sums.of(parameter, 7), gradient, rtol=1e-12, atol=1e-12)


@over_layers
def test_groups_of_one_task_are_added_up(kind):
    layer, x, counts = built(kind)
    sums = run(layer, x, counts, tasks=(4, 4))
    expected = separate(layer, x, counts, list(range(5)))
    for parameter, gradient in zip(layer.parameters(), expected, strict=True):
        assert_close(sums.of(parameter, 4), gradient, rtol=1e-12, atol=1e-12)


@over_layers
def test_without_splitting_the_gradients_are_plain(kind):
    layer, x, counts = built(kind)
    expected = separate(layer, x, counts, list(range(5)))
    sums = GradientSums()
    with grouped(layer, dict(layer.named_parameters()), groups(), sums) as grouping:
        grouping.is_split = False
        (torch.tanh(layer(x)) * counts).sum().backward()
    assert sums.sums == {}
    assert_close([each.grad for each in layer.parameters()], list(expected))


@over_layers
def test_parameters_that_are_not_asked_for_get_their_gradients_as_always(kind):
    layer, x, counts = built(kind)
    expected = separate(layer, x, counts, list(range(5)))
    (name, asked), *others = layer.named_parameters()
    sums = GradientSums()
    with grouped(layer, {name: asked}, groups(), sums):
        (torch.tanh(layer(x)) * counts).sum().backward()
    assert asked.grad is None
    assert {parameter for parameter, _ in sums.sums} == {asked}
    assert_close([each.grad for _, each in others], list(expected[1:]))


@over_layers
def test_frozen_parameters_get_nothing(kind):
    layer, x, counts = built(kind)
    (name, first), *others = layer.named_parameters()
    for _, parameter in others:
        parameter.requires_grad_(False)
    sums = GradientSums()
    with grouped(layer, {name: first}, groups(), sums):
        (torch.tanh(layer(x)) * counts).sum().backward()
    assert {parameter for parameter, _ in sums.sums} == {first}


def test_a_linear_layer_by_hand():
    layer = nn.Linear(1, 1).double()
    x = torch.tensor([[1.0], [2.0], [10.0], [20.0], [4.0]]).double()
    sums = GradientSums()
    with grouped(layer, dict(layer.named_parameters()), groups(), sums):
        layer(x).sum().backward()
    assert [sums.of(layer.weight, task).item() for task in (0, 1)] == [1 + 2 + 4, 10 + 20]
    assert [sums.of(layer.bias, task).item() for task in (0, 1)] == [3, 2]


def test_positions_without_rows_count_once_for_each_row():
    layer = nn.Embedding(4, 1).double()
    sums = GradientSums()
    with grouped(layer, {"weight": layer.weight}, groups(), sums):
        layer(torch.tensor([[0, 2]])).sum().backward()
    assert sums.of(layer.weight, 0).flatten().tolist() == [3, 0, 3, 0]
    assert sums.of(layer.weight, 1).flatten().tolist() == [2, 0, 2, 0]


def test_positions_without_rows_may_be_changed_in_place():
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.positions = nn.Embedding(4, 1)

        def forward(self) -> Tensor:
            found = self.positions(torch.tensor([[0, 2]]))
            found *= 2.0
            return found

    model, sums = Doubled(), GradientSums()
    with grouped(model, dict(model.named_parameters()), groups(), sums):
        model().sum().backward()
    assert sums.of(model.positions.weight, 0).flatten().tolist() == [2 * 3, 0, 2 * 3, 0]
    assert sums.of(model.positions.weight, 1).flatten().tolist() == [2 * 2, 0, 2 * 2, 0]


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("linear", "input"), ("conv1d", "x"), ("patches", "input"), ("layer norm", "input")],
)
def test_a_layer_takes_its_input_by_the_name_that_it_has_outside(kind, argument):
    layer, x, _ = built(kind)
    with grouped(layer, dict(layer.named_parameters()), groups(), GradientSums()):
        assert_close(layer(**{argument: x}), layer(x))


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Embedding(8, 3), torch.arange(5)),
        (nn.Linear(5, 2), torch.ones(5)),
        (nn.LayerNorm(5), torch.ones(5)),
        (nn.LayerNorm((5, 3)), torch.ones(5, 3)),
        (nn.RMSNorm(5), torch.ones(5)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_an_axis_that_is_as_long_as_the_batch_by_chance_is_not_taken_for_its_rows(layer, x):
    parameters = dict(layer.named_parameters())
    with (
        pytest.raises(RuntimeError, match=r"the 5 rows of the batch.*gradient_engine='streaming'"),
        grouped(layer, parameters, groups(), GradientSums()),
    ):
        layer(x)


def test_a_tied_weight_gets_the_gradients_of_both_uses():
    table, out = nn.Embedding(4, 2).double(), nn.Linear(2, 4, bias=False).double()
    out.weight = table.weight
    model = nn.Sequential(table, out)
    x = torch.tensor([[0], [1], [2], [2], [0]])
    sums = GradientSums()
    with grouped(model, {"0.weight": table.weight}, groups(), sums) as grouping:
        torch.tanh(model(x)).sum().backward()
        assert sums.finished == [table.weight]
        grouping.after_backward()
    for task, rows in ROWS.items():
        (expected,) = torch.autograd.grad(torch.tanh(model(x[rows])).sum(), [table.weight])
        assert_close(sums.of(table.weight, task), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    list(
        product(
            [kind for kind in LAYERS if not kind.startswith("embedding")],
            [torch.bfloat16, torch.float16],
        )
    ),
    ids=str,
)
def test_mixed_precision_computes_what_the_layer_computes(kind, dtype):
    layer, x, counts = built(kind)
    layer, x, counts = layer.float(), x.float(), counts.float()
    with torch.autocast("cpu", dtype):
        expected = layer(x)
        gradients = separate(layer, x, counts, ROWS[0])
        sums = GradientSums()
        with grouped(layer, dict(layer.named_parameters()), groups(), sums):
            found = layer(x)
            (torch.tanh(found) * counts).sum().backward()
    assert found.dtype == expected.dtype
    assert_close(found, expected)
    for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
        assert_close(sums.of(parameter, 0), gradient, rtol=0.03, atol=0.03)
