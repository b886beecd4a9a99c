# SPDX-License-Identifier: Apache-2.0
"""Runs with detached tasks: they change nothing for the others, and what is refused."""

import detached_runs
import numpy as np
import pytest
from strategy_runs import assert_same_training

from hf_mtl.training.detached import check_detached
from hf_mtl.training.strategies import strategy_class

EXACT = {"max_steps": 4, "adam_epsilon": 1e-3, "tasks_per_step": "all"}


def test_merged_and_accumulated_equal_separate(tmp_path):
    found = detached_runs.trained(
        str(tmp_path),
        {
            "separate": EXACT,
            "merged": {**EXACT, "batches": "merged"},
            "in_2": {
                **EXACT,
                "per_device_train_batch_size": 2,
                "gradient_accumulation_steps": 2,
            },
        },
    )
    for name in ("merged", "in_2"):
        assert_same_training(found[name], found["separate"], is_exact=True)


def test_a_step_of_a_detached_task_alone_moves_its_head_only(toy_trainer, toy_data):
    suite = detached_runs.SUITE.subset(["topic", "valence"])
    data = {name: toy_data[name] for name in suite}
    trainer = toy_trainer(
        suite=suite,
        data=data,
        max_steps=1,
        sampler={"name": "fixed", "probabilities": {"topic": 1e-9, "valence": 1.0}},
    )
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    moved = {
        name
        for name, value in trainer.model.named_parameters()
        if not np.array_equal(value.detach(), before[name])
    }
    assert moved
    assert all(name.startswith("heads.valence.") for name in moved)


def test_gradient_methods_have_nothing_to_compare(toy_trainer):
    trainer = toy_trainer(
        suite=detached_runs.SUITE, gradient_method="upgrad", tasks_per_step="all", max_steps=1
    )
    message = (
        r"`detached` must be left out with a gradient method, but \['kind', 'valence'\] are "
        r"detached and have no gradient that 'upgrad' could compare. Choose a `weighting`"
    )
    with pytest.raises(ValueError, match=message):
        trainer.train()


def test_a_backbone_that_no_task_trains_has_to_be_frozen(toy_trainer, toy_data):
    suite = detached_runs.SUITE.subset(["valence"])
    trainer = toy_trainer(suite=suite, data={"valence": toy_data["valence"]}, max_steps=1)
    message = r"must leave a task that trains the backbone, but \['valence'\] are all"
    with pytest.raises(ValueError, match=message):
        trainer.train()
    trainer.model.backbone.requires_grad_(False)
    trainer.train()


@pytest.mark.parametrize("strategy", ["FSDP2", "ZeRO-2"])
def test_sharding_is_refused(toy_trainer, strategy):
    trainer = toy_trainer(suite=detached_runs.SUITE)
    message = r"`detached` must be left out where parameters or their optimizer are sharded"
    with pytest.raises(ValueError, match=message):
        check_detached(trainer.args, trainer.model, strategy_class(strategy))
