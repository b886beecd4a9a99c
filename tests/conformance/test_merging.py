# SPDX-License-Identifier: Apache-2.0
"""Laws of every merging method."""

from dataclasses import MISSING, fields

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.models.merging import MERGING_METHODS, MergingMethod, Tensors
from hf_mtl.models.merging.first import First

SHAPES = {"embeddings": (5, 3), "layer": (3, 3), "bias": (3,)}


@pytest.fixture(params=MERGING_METHODS.names())
def method(request: pytest.FixtureRequest) -> MergingMethod:
    """Each method; a field without default is the name of what the models were fine-tuned from."""
    needed = {
        field.name: "start"
        for field in fields(MERGING_METHODS.get(request.param))
        if field.default is MISSING
    }
    return MERGING_METHODS.build({"name": request.param, **needed})


def start(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {name: torch.randn(shape).to(dtype) for name, shape in SHAPES.items()}


def fine_tuned(base: Tensors, num_models: int = 3) -> list[dict[str, torch.Tensor]]:
    return [
        {name: value + torch.randn_like(value) for name, value in base.items()}
        for _ in range(num_models)
    ]


def given(method: MergingMethod, base: Tensors) -> Tensors:
    """The start, for a method that has one."""
    return {} if method.start is None else base


def assert_order_is_irrelevant(method: MergingMethod) -> None:
    """The models in another order give the same backbone, unless the class says otherwise."""
    base = start()
    models = fine_tuned(base)
    merged = method.merge(models, given(method, base))
    turned = method.merge(models[::-1], given(method, base))
    if not method.order_matters:
        assert_close(turned, merged)


def assert_cuts_are_irrelevant(method: MergingMethod) -> None:
    """It does not matter how the parameters are cut into tensors."""
    base = start()
    models = fine_tuned(base)

    def joined(tensors: Tensors) -> dict[str, torch.Tensor]:
        return {"all": torch.cat([tensors[name].flatten() for name in SHAPES])}

    merged = method.merge(models, given(method, base))
    of_one = method.merge([joined(each) for each in models], given(method, joined(base)))
    assert_close(of_one, joined(merged))


def assert_nothing_learned_gives_the_start(
    method: MergingMethod, dtype: torch.dtype, num_models: int
) -> None:
    """Models that learned nothing give the start to the last bit."""
    base = start(dtype)
    merged = method.merge([dict(base) for _ in range(num_models)], given(method, base))
    assert_close(merged, base, rtol=0, atol=0)


def assert_every_part_is_kept(method: MergingMethod) -> None:
    """Parts that only some models have are in the result."""
    base = start()
    models = fine_tuned(base)
    pooler = torch.randn(3)
    models[1]["pooler"] = pooler
    merged = method.merge(models, given(method, base))
    assert merged.keys() == SHAPES.keys() | {"pooler"}
    assert_close(merged["pooler"], pooler, rtol=0, atol=0)


def assert_given_tensors_stay(method: MergingMethod) -> None:
    """What is given is left as it was."""
    base = start()
    models = fine_tuned(base)
    before = [{name: value.clone() for name, value in each.items()} for each in [base, *models]]
    method.merge(models, given(method, base))
    assert_close([base, *models], before, rtol=0, atol=0)


def test_a_method_is_built_again_from_its_config(method):
    assert MERGING_METHODS.build(MERGING_METHODS.to_config(method)) == method


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("num_models", [1, 2, 3, 7])
def test_models_that_learned_nothing_give_the_start_to_the_last_bit(method, dtype, num_models):
    assert_nothing_learned_gives_the_start(method, dtype, num_models)


def test_the_order_of_the_models_is_irrelevant(method):
    assert_order_is_irrelevant(method)


def test_how_parameters_are_cut_into_tensors_is_irrelevant(method):
    assert_cuts_are_irrelevant(method)


def test_parts_that_only_some_models_have_are_in_the_result(method):
    assert_every_part_is_kept(method)


def test_what_is_given_is_left_as_it_was(method):
    assert_given_tensors_stay(method)


def test_a_method_that_hides_that_order_matters_is_caught(monkeypatch):
    monkeypatch.setattr(First, "order_matters", False)
    with pytest.raises(AssertionError):
        assert_order_is_irrelevant(First())


def test_a_method_that_looks_at_tensors_one_by_one_is_caught():
    class Largest(First):
        def merge(self, models: list[Tensors], start: Tensors) -> dict[str, torch.Tensor]:
            return {name: value / value.abs().max() for name, value in models[0].items()}

    with pytest.raises(AssertionError):
        assert_cuts_are_irrelevant(Largest())


def test_a_method_that_changes_models_that_agree_is_caught():
    class InBfloat16(First):
        def merge(self, models: list[Tensors], start: Tensors) -> dict[str, torch.Tensor]:
            return {name: value.bfloat16().float() for name, value in models[0].items()}

    with pytest.raises(AssertionError):
        assert_nothing_learned_gives_the_start(InBfloat16(), torch.float32, 2)


def test_a_method_that_looks_at_the_first_model_only_is_caught():
    class Alone(First):
        def merge(self, models: list[Tensors], start: Tensors) -> dict[str, torch.Tensor]:
            return dict(models[0])

    with pytest.raises(AssertionError):
        assert_every_part_is_kept(Alone())


def test_a_method_that_merges_in_place_is_caught():
    class InPlace(First):
        def merge(self, models: list[Tensors], start: Tensors) -> dict[str, torch.Tensor]:
            return {name: value.mul_(2) for name, value in models[0].items()}

    with pytest.raises(AssertionError):
        assert_given_tensors_stay(InPlace())
