# SPDX-License-Identifier: Apache-2.0
"""What can be grouped, what is refused, and that a model is left as it was."""

import pytest
import torch
from gradient_sums import GradientSums
from tiny_backbones import backbone_of, batch_for
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoModel, DebertaConfig, OPTConfig, XLNetConfig

from hf_mtl.training.engines.grouped import RowGroups, grouped, ungroupable

X = torch.arange(12.0).view(4, 3)


def groups(num_rows: int = 4, tasks: tuple[int | None, int | None] = (0, 1)) -> RowGroups:
    return RowGroups(num_rows, [(0, 0, 1), (1, 1, num_rows)], list(tasks))


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    return dict(model.named_parameters())


def reasons(model: nn.Module) -> dict[str, str]:
    return ungroupable(model, parameters_of(model))


class Shifted(nn.Module):
    """A layer that nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


class Uncalled(nn.Module):
    """A layer whose weight is used without a call of the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.inner.weight


def test_a_layer_that_is_not_known_is_named():
    model = nn.Sequential(nn.Linear(3, 3), Shifted())
    assert reasons(model) == {"1.shift": "Shifted: how it uses its parameters is not known"}


def test_known_layers_are_not_named_and_parameters_of_other_models_are():
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    assert reasons(model) == {}
    other = nn.Parameter(torch.zeros(2))
    assert ungroupable(model, {"head.bias": other}) == {"head.bias": "not in the model"}


@pytest.mark.parametrize("option", ["sparse", "scale_grad_by_freq"])
def test_embeddings_with_gradients_of_another_kind_are_named(option):
    model = nn.Sequential(nn.Embedding(3, 2, **{option: True}))
    assert list(reasons(model)) == ["0.weight"]
    assert "`max_norm`" in reasons(nn.Sequential(nn.Embedding(3, 2, max_norm=1.0)))["0.weight"]


def test_subclasses_and_reparametrised_layers_are_named():
    class Scaled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    normed = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    assert set(reasons(Scaled(3, 3))) == {"weight", "bias"}
    assert set(reasons(normed)) == {
        "bias",
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    }
    assert set(reasons(nn.MultiheadAttention(4, 2))) == set(
        parameters_of(nn.MultiheadAttention(4, 2))
    )


def test_a_layer_whose_forward_was_replaced_is_named():
    model = nn.Sequential(nn.Linear(3, 3))
    model[0].forward = lambda x: x
    assert "replaced" in reasons(model)["0.weight"]


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")  # of torch
def test_compiled_layers_are_named():
    compiled = nn.Sequential(nn.Linear(3, 3, bias=False))
    compiled[0].compile()
    assert "compiled" in reasons(compiled)["0.weight"]
    assert "compiled" in reasons(torch.compile(nn.Linear(3, 3)))["_orig_mod.weight"]


def test_embeddings_of_relative_positions_that_are_not_known_are_named():
    model = nn.ModuleDict({"relative_key": nn.Embedding(4, 2), "rel_pos": nn.Embedding(4, 2)})
    assert set(reasons(model)) == {"relative_key.weight", "rel_pos.weight"}


@pytest.mark.parametrize(
    "config",
    [
        XLNetConfig(vocab_size=20, d_model=8, n_layer=1, n_head=2, d_inner=8),
        OPTConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2),
    ],
    ids=["time first", "all tokens first"],
)
def test_families_whose_layers_have_no_rows_in_front_are_named(config):
    model = AutoModel.from_config(config)
    assert reasons(model).keys() == parameters_of(model).keys()


def test_the_first_deberta_is_named():
    config = DebertaConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        max_relative_positions=4,
    )
    named = reasons(AutoModel.from_config(config))
    assert any("in_proj" in name for name in named)
    assert any("rel_embeddings" in name for name in named)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft
def test_adapters_that_compute_with_weights_are_named():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["query"], use_dora=True)
    model = peft.get_peft_model(backbone_of("bert"), config)
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    assert set(ungroupable(model, trained)) == set(trained)


def test_a_gradient_from_outside_of_its_layer_is_refused():
    model = Uncalled()
    with (
        pytest.raises(RuntimeError, match=r"`inner\.weight` got .*gradient_engine='streaming'"),
        grouped(model, parameters_of(model), groups(), GradientSums()),
    ):
        model(X).sum().backward()


def test_an_input_without_rows_is_refused():
    model = nn.Sequential(nn.Linear(3, 2))
    with (
        pytest.raises(
            RuntimeError, match=r"`0` .* 4 rows of .* \[8, 3\].*gradient_engine='streaming'"
        ),
        grouped(model, parameters_of(model), groups(), GradientSums()),
    ):
        model(X.repeat(2, 1))


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "t5", "vit"])
def test_the_model_is_left_as_it_was_also_by_an_error(family):
    model = backbone_of(family)
    before = [sorted(vars(module)) for module in model.modules()]
    tensors = [dict(module._parameters) for module in model.modules()]
    with (
        pytest.raises(RuntimeError, match="rows of the batch"),
        grouped(model, parameters_of(model), groups(2), GradientSums()),
    ):
        model(**batch_for(family, 3))
    assert [sorted(vars(module)) for module in model.modules()] == before
    for module, held in zip(model.modules(), tensors, strict=True):
        assert all(module._parameters[key] is value for key, value in held.items())
    assert all(not each._backward_hooks for each in model.parameters())


def test_an_error_of_the_caller_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(KeyError), grouped(model, parameters_of(model), groups(), GradientSums()):
        raise KeyError
    assert "forward" not in vars(model[0])
    model(X).sum().backward()
    assert model[0].weight.grad is not None


def test_nothing_is_split_where_no_gradients_are_wanted():
    model = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad(), grouped(model, parameters_of(model), groups(), GradientSums()):
        assert model(X.repeat(2, 1)).shape == (8, 2)


def test_a_source_with_two_tasks_has_two_backwards_over_one_graph():
    model = nn.Sequential(nn.Linear(3, 2, bias=False)).double()
    x, sums = X.double(), GradientSums()
    both = groups(tasks=(0, 1))
    with grouped(model, parameters_of(model), both, sums) as grouping:
        output = model(x)
        (output[0].sum() + output[1:].square().sum()).backward(retain_graph=True)
        grouping.after_backward()
        both.tasks, sums.finished = (None, 2), []
        output[1:].sum().backward()
        grouping.after_backward()
    weight = model[0].weight
    assert sums.of(weight, 0).tolist() == [[0, 1, 2]] * 2
    assert sums.of(weight, 2).tolist() == [[3 + 6 + 9, 4 + 7 + 10, 5 + 8 + 11]] * 2
    assert sums.finished == [weight]


def test_a_parameter_is_finished_with_its_last_use():
    first, shared = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    model = nn.Sequential(shared, first, shared)
    order: list[nn.Parameter] = []
    sums = GradientSums()
    with grouped(model, parameters_of(model), groups(), sums):
        model(X).sum().backward()
        order = list(sums.finished)
    assert [each is first.weight for each in order] == [True, False]
    assert order[1] is shared.weight


def test_a_parameter_that_the_backward_does_not_pass_everywhere_is_finished_after_it():
    layer = nn.Linear(3, 3, bias=False)
    sums = GradientSums()
    with grouped(layer, parameters_of(layer), groups(), sums) as grouping:
        layer(X)  # of which there is no loss
        layer(X).sum().backward()
        assert sums.finished == []
        grouping.after_backward()
    assert sums.finished == [layer.weight]


def test_what_is_recomputed_is_not_counted_again():
    layer = nn.Linear(3, 3)
    sums = GradientSums()
    x = X.clone().requires_grad_()
    with grouped(layer, parameters_of(layer), groups(), sums):
        torch.tanh(checkpoint(layer, x, use_reentrant=False)).sum().backward()
        assert set(sums.finished) == {layer.weight, layer.bias}
