# SPDX-License-Identifier: Apache-2.0
"""What only an accelerator shows: half precision with a scaler, its memory, its messages."""

import numpy as np
import pytest
import strategy_runs
import torch
import toy_runs
from ranks import run_ranks

pytestmark = pytest.mark.gpu

SETTINGS = {"use_cpu": False, "tasks_per_step": "all", "max_steps": 6}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_losses_in_half_precision_are_those_in_full(tmp_path, precision):
    full, half = (
        run_ranks(
            strategy_runs.trained,
            1,
            str(tmp_path / str(index)),
            dtype="float32",
            **SETTINGS,
            **more,
        )[0]["history"]
        for index, more in enumerate(({}, {precision: True}))
    )
    for in_half, in_full in zip(half, full, strict=True):
        losses = {key: value for key, value in in_full.items() if key.startswith("loss/")}
        assert {key: in_half[key] for key in losses} == pytest.approx(losses, rel=5e-2)


def test_a_step_without_labels_is_refused_by_the_scaler_in_words(tmp_path):
    data = toy_runs.toy_datasets()
    unlabelled = data["valence"].map(
        lambda _, index: {"score": None if index else 1.0}, with_indices=True
    )
    settings = {**SETTINGS, "tasks_per_step": 1, "sampler": "round_robin", "fp16": True}
    trainer = toy_runs.toy_trainer(
        str(tmp_path),
        data={**data, "valence": unlabelled},
        max_steps=12,
        **{key: value for key, value in settings.items() if key != "max_steps"},
    )
    with pytest.raises(ValueError, match="`fp16` must have a label in every step"):
        trainer.train()


def test_lack_of_memory_names_task_and_batch(tmp_path):
    trainer = toy_runs.toy_trainer(str(tmp_path), **SETTINGS)
    head = trainer.model.heads["topic"]
    free, _ = torch.cuda.mem_get_info()
    head.register_forward_hook(lambda *_: torch.empty(2 * free, dtype=torch.uint8, device="cuda"))
    with pytest.raises(
        torch.OutOfMemoryError, match=r"Task 'topic' ran out of memory in a batch of"
    ):
        trainer.train()


@pytest.mark.distributed
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "zero1", "zero2", "zero3"])
def test_two_devices_equal_one(tmp_path, strategy):
    if torch.cuda.device_count() < 2:
        pytest.skip("one device only")
    settings = {**SETTINGS, "dtype": "float32", "adam_epsilon": 1e-3}
    one = run_ranks(
        strategy_runs.trained, 1, str(tmp_path / "one"), per_device_train_batch_size=4, **settings
    )[0]
    two = run_ranks(
        strategy_runs.trained,
        2,
        str(tmp_path / "two"),
        strategy,
        per_device_train_batch_size=2,
        **settings,
    )[0]
    for name, value in one["parameters"].items():
        np.testing.assert_allclose(two["parameters"][name], value, rtol=1e-3, atol=1e-4)
