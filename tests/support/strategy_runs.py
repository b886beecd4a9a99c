# SPDX-License-Identifier: Apache-2.0
"""Runs of the toy tasks under each strategy, and what they leave behind as plain values."""

import os
import tempfile
from typing import Any

import numpy as np
import pytest
import torch
import toy_runs

from hf_mtl import MultiTaskTrainer

__all__ = [
    "STRATEGIES",
    "assert_same_training",
    "evaluated",
    "parameters",
    "settings_on_ranks",
    "strategy_settings",
    "trained",
    "trained_cells",
]

STRATEGIES = ("ddp", "fsdp2", "zero1", "zero2", "zero3")


def strategy_settings(strategy: str) -> dict[str, Any]:
    """Training arguments that choose a strategy, on CPU processes."""
    if strategy == "fsdp2":
        _make_fsdp2_real_on_a_cpu()
        return {
            "fsdp": True,
            "fsdp_config": {"version": 2, "state_dict_type": "FULL_STATE_DICT"},
        }
    if strategy.startswith("zero"):
        _use_deepspeed_without_compiling()
        return {
            "deepspeed": {
                "zero_optimization": {
                    "stage": int(strategy.removeprefix("zero")),
                    "stage3_gather_16bit_weights_on_model_save": True,
                },
                "train_micro_batch_size_per_gpu": "auto",
                "gradient_accumulation_steps": "auto",
                "gradient_clipping": "auto",
                "zero_allow_untested_optimizer": True,
            },
        }
    return {}


def settings_on_ranks(strategy: str) -> dict[str, Any]:
    """Training arguments that choose a strategy; none in a process that is no rank."""
    return strategy_settings(strategy) if "WORLD_SIZE" in os.environ else {}


def trained(
    output_dir: str,
    strategy: str = "ddp",
    *,
    dtype: str = "float64",
    complete: bool = False,
    **given: Any,
) -> dict[str, Any]:
    """Trains, and gives final parameters, losses and metrics as this rank has them.

    Args:
        output_dir: Folder of the run.
        strategy: One of `STRATEGIES`; on one rank it makes no difference.
        dtype: Data type of the parameters.
        complete: Whether rows without labels are left out.
        given: More training arguments.
    """
    settings = settings_on_ranks(strategy) | given
    trainer = _trainer(output_dir, dtype, complete=complete, **settings)
    trainer.train()
    return {
        "parameters": parameters(trainer),
        "history": toy_runs.history(trainer),
        "metrics": trainer.evaluate(),
    }


def assert_same_training(
    first: dict[str, Any], expected: dict[str, Any], *, is_exact: bool
) -> None:
    """Parameters and log are equal: to 1e-9, or to what float32 allows."""
    relative, absolute = (1e-9, 1e-12) if is_exact else (2e-4, 2e-5)
    assert first["parameters"].keys() == expected["parameters"].keys()
    for name, value in expected["parameters"].items():
        np.testing.assert_allclose(
            first["parameters"][name], value, rtol=relative, atol=absolute, err_msg=name
        )
    # The log keeps float32.
    for line, wanted in zip(first["history"], expected["history"], strict=True):
        assert line == pytest.approx(wanted, rel=2e-4, abs=2e-5)


def evaluated(parameters: dict[str, np.ndarray], *, dtype: str, complete: bool) -> dict[str, float]:
    """Metrics of the same tasks on this process, with given parameters."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(folder, dtype, complete=complete)
        state = {name: torch.from_numpy(value) for name, value in parameters.items()}
        trainer.model.load_state_dict(state)
        return trainer.evaluate()


def trained_cells(
    output_dir: str, strategy: str, cells: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What `trained` gives for each of several settings, one after the other."""
    return {
        name: trained(f"{output_dir}/{name}", strategy, **settings)
        for name, settings in cells.items()
    }


def _trainer(output_dir: str, dtype: str, *, complete: bool, **given: Any) -> MultiTaskTrainer:
    data = toy_runs.toy_datasets()
    if complete:
        data = {name: rows.filter(_is_complete) for name, rows in data.items()}
    return toy_runs.toy_trainer(output_dir, dtype=getattr(torch, dtype), data=data, **given)


def _is_complete(row: dict[str, Any]) -> bool:
    lists = (value if isinstance(value, list) else [value] for value in row.values())
    return all(each is not None for values in lists for each in values)


def parameters(trainer: MultiTaskTrainer) -> dict[str, np.ndarray]:
    """All parameters, whole, under the names of the model.

    As arrays: tensors would be sent as memory that is gone with the process.
    """
    is_zero = trainer.is_deepspeed_enabled
    wrapped = trainer.model_wrapped if is_zero else trainer.model
    state = trainer.accelerator.get_state_dict(wrapped) or {}
    return {name: value.detach().cpu().numpy().copy() for name, value in state.items()}


def _use_deepspeed_without_compiling() -> None:
    """DeepSpeed on CPU processes, without operations that it would compile at first use."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__ = {}


def _make_fsdp2_real_on_a_cpu() -> None:
    """Lets accelerate shard on CPU processes, which it silently would not do."""
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    plain = AcceleratorState.__init__

    def init(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        plain(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = init  # type: ignore[method-assign]
