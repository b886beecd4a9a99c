# SPDX-License-Identifier: Apache-2.0
"""Training on a streamed and a map-style source, and going on exactly after a stop."""

import pytest
import torch
from ranks import run_ranks
from toy_runs import history
from toy_streams import streamed_run, streaming_trainer

from hf_mtl import MultiTaskTrainer
from hf_mtl.training.checkpoints import RunState

MIXTURES = [
    {"tasks_per_step": "all"},
    {"tasks_per_step": "all", "batches": "merged"},
    {"sampler": "uniform", "tasks_per_step": 2},
    {"sampler": "round_robin"},
]


def assert_same_run(resumed: MultiTaskTrainer, whole: MultiTaskTrainer, after: int) -> None:
    """The same losses from a step on, and the same parameters in the end."""
    assert history(resumed, after) == history(whole, after)
    expected = whole.model.state_dict()
    assert all(
        torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items()
    )


def test_a_streamed_source_is_trained_and_evaluated_beside_another(tmp_path):
    trainer = streaming_trainer(str(tmp_path), max_steps=40, tasks_per_step="all")
    trainer.train()
    losses = [line["loss/topic"] for line in history(trainer)]
    assert len(losses) == 40
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8])
    assert trainer.evaluate()["eval_topic_accuracy"] > 0.8


@pytest.mark.parametrize("mixture", MIXTURES, ids=str)
# Shards of 16 rows are passed over several times; of one shard of 144, 70 rows are read at once.
@pytest.mark.parametrize(
    "rows", [(3, 48), pytest.param((1, 144), marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path, mixture, rows):
    num_shards, num_rows = rows
    settings = {
        "num_shards": num_shards,
        "num_rows": num_rows,
        "max_steps": 30,
        "save_strategy": "steps",
        "save_steps": 7,
        **mixture,
    }
    whole = streaming_trainer(str(tmp_path / "whole"), **settings)
    whole.train()
    for step in (7, 28):
        resumed = streaming_trainer(str(tmp_path / f"from-{step}"), **settings)
        resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
        assert_same_run(resumed, whole, step)


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 0), (0, 1)])
def test_the_number_of_workers_may_change(tmp_path, before, after):
    settings = {"max_steps": 20, "save_strategy": "steps", "save_steps": 13, "tasks_per_step": 2}
    settings |= {"sampler": "uniform"}
    whole = streaming_trainer(str(tmp_path / "whole"), **settings, dataloader_num_workers=before)
    whole.train()
    resumed = streaming_trainer(str(tmp_path / "on"), **settings, dataloader_num_workers=after)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-13"))
    assert_same_run(resumed, whole, 13)


@pytest.mark.parametrize("mixture", MIXTURES, ids=str)
def test_a_run_on_a_stream_of_unknown_length_goes_on_for_more_steps(tmp_path, mixture):
    settings = {"save_strategy": "steps", "save_steps": 4, "lr_scheduler_type": "constant"}
    settings |= mixture
    whole = streaming_trainer(str(tmp_path / "whole"), max_steps=8, **settings)
    whole.train()
    streaming_trainer(str(tmp_path / "short"), max_steps=4, **settings).train()
    longer = streaming_trainer(str(tmp_path / "short"), max_steps=8, **settings)
    longer.train(resume_from_checkpoint=True)
    assert longer.state.global_step == 8
    assert_same_run(longer, whole, 4)


def with_known_length(trainer: MultiTaskTrainer) -> MultiTaskTrainer:
    """The trainer with a stream that says how many rows it has, which makes epochs."""
    trainer.train_dataset.sources["topic"].num_rows = 48
    return trainer


def test_a_run_goes_on_in_a_later_epoch(tmp_path):
    settings = {"num_train_epochs": 3, "save_strategy": "steps", "save_steps": 17}
    settings |= {"tasks_per_step": "all"}
    whole = with_known_length(streaming_trainer(str(tmp_path / "whole"), **settings))
    whole.train()
    assert whole.state.max_steps == 3 * 48 / 4
    resumed = with_known_length(streaming_trainer(str(tmp_path / "on"), **settings))
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-17"))
    assert_same_run(resumed, whole, 17)


def test_a_checkpoint_says_where_a_stream_stands(tmp_path):
    settings = {"num_shards": 1, "num_rows": 144, "tasks_per_step": "all"}
    settings |= {"max_steps": 20, "save_strategy": "steps", "save_steps": 10}
    streaming_trainer(str(tmp_path), **settings).train()
    for step, start in {10: 0, 20: 70}.items():  # 4 rows a step, 70 in a block
        parts = RunState.read(tmp_path / f"checkpoint-{step}").parts
        assert parts["streams"]["topic"]["0"]["start"] == start


def test_the_length_of_the_run_or_of_the_stream_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match=r"`max_steps` must be given, .* streams \['topic'\]"):
        streaming_trainer(str(tmp_path), tasks_per_step="all").train()
    with pytest.raises(ValueError, match="`sampler` must be one that does without the sizes"):
        streaming_trainer(str(tmp_path), max_steps=5).train()


@pytest.mark.distributed
@pytest.mark.parametrize("num_shards", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_two_ranks_see_the_rows_of_one_and_go_on_exactly(tmp_path, num_shards):
    settings = {
        "num_shards": num_shards,
        "dropout": 0.0,
        "learning_rate": 1e-3,
        "max_steps": 20,
        "tasks_per_step": "all",
        "gradient_accumulation_steps": 1,
        "save_strategy": "steps",
        "save_steps": 9,
    }
    ((one, _),) = run_ranks(
        streamed_run, 1, str(tmp_path / "one"), **settings, per_device_train_batch_size=4
    )
    two = run_ranks(streamed_run, 2, str(tmp_path / "two"), **settings)
    for alone, together in zip(one, two[0][0], strict=True):
        assert together["loss/topic"] == pytest.approx(alone["loss/topic"], rel=1e-3)
        assert together["loss/valence"] == pytest.approx(alone["loss/valence"], rel=1e-3)
    resumed = run_ranks(
        streamed_run,
        2,
        str(tmp_path / "on"),
        **settings,
        dataloader_num_workers=1,
        resume_from_checkpoint=str(tmp_path / "two" / "checkpoint-9"),
    )
    assert [line for line in two[0][0] if line["step"] > 9] == [
        line for line in resumed[0][0] if line["step"] > 9
    ]
    assert two[0][1] == two[1][1] == resumed[0][1] == resumed[1][1]
