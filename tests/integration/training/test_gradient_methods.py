# SPDX-License-Identifier: Apache-2.0
"""Gradient methods in training: what reaches the gradient, the log, a checkpoint."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from strategy_checks import SpoiledHead
from toy_runs import history

from hf_mtl.gradients import GRADIENT_METHODS, GradientContext, GramianMethod
from hf_mtl.training.engine_choice import shared_parameters

EXACT = {"dtype": torch.float64, "max_steps": 6, "tasks_per_step": "all", "adam_epsilon": 1e-3}
ENGINES = {
    "streaming": {"gradient_engine": "streaming"},
    "streaming-merged": {"gradient_engine": "streaming", "batches": "merged"},
    "retained": {"gradient_engine": "retained"},
    "retained-merged": {"gradient_engine": "retained", "batches": "merged"},
    "grouped": {"gradient_engine": "grouped"},
    "grouped-merged": {"gradient_engine": "grouped", "batches": "merged"},
    "accumulated": {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2},
    "grouped-accumulated": {
        "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": 2,
        "gradient_engine": "grouped",
        "batches": "merged",
    },
    "checkpointed": {"activation_checkpointing": True},
    "grouped-checkpointed": {"activation_checkpointing": True, "batches": "merged"},
}


@pytest.fixture
def registered():
    """Claims a name for a class until the test ends."""
    claimed = []

    def register(name, cls):
        GRADIENT_METHODS.register(name)(cls)
        claimed.append(name)

    yield register
    for name in claimed:
        del GRADIENT_METHODS._class_by_name[name]


def trained(toy_trainer, name, **settings):
    trainer = toy_trainer(name, **EXACT | settings)
    trainer.train()
    return trainer


def assert_same_parameters(found, expected):
    wanted = expected.model.state_dict()
    for name, value in found.model.state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-9, atol=1e-12)


def gradients_of_first_step(trainer):
    """Gradients of shared parameters and of heads, as the optimizer gets them."""
    found = {}
    inner = trainer.strategy.after_step

    def keep(model, tasks):
        inner(model, tasks)
        named = model.named_parameters()
        found.update({n: p.grad.clone() for n, p in named if p.grad is not None})

    trainer.strategy.after_step = keep
    trainer.train()
    return found


def task_gradients(trainer):
    """Naive: gradient of each task of the first step, one backward each; parameters as before."""
    model = trainer.model
    parameters = shared_parameters(model)
    rows, losses = {}, {}
    for forward in next(iter(trainer.get_train_dataloader()))["forwards"]:
        outputs = model(**forward["inputs"], labels=forward["labels"], rows=forward["rows"])
        for task, loss in outputs.losses.items():
            found = torch.autograd.grad(
                loss,
                list(parameters.values()),
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            rows[task] = torch.cat([gradient.flatten() for gradient in found])
            losses[task] = loss.detach()
    tasks = [task for task in trainer.suite if task in rows]
    return tasks, torch.stack([rows[task] for task in tasks]), losses


@pytest.mark.parametrize("engine", ENGINES)
def test_the_mean_of_the_gradients_is_plain_training(toy_trainer, engine):
    plain = trained(toy_trainer, "plain")
    found = trained(toy_trainer, "found", gradient_method="mean", **ENGINES[engine])
    assert_same_parameters(found, plain)
    for line, wanted in zip(history(found), history(plain), strict=True):
        common = {key: value for key, value in line.items() if key in wanted}
        assert common == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "streaming"])
def test_every_engine_has_the_same_gradients(toy_trainer, engine):
    expected = trained(toy_trainer, "expected", gradient_method="pcgrad", **ENGINES["streaming"])
    found = trained(toy_trainer, "found", gradient_method="pcgrad", **ENGINES[engine])
    assert_same_parameters(found, expected)
    for line, wanted in zip(history(found), history(expected), strict=True):
        assert line == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_two_backwards_have_the_gradients_of_one(toy_trainer, toy_suite, toy_data):
    sources = {"topic": "topic", "valence": "valence", "parts": "names"}
    given = {
        "suite": toy_suite.subset(list(sources)),
        "data": {source: toy_data[source] for source in sources.values()},
        "gradient_method": "upgrad",
        "batches": "merged",
    }
    one = trained(toy_trainer, "one", gradient_engine="grouped", **given)
    two = trained(toy_trainer, "two", gradient_engine="grouped_twice", **given)
    assert_same_parameters(two, one)
    assert history(two) == [pytest.approx(line, rel=1e-6, abs=1e-9) for line in history(one)]


@pytest.mark.parametrize("name", ["mgda", "upgrad", "nash_mtl", "imtl_g"])
def test_the_direction_is_that_of_the_naive_jacobian(toy_trainer, name):
    settings = EXACT | {"max_steps": 1, "learning_rate": 0.0, "max_grad_norm": 0.0}
    trainer = toy_trainer(**settings, gradient_method=name)
    found = gradients_of_first_step(trainer)
    trainer.model.zero_grad()
    tasks, jacobian, losses = task_gradients(trainer)
    method = GRADIENT_METHODS.build(name)
    ones = torch.ones(len(tasks), dtype=torch.float64)
    values = torch.stack([losses[task] for task in tasks])
    context = GradientContext(step=0, losses=values, preferences=ones)
    weights, _ = method.weights(
        jacobian @ jacobian.T, torch.arange(len(tasks)), method.init_state(len(tasks)), context
    )
    direction = weights @ jacobian / len(tasks)
    assert len(tasks) == 4
    position = 0
    for key, parameter in shared_parameters(trainer.model).items():
        piece = direction[position : position + parameter.numel()].view_as(parameter)
        position += parameter.numel()
        if key in found:
            torch.testing.assert_close(found[key], piece, rtol=1e-6, atol=1e-10)
        else:
            assert not piece.any()  # no task uses it: it keeps still


def test_heads_have_the_gradients_of_plain_training(toy_trainer):
    settings = EXACT | {"max_steps": 1, "max_grad_norm": 0.0}
    plain = gradients_of_first_step(toy_trainer("plain", **settings))
    for engine in ("streaming", "grouped-merged"):
        trainer = toy_trainer(engine, **settings, gradient_method="mgda", **ENGINES[engine])
        found = gradients_of_first_step(trainer)
        assert found.keys() == plain.keys()
        differing = set()
        for name, gradient in plain.items():
            if name.startswith("heads."):
                torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-14)
            elif not torch.allclose(found[name], gradient):
                differing.add(name)
        assert differing


def test_representations_are_compared_before_the_backbone(toy_trainer):
    """The direction is what a backward gives that starts from the combined gradients."""
    settings = EXACT | {"tasks_per_step": 1, "max_grad_norm": 0.0}
    plain = trained(toy_trainer, "plain", **settings)
    mean = trained(
        toy_trainer,
        "mean",
        **settings,
        gradient_method="mean",
        gradient_engine="representation",
    )
    assert_same_parameters(mean, plain)
    trainer = trained(
        toy_trainer,
        "mgda",
        **settings,
        gradient_method={"name": "mgda", "normalization": "none"},
        gradient_engine="representation",
    )
    compared = [line for line in history(trainer) if "cosine/parts/kind" in line]
    assert compared
    for line in compared:
        # The shortest vector between two that are nearly orthogonal: weights go by squares.
        a, b = (line[f"gradient_norm/{task}"] for task in ("parts", "kind"))
        inner = line["cosine/parts/kind"] * a * b
        share = (b * b - inner) / (a * a + b * b - 2 * inner)
        assert line["weight/parts"] == pytest.approx(2 * min(max(share, 0), 1), rel=1e-4)


def test_a_weighting_scales_the_gradients_that_are_compared(toy_trainer):
    plain = trained(toy_trainer, "plain", weighting="scale_invariant")
    both = trained(
        toy_trainer, "both", weighting="scale_invariant", gradient_method="mean", batches="merged"
    )
    assert_same_parameters(both, plain)
    alone = trained(toy_trainer, "alone", gradient_method="mean")
    first, bare = history(both)[0], history(alone)[0]
    for task in both.suite:
        norm = bare[f"gradient_norm/{task}"] / bare[f"loss/{task}"]
        assert first[f"gradient_norm/{task}"] == pytest.approx(norm, rel=1e-4)
        assert first[f"weight/{task}"] == pytest.approx(1 / first[f"loss/{task}"], rel=1e-4)


def test_preferences_scale_gradients_unless_the_method_sees_to_them(toy_trainer, toy_suite):
    suite = toy_suite.replace("topic", weight=3.0)
    preferring = {"topic": 2.0, "valence": 2 / 3, "parts": 2 / 3, "kind": 2 / 3}
    plain = trained(toy_trainer, "plain", suite=suite)
    found = trained(toy_trainer, "found", suite=suite, gradient_method="mean")
    assert_same_parameters(found, plain)
    for line in history(found):
        assert [line[f"weight/{task}"] for task in suite] == pytest.approx(
            list(preferring.values())
        )
    # Weights of the shortest vector, each task made to advance by what is preferred.
    mgda = trained(toy_trainer, "mgda", suite=suite, gradient_method="mgda", max_steps=1)
    even = trained(toy_trainer, "even", gradient_method="mgda", max_steps=1)
    assert history(mgda)[0]["weight/topic"] != pytest.approx(history(even)[0]["weight/topic"])


def test_between_two_comparisons_weights_are_kept(toy_trainer):
    trainer = trained(toy_trainer, "kept", gradient_method="mgda", gradient_update_every=3)
    lines = history(trainer)
    weights = [[line[f"weight/{task}"] for task in trainer.suite] for line in lines]
    assert weights[0] == weights[1] == weights[2] != weights[3]
    assert weights[3] == weights[4] == weights[5]
    assert ["gradient_conflicts" in line for line in lines] == [True, False, False] * 2


def test_a_step_with_one_task_is_a_plain_one(toy_trainer):
    """Draws of one source at a time: only that of names has two tasks."""
    trainer = trained(toy_trainer, "some", tasks_per_step=1, max_steps=9, gradient_method="pcgrad")
    lines = history(trainer)
    assert any("loss/topic" in line for line in lines)
    for line in lines:
        assert ("gradient_conflicts" in line) == ("loss/kind" in line)
        if "loss/topic" in line:
            assert line["weight/topic"] == 1.0


def test_the_log_tells_how_gradients_compare(toy_trainer):
    trainer = toy_trainer(**EXACT | {"max_steps": 1}, gradient_method="mean")
    trainer.train()
    (line,) = history(trainer)
    tasks, jacobian, _ = task_gradients(toy_trainer("again", **EXACT, gradient_method="mean"))
    norms = jacobian.norm(dim=1)
    cosines = jacobian @ jacobian.T / torch.outer(norms, norms)
    pairs = list(itertools.combinations(range(4), 2))
    for i, task in enumerate(tasks):
        assert line[f"gradient_norm/{task}"] == pytest.approx(norms[i].item(), rel=1e-5)
    for i, j in pairs:
        found = line[f"cosine/{tasks[i]}/{tasks[j]}"]
        assert found == pytest.approx(cosines[i, j].item(), rel=1e-5)
    conflicts = sum(cosines[i, j].item() < 0 for i, j in pairs)
    assert line["gradient_conflicts"] == pytest.approx(conflicts / 6)


@pytest.mark.parametrize("name", GRADIENT_METHODS.names())
def test_a_resumed_run_equals_the_uninterrupted_one(toy_trainer, name):
    settings = {
        "gradient_method": name,
        "tasks_per_step": 2,
        "batches": "merged",
        "gradient_update_every": 2,
        "max_steps": 8,
        "dropout": 0.1,
        "logging_steps": 3,
        "save_strategy": "steps",
        "save_steps": 4,
    }
    whole = toy_trainer("whole", **settings)
    whole.train()
    resumed = toy_trainer("resumed", **settings)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-4")
    assert history(resumed, 4) == history(whole, 4)
    expected = whole.model.state_dict()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[key])


def test_a_checkpoint_of_another_method_is_refused(toy_trainer):
    saving = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1, "tasks_per_step": "all"}
    trainer = toy_trainer("old", **saving, gradient_method="mgda")
    trainer.train()
    other = toy_trainer("new", **saving, gradient_method="pcgrad")
    with pytest.raises(ValueError, match=r"`gradient_method` must be that of the checkpoint, .*mg"):
        other.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-1")


def test_a_second_training_starts_without_what_the_first_has_learned(toy_trainer):
    given = {"gradient_method": "gradvac", "tasks_per_step": "all", "max_steps": 3}
    trainer = toy_trainer(**given)
    trainer.train()
    first = trainer._balance.state_dict()["state"]
    assert any(itertools.chain(*first["target"]))
    trainer.args.max_steps = 0
    trainer._balance.begin()
    assert not any(itertools.chain(*trainer._balance.state_dict()["state"]["target"]))


@pytest.mark.parametrize("batches", ["separate", "merged"])
@pytest.mark.parametrize("rule", ["skip_task", "skip_step"])
def test_a_loss_that_is_not_finite_is_left_out_of_the_comparison(toy_trainer, rule, batches):
    spoiler = SpoiledHead(0, step=2)
    trainer = toy_trainer(
        **EXACT,
        callbacks=[spoiler],
        batches=batches,
        gradient_method="upgrad",
        on_nonfinite=rule,
    )
    spoiler.trainer = trainer
    trainer.train()
    (line,) = [line for line in trainer.state.log_history if "nonfinite/valence" in line]
    assert "gradient_norm/valence" not in line
    assert ("gradient_norm/topic" in line) == (rule == "skip_task")
    assert all(each.isfinite().all() for each in trainer.model.state_dict().values())


@pytest.mark.parametrize("engine", ["streaming", "retained-merged", "grouped-merged"])
def test_bf16_is_close_to_full_precision(toy_trainer, engine):
    settings = {"tasks_per_step": "all", "max_steps": 3, "gradient_method": "upgrad"}
    whole = toy_trainer("whole", **settings)
    whole.train()
    half = toy_trainer("half", **settings, **ENGINES[engine], bf16=True)
    half.train()
    for line, wanted in zip(history(half), history(whole), strict=True):
        assert line["loss"] == pytest.approx(wanted["loss"], rel=0.05)
        assert line["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=0.2)


def test_the_last_layers_alone_may_be_compared(toy_trainer):
    settings = EXACT | {"max_steps": 1, "gradient_method": "mean"}
    whole = trained(toy_trainer, "whole", **settings)
    last = trained(toy_trainer, "last", **settings, gradient_scope=1)
    assert_same_parameters(last, whole)
    for task in last.suite:
        key = f"gradient_norm/{task}"
        assert 0 < history(last)[0][key] < history(whole)[0][key]


def test_a_method_that_gives_no_number_is_named(toy_trainer, registered):
    @dataclass(frozen=True)
    class BrokenMethod(GramianMethod):
        def weights(self, gramian, tasks, state, context):
            return torch.full_like(context.losses, torch.nan), state

    registered("broken", BrokenMethod)
    trainer = toy_trainer(**EXACT, gradient_method="broken")
    with pytest.raises(ValueError, match=r"must be finite, but BrokenMethod gave .* at step 1"):
        trainer.train()


def test_a_method_of_the_users_own_is_one_class(toy_trainer, registered):
    @dataclass(frozen=True)
    class FirstOnly(GramianMethod):
        breaks: ClassVar = {}

        def weights(self, gramian, tasks, state, context):
            return (tasks == 0).double() * len(tasks), state

    registered("first_only", FirstOnly)
    trainer = trained(toy_trainer, "own", gradient_method="first_only")
    assert history(trainer)[0]["weight/topic"] == 4.0
    assert history(trainer)[0]["weight/kind"] == 0.0


def test_what_would_not_happen_is_refused(toy_trainer, toy_suite, toy_data):
    alone = {
        "suite": toy_suite.subset(["topic", "valence"]),
        "data": {source: toy_data[source] for source in ("topic", "valence")},
    }
    with pytest.raises(ValueError, match="`gradient_method` must have two tasks or more in a step"):
        toy_trainer(gradient_method="mgda", **alone)
    given = {"tasks_per_step": "all", "gradient_method": "mgda"}
    with pytest.raises(ValueError, match="`gradient_engine` must be another one unless all tasks"):
        toy_trainer(**given, gradient_engine="representation")
    with pytest.raises(ValueError, match="unless every step has one merged batch of rows with one"):
        toy_trainer(**given, gradient_engine="grouped_twice", batches="merged")
    trainer = toy_trainer(**given, gradient_scope="adapter")
    with pytest.raises(ValueError, match="`gradient_scope` must take in a shared parameter"):
        trainer.train()
    trainer = toy_trainer(**given)
    trainer.model.backbone.requires_grad_(False)
    with pytest.raises(ValueError, match="`gradient_method` must have shared parameters to train"):
        trainer.train()
