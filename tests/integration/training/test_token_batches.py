# SPDX-License-Identifier: Apache-2.0
"""Runs with a token budget: every row once a pass, merged as separate, resumed as uninterrupted."""

import pytest
import torch
from toy_runs import history

BUDGET = {"batch_tokens": 16, "gradient_accumulation_steps": 2}


@pytest.mark.parametrize("batches", ["separate", "merged"])
def test_a_resumed_run_equals_the_uninterrupted_one(toy_trainer, batches):
    settings = {
        **BUDGET,
        "batches": batches,
        "dropout": 0.1,
        "num_train_epochs": 2,
        "tasks_per_step": 2,
        "save_strategy": "steps",
        "save_steps": 1,
    }
    whole = toy_trainer("whole", **settings)
    whole.train()
    for step in (1, whole.state.max_steps // 2 + 1):
        resumed = toy_trainer("resumed", **settings, overwrite_output_dir=True)
        resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-{step}")
        assert history(resumed, step) == history(whole, step)
        expected = whole.model.state_dict()
        for name, value in resumed.model.state_dict().items():
            assert torch.equal(value, expected[name])


def test_merged_and_separate_batches_give_the_same_run(toy_trainer):
    settings = {**BUDGET, "tasks_per_step": "all", "max_steps": 4, "dtype": torch.float64}
    separate = toy_trainer("separate", **settings)
    separate.train()
    merged = toy_trainer("merged", **settings, batches="merged")
    merged.train()
    expected = merged.model.state_dict()
    for name, value in separate.model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-12)


def test_every_row_comes_once_an_epoch_and_no_forward_is_larger_than_the_budget(toy_trainer):
    trainer = toy_trainer(batch_tokens=16)
    forwards = [
        forward for batch in trainer.get_train_dataloader() for forward in batch["forwards"]
    ]
    sizes = [forward["inputs"]["input_ids"].shape for forward in forwards]
    assert sum(rows for rows, _ in sizes) == 12 + 7 + 10
    assert all(rows * length <= 16 for rows, length in sizes)
    assert trainer.num_examples(trainer.get_train_dataloader()) == 12 + 7 + 10


def test_a_resume_with_another_budget_is_refused(toy_trainer):
    settings = {"save_strategy": "steps", "save_steps": 2}
    toy_trainer("run", **settings, max_steps=2, batch_tokens=16).train()
    other = toy_trainer("run", **settings, max_steps=4, batch_tokens=24, overwrite_output_dir=True)
    with pytest.raises(ValueError, match="`draw_tokens` was "):
        other.train(resume_from_checkpoint=True)
