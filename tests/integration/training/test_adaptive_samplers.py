# SPDX-License-Identifier: Apache-2.0
"""Samplers that follow the run: what they are told, when it counts, and that resume is exact."""

import json
from pathlib import Path

import pytest
import torch
from toy_runs import history
from toy_samplers import ADAPTIVE, sampler_settings

from hf_mtl.data import SAMPLERS
from hf_mtl.training.checkpoints import RunState

SOURCES = ("topic", "valence", "names")


def settings(name, **given):
    """Fifteen steps an epoch, segments of three; where it is needed, every second evaluates."""
    return {
        **sampler_settings(name, update_every=3),
        "per_device_train_batch_size": 2,
        "dropout": 0.1,
        "num_train_epochs": 2,
        **given,
    }


def rates(trainer):
    lines = [line for line in trainer.state.log_history if "loss" in line]
    return [[line[f"rate/{source}"] for source in SOURCES] for line in lines]


def assert_same_run(resumed, whole, after):
    assert history(resumed, after) == history(whole, after)
    expected = whole.model.state_dict()
    assert all(
        torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items()
    )


def saved_part(trainer, step):
    checkpoint = Path(trainer.args.output_dir) / f"checkpoint-{step}"
    return RunState.read(checkpoint).parts["sampler"]


@pytest.mark.parametrize("name", ADAPTIVE)
def test_rates_change_in_the_segment_after_the_next(toy_trainer, name):
    trainer = toy_trainer(**settings(name, num_train_epochs=1))
    trainer.train()
    found = rates(trainer)
    assert found[0] == found[1] == found[2]
    if name != "dst":  # which goes by sizes from the second segment on
        assert found[3:6] == [pytest.approx(each) for each in found[:3]]
    assert found[-1] != pytest.approx(found[0])
    assert all(found[i] == found[i + 1] for i in range(len(found) - 1) if (i + 1) % 3)


@pytest.mark.parametrize(
    "name",
    [
        "stop_and_go",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ADAPTIVE if name != "stop_and_go"),
    ],
)
def test_a_resumed_run_equals_the_uninterrupted_one(toy_trainer, name):
    given = settings(name, gradient_accumulation_steps=2, save_strategy="steps")
    whole = toy_trainer("whole", **given, save_steps=1)
    whole.train()
    per_epoch = whole.state.max_steps // 2
    # Within a segment, at its end, behind it; at the end of an epoch, and beyond.
    for step in (5, 6, 7, per_epoch, per_epoch + 2):
        resumed = toy_trainer("resumed", **given, save_steps=14, overwrite_output_dir=True)
        resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-{step}")
        assert_same_run(resumed, whole, step)
        assert saved_part(resumed, 14) == saved_part(whole, 14)


def test_a_state_comes_back_whatever_the_description_holds(toy_trainer):
    """A checkpoint is JSON, which knows no tuples."""
    base = {"name": "nested", "groups": {"g": ("topic", "valence"), "h": ("names",)}}
    sampler = {"name": "loss_driven", "update_every": 2, "base": base}
    given = settings("loss_driven", save_strategy="steps") | {"sampler": sampler}
    whole = toy_trainer("whole", **given, save_steps=7)
    whole.train()
    resumed = toy_trainer("resumed", **given)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-7")
    assert_same_run(resumed, whole, 7)


def test_the_loader_can_be_looked_at_before_the_run(toy_trainer):
    loader = toy_trainer(**settings("online_mixing")).get_train_dataloader()
    assert len(list(loader)) == len(loader)


@pytest.mark.parametrize(
    "given",
    [
        {"tasks_per_step": 2, "dataloader_prefetch_factor": 1},
        pytest.param({}, marks=pytest.mark.slow),
    ],
)
def test_the_number_of_workers_is_irrelevant(toy_trainer, given):
    sampler = {"name": "loss_driven", "update_every": 4, "floor": 0.01, "alpha": 4.0}
    given = settings("loss_driven", **given) | {"sampler": sampler, "save_strategy": "steps"}
    workers = {"dataloader_num_workers": 1, "save_steps": 5}
    alone = {name: each for name, each in given.items() if name != "dataloader_prefetch_factor"}
    whole = toy_trainer("whole", **alone, save_steps=5)
    whole.train()
    read_ahead = toy_trainer("ahead", **given, **workers)
    read_ahead.train()
    assert_same_run(read_ahead, whole, 0)
    resumed = toy_trainer("resumed", **given, **workers)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-5")
    assert_same_run(resumed, whole, 5)


def test_workers_that_persist_begin_each_epoch_at_the_rates_of_the_run(toy_trainer):
    given = settings("online_mixing") | {"sampler": {"name": "online_mixing", "update_every": 4}}
    whole = toy_trainer("whole", **given)
    whole.train()
    persistent = {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}
    found = toy_trainer("persistent", **given, **persistent)
    found.train()
    assert_same_run(found, whole, 0)


def test_nothing_is_drawn_before_its_rates_are_settled(toy_trainer):
    """As far ahead as is allowed; one worker more is refused."""
    ahead = {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 2}
    given = settings("online_mixing", num_train_epochs=1, **ahead)
    least = given | {"sampler": {"name": "online_mixing", "update_every": 6}}
    toy_trainer(**least).train()
    with pytest.raises(ValueError, match="`update_every` of the sampler must be 6 or more, becau"):
        toy_trainer(**given | {"sampler": {"name": "online_mixing", "update_every": 5}})


def test_with_accumulation_fewer_steps_are_read_ahead(toy_trainer):
    given = settings("online_mixing", gradient_accumulation_steps=4, dataloader_num_workers=2)
    toy_trainer(**given)  # five batches are two steps


def test_an_evaluation_at_the_start_of_a_resumed_run_is_not_counted_twice(toy_trainer):
    given = settings("stop_and_go", eval_on_start=True, max_steps=10)
    given |= {"save_strategy": "steps", "save_steps": 1}
    whole = toy_trainer("whole", **given)
    whole.train()
    for step in (3, 4):  # without and with an evaluation of its own
        resumed = toy_trainer("resumed", **given, overwrite_output_dir=True)
        resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-{step}")
        assert_same_run(resumed, whole, step)


def test_the_losses_of_a_segment_are_those_of_the_log(toy_trainer, monkeypatch):
    told = []
    learn = SAMPLERS.get("online_mixing").state_after_segment

    def listen(self, state, segment):
        told.append(segment)
        return learn(self, state, segment)

    monkeypatch.setattr(SAMPLERS.get("online_mixing"), "state_after_segment", listen)
    trainer = toy_trainer(**settings("online_mixing", logging_steps=3, tasks_per_step=2))
    trainer.train()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert len(told) == trainer.state.max_steps // 3 > 2
    for segment, line in zip(told, lines, strict=False):
        parts, kind = line.get("loss/parts"), line.get("loss/kind")
        both = [each for each in (parts, kind) if each is not None]
        names = sum(both) / len(both) if both else None
        expected = [line.get("loss/topic"), line.get("loss/valence"), names]
        assert segment.losses == pytest.approx(expected)
        assert [count > 0 for count in segment.counts] == [each is not None for each in expected]
        assert segment.num_steps == 3
    # At first 6, 4 and 5 of 15 draws, of which each step has two.
    assert told[0].chances == pytest.approx(
        [1 - (1 - rows / 29) ** 2 for rows in (12, 7, 10)], rel=0.1
    )


def test_what_a_run_remembers_is_plain(toy_trainer):
    given = settings("loss_driven", max_steps=10, save_strategy="steps", save_steps=7)
    trainer = toy_trainer(**given)
    trainer.train()
    part = saved_part(trainer, 7)
    assert json.loads(json.dumps(part)) == part
    assert part["mixture"]["sources"] == list(SOURCES)
    # The run is in its third segment, and the fourth is settled.
    assert [segment for segment, _ in part["settled"]] == [0, 1, 2, 3]
    assert sum(part["counts"].values()) <= 1


def test_only_the_segments_of_an_epoch_are_kept(toy_trainer):
    trainer = toy_trainer(**settings("online_mixing", save_strategy="epoch"))
    trainer.train()
    per_epoch = trainer.state.max_steps // 2
    part = saved_part(trainer, 2 * per_epoch)
    assert min(segment for segment, _ in part["settled"]) == per_epoch // 3


def test_another_run_of_a_trainer_begins_anew(toy_trainer):
    trainer = toy_trainer(**settings("loss_driven", num_train_epochs=1))
    trainer.train()
    trainer.train()
    found = rates(trainer)
    assert found[0] == [pytest.approx(rows / 29) for rows in (12, 7, 10)]


def test_a_run_that_does_not_skip_data_goes_on_with_what_it_has_learned(toy_trainer):
    given = settings("loss_driven", max_steps=14, save_strategy="steps", save_steps=8)
    whole = toy_trainer("whole", **given)
    whole.train()
    resumed = toy_trainer("resumed", **given, ignore_data_skip=True)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-8")
    assert rates(resumed)[8] == rates(whole)[8]
    other = given | {"sampler": {"name": "loss_driven", "update_every": 4}}
    anew = toy_trainer("anew", **other, ignore_data_skip=True)
    anew.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-8")
    assert rates(anew)[8] == pytest.approx([rows / 29 for rows in (12, 7, 10)])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (settings("stop_and_go", eval_strategy="no"), "`eval_strategy` must be 'steps' or 'epoch'"),
        (settings("dst", eval_strategy="no"), "with .*'dst'.*, a sampler that goes by evaluations"),
        (settings("online_mixing", tasks_per_step="all"), "`sampler` must be left out with"),
        (
            {"sampler": {"name": "loss_driven", "base": {"name": "fixed", "probabilities": {}}}},
            "`probabilities` must hold a number above 0",
        ),
    ],
)
def test_what_would_not_happen_is_refused_before_training(toy_trainer, given, words):
    with pytest.raises(ValueError, match=words):
        toy_trainer(**given)


def test_a_run_that_ends_before_rates_can_change_is_refused(toy_trainer):
    trainer = toy_trainer(sampler="online_mixing", num_train_epochs=3)
    with pytest.raises(ValueError, match=r"they stay for the first 200 of 24 steps. Lower it"):
        trainer.train()


def test_what_a_search_changes_is_checked_when_a_run_begins(toy_trainer):
    trainer = toy_trainer(**settings("stop_and_go"))
    trainer.args.sampler = {"name": "online_mixing", "update_every": 1}
    with pytest.raises(ValueError, match="`update_every` of the sampler must be 2 or more"):
        trainer.train()
