# SPDX-License-Identifier: Apache-2.0
"""The state of an optimizer by names of parameters."""

import pytest
import torch
from torch import nn

from hf_mtl.training.checkpoints.optimizer_state import loading_by_name, parameter_names


def model_with(*tasks):
    heads = nn.ModuleDict({task: nn.Linear(1, 1) for task in tasks})
    return nn.ModuleDict({"backbone": nn.Linear(1, 1), "heads": heads})


def optimizer_of(model, lr=0.5):
    weights = [each for name, each in model.named_parameters() if name.endswith("weight")]
    biases = [each for name, each in model.named_parameters() if name.endswith("bias")]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": biases}]
    return torch.optim.SGD(groups, lr=lr, momentum=0.9)


def momenta(model, optimizer):
    return {
        name: float(optimizer.state[each]["momentum_buffer"])
        for name, each in model.named_parameters()
        if "momentum_buffer" in optimizer.state[each]
    }


def step(model, optimizer):
    """The n-th parameter gets the momentum n."""
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, float(number))
    optimizer.param_groups[0]["weight_decay"] = 0.0
    optimizer.step()
    optimizer.param_groups[0]["weight_decay"] = 0.1


def test_names_are_those_of_the_model_by_group():
    model = model_with("a")
    assert parameter_names(model, optimizer_of(model)) == [
        ["backbone.weight", "heads.a.weight"],
        ["backbone.bias", "heads.a.bias"],
    ]


def test_names_are_the_same_when_the_model_is_compiled():
    compiled = nn.ModuleDict({"_orig_mod": nn.Linear(1, 1, bias=False)})
    model = nn.ModuleDict({"backbone": compiled})
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    assert parameter_names(model, optimizer) == [["backbone.weight"]]


def test_parameters_beside_the_model_are_numbered():
    model = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False)})
    others = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.SGD([others[0], model["a"].weight, others[1]], lr=1)
    assert parameter_names(model, optimizer) == [["other 0", "a.weight", "other 1"]]


def test_what_is_kept_has_its_momentum_what_is_new_has_none_and_what_left_is_dropped():
    before, after = model_with("old", "kept"), model_with("kept", "new")
    saved, current = optimizer_of(before), optimizer_of(after, lr=9.0)
    step(before, saved)
    names = parameter_names(before, saved), parameter_names(after, current)
    with loading_by_name(current, *names):
        current.load_state_dict(saved.state_dict())
    assert momenta(before, saved) == {
        "backbone.weight": 0,
        "backbone.bias": 1,
        "heads.old.weight": 2,
        "heads.old.bias": 3,
        "heads.kept.weight": 4,
        "heads.kept.bias": 5,
    }
    assert momenta(after, current) == {
        "backbone.weight": 0,
        "backbone.bias": 1,
        "heads.kept.weight": 4,
        "heads.kept.bias": 5,
    }
    assert [group["lr"] for group in current.param_groups] == [0.5, 0.5]
    assert [group["weight_decay"] for group in current.param_groups] == [0.1, 0]


def test_outside_the_block_an_optimizer_loads_as_ever():
    before, after = model_with("a", "b"), model_with("b")
    saved, current = optimizer_of(before), optimizer_of(after)
    with loading_by_name(current, parameter_names(before, saved), parameter_names(after, current)):
        pass
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        current.load_state_dict(saved.state_dict())


@pytest.mark.parametrize("saved", [None, [["backbone.weight"]]])
def test_nothing_is_rearranged_where_names_are_unknown_or_the_same(saved):
    model = nn.ModuleDict({"backbone": nn.Linear(1, 1, bias=False)})
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    step(model, optimizer)
    again = torch.optim.SGD(model.parameters(), lr=9.0, momentum=0.9)
    with loading_by_name(again, saved, parameter_names(model, again)):
        again.load_state_dict(optimizer.state_dict())
    assert momenta(model, again) == {"backbone.weight": 0}


def test_another_number_of_groups_is_refused():
    before, after = model_with("a"), model_with("b")
    saved, current = optimizer_of(before), torch.optim.SGD(after.parameters(), lr=1)
    names = parameter_names(before, saved), parameter_names(after, current)
    message = "as many parameter groups as in the checkpoint, but it has 1 instead of 2. Resume"
    with loading_by_name(current, *names), pytest.raises(ValueError, match=message):
        current.load_state_dict(saved.state_dict())
