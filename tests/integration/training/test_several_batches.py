# SPDX-License-Identifier: Apache-2.0
"""Gradient methods that compare gradients of several batches of a step, in training."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from gradient_runs import EXACT, assert_same_parameters, trained
from slow_cells import some_fast
from toy_gradient_methods import gradient_settings
from toy_runs import history

from hf_mtl.gradients import GRADIENT_METHODS, SeveralBatchesMethod
from hf_mtl.training.engine_choice import shared_parameters

STILL = {"name": "modo", "gamma": 0.0}
TWICE = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}
ENGINES = {
    "streaming-merged": {"gradient_engine": "streaming", "batches": "merged"},
    "retained-merged": {"gradient_engine": "retained", "batches": "merged"},
    "grouped": {"gradient_engine": "grouped"},
    "grouped-merged": {"gradient_engine": "grouped", "batches": "merged"},
}


@pytest.fixture
def recorder():
    """Registers a method that keeps the inner products it is told, and gives fixed weights."""
    told = []

    @dataclass(frozen=True)
    class Recorder(SeveralBatchesMethod):
        num_batches: ClassVar[int] = 3

        def weights(self, products, tasks, state, context):
            told.append(products)
            return 1 + tasks.double() / 10, state

    GRADIENT_METHODS.register("recorder")(Recorder)
    return told


def gradients_of_micro_batches(trainer, count):
    """Naive: the share of each micro-batch in each task's gradient of the first step, ``[K, S]``.

    The loss of a task is a mean over its labels of all micro-batches.
    """
    model, found, numbers = trainer.model, [], {}
    loader = iter(trainer.get_train_dataloader())
    batches = [next(loader)["forwards"] for _ in range(count)]
    parameters = list(shared_parameters(model).values())
    for forward in (forward for batch in batches for forward in batch):
        for task, labels in forward["labels"].items():
            is_labelled = labels.isfinite() if labels.is_floating_point() else labels != -100
            numbers[task] = numbers.get(task, 0) + int(is_labelled.sum())
    for batch in batches:
        size = sum(parameter.numel() for parameter in parameters)
        rows = {task: torch.zeros(size, dtype=torch.float64) for task in trainer.suite}
        for forward in batch:
            inputs = {key: forward[key] for key in ("labels", "rows")}
            losses = model(**forward["inputs"], **inputs, denominators=numbers).losses
            for task, loss in losses.items():
                gradients = torch.autograd.grad(
                    loss, parameters, retain_graph=True, materialize_grads=True, allow_unused=True
                )
                rows[task] = rows[task] + torch.cat([each.flatten() for each in gradients])
        found.append(torch.stack(list(rows.values())))
    return torch.stack(found)


def test_products_are_those_of_the_naive_gradients_of_each_batch(toy_trainer, recorder):
    settings = EXACT | gradient_settings("recorder") | {"max_steps": 1, "learning_rate": 0.0}
    trainer = toy_trainer(**settings)
    trainer.train()
    trainer.model.zero_grad()
    parts = 3 * gradients_of_micro_batches(trainer, 3)
    expected = torch.einsum("aip,bjp->aibj", parts, parts)
    torch.testing.assert_close(recorder[0], expected, rtol=1e-8, atol=1e-14)
    (line,) = history(trainer)
    for task, gradient in zip(trainer.suite, parts.mean(dim=0), strict=True):
        assert line[f"gradient_norm/{task}"] == pytest.approx(gradient.norm().item(), rel=1e-6)


def test_more_micro_batches_than_parts_are_dealt_in_turn(toy_trainer, recorder):
    settings = EXACT | gradient_settings("recorder") | {"max_steps": 1, "learning_rate": 0.0}
    settings |= {"gradient_accumulation_steps": 6, "per_device_train_batch_size": 2}
    trainer = toy_trainer(**settings)
    trainer.train()
    trainer.model.zero_grad()
    shares = gradients_of_micro_batches(trainer, 6)
    parts = 3 * (shares[:3] + shares[3:])
    expected = torch.einsum("aip,bjp->aibj", parts, parts)
    torch.testing.assert_close(recorder[0], expected, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", some_fast(["modo", "sdmgrad", "auto_lambda"], {"sdmgrad"}))
def test_every_engine_has_the_same_gradients(toy_trainer, name, engine):
    settings = gradient_settings(name) | {"per_device_train_batch_size": 2, "max_steps": 3}
    expected = trained(toy_trainer, "expected", **settings)
    found = trained(toy_trainer, "found", **settings, **ENGINES[engine])
    assert_same_parameters(found, expected)
    for line, wanted in zip(history(found), history(expected), strict=True):
        assert line == pytest.approx(wanted, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("batches", ["separate", "merged"])
def test_weights_that_are_never_moved_are_plain_training(toy_trainer, batches):
    plain = trained(toy_trainer, "plain", **TWICE)
    found = trained(toy_trainer, "found", **TWICE, gradient_method=STILL, batches=batches)
    assert_same_parameters(found, plain)


def test_preferences_scale_gradients(toy_trainer, toy_suite):
    suite = toy_suite.replace("topic", weight=3.0)
    plain = trained(toy_trainer, "plain", suite=suite, **TWICE)
    found = trained(toy_trainer, "found", suite=suite, **TWICE, gradient_method=STILL)
    assert_same_parameters(found, plain)


def test_a_task_without_labels_in_a_part_has_no_gradient_there(toy_trainer, recorder, toy_data):
    """One of two rows of valence has a label, which is in one of three parts."""
    data = toy_data | {"valence": toy_data["valence"].select([4, 5])}
    settings = EXACT | gradient_settings("recorder") | {"max_steps": 1, "data": data}
    trainer = toy_trainer(**settings)
    trainer.train()
    lengths = torch.einsum("atat->at", recorder[0])[:, list(trainer.suite).index("valence")]
    assert sorted(lengths.tolist())[:2] == [0.0, 0.0]
    assert lengths.max() > 0
    for name in ("modo", "sdmgrad", "auto_lambda"):
        given = gradient_settings(name) | {"max_steps": 3, "data": data}
        parameters = trained(toy_trainer, name, **given).model.state_dict()
        assert all(each.isfinite().all() for each in parameters.values())


@pytest.mark.parametrize("name", some_fast(["modo", "sdmgrad", "auto_lambda"], {"auto_lambda"}))
def test_a_resumed_run_equals_the_uninterrupted_one(toy_trainer, name):
    settings = gradient_settings(name) | {
        "max_steps": 6,
        "dropout": 0.1,
        "save_strategy": "steps",
        "save_steps": 3,
    }
    if name == "auto_lambda":
        settings["gradient_method"] = {"name": name, "primary": (0, 3), "learning_rate": 0.01}
    whole = toy_trainer("whole", **settings)
    whole.train()
    resumed = toy_trainer("resumed", **settings)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-3")
    assert history(resumed, 3) == history(whole, 3)
    expected = whole.model.state_dict()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[key])
    weights = {tuple(line[f"weight/{task}"] for task in whole.suite) for line in history(whole)}
    assert len(weights) > 1


@pytest.mark.parametrize(
    ("entry", "num_batches", "given"),
    [("modo", 2, 1), ({"name": "modo", "rho": 0.0}, 2, 3), ("sdmgrad", 3, 4)],
)
def test_micro_batches_that_cannot_be_dealt_are_refused(toy_trainer, entry, num_batches, given):
    settings = {"tasks_per_step": "all", "gradient_accumulation_steps": given}
    with pytest.raises(
        ValueError, match=f"must be a multiple of {num_batches} .*, but got {given}"
    ):
        toy_trainer(**settings, gradient_method=entry)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("representation", "unless all tasks of a step are on the same rows of one forward"),
        ("grouped_twice", "unless every step has one merged batch"),
    ],
)
def test_an_engine_of_one_forward_is_refused(toy_trainer, toy_suite, toy_data, engine, message):
    given = {
        "suite": toy_suite.subset(["parts", "kind"]),
        "data": {"names": toy_data["names"]},
        "batches": "merged",
    }
    if engine == "grouped_twice":
        given["suite"] = toy_suite.subset(["topic", "kind"])
        given["data"] = {source: toy_data[source] for source in ("topic", "names")}
    settings = gradient_settings("modo") | {"gradient_engine": engine}
    with pytest.raises(ValueError, match=message):
        toy_trainer(**settings, **given)
