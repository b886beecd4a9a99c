# SPDX-License-Identifier: Apache-2.0
"""``torch_compile`` compiles the backbone, once for all tasks."""

import pytest
import torch
from torch._dynamo.utils import counters
from toy_runs import history

from hf_mtl import MultiTaskModel

COMPILED = {"torch_compile": True, "torch_compile_backend": "eager"}


@pytest.fixture(autouse=True)
def forgotten_graphs():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # of dynamo
def test_a_compiled_run_has_few_graphs_however_many_tasks_and_equals_a_plain_one(
    toy_trainer, tmp_path
):
    given = {"sampler": "round_robin", "max_steps": 6}
    plain = toy_trainer("plain", **given)
    plain.train()
    compiled = toy_trainer("compiled", **given, **COMPILED)
    compiled.train()
    assert compiled.model.backbone._compiled_call_impl is not None
    # Four tasks on three sources: one graph for the first shape, and one or two for all others.
    assert counters["stats"]["unique_graphs"] <= 3
    assert not counters["graph_break"]
    for line, other in zip(history(compiled), history(plain), strict=True):
        assert line == pytest.approx(other, rel=1e-5)
    compiled.save_model(str(tmp_path / "saved"))
    loaded = MultiTaskModel.from_pretrained(tmp_path / "saved")
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-4, atol=1e-6)
