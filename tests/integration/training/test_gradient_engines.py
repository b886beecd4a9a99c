# SPDX-License-Identifier: Apache-2.0
"""Gradients by task, however they are obtained: against plain training and naive loops."""

import gc
import itertools

import pytest
import torch
from datasets import load_dataset
from gradient_runs import EXACT, assert_same_parameters, trained
from slow_cells import some_fast
from toy_runs import history

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)
from hf_mtl.gradients import GRADIENT_METHODS, GradientContext
from hf_mtl.training import engines
from hf_mtl.training.engine_choice import shared_parameters

REENTRANT = {"use_reentrant": True}
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


@pytest.mark.parametrize("engine", some_fast(ENGINES, {"streaming", "grouped-merged"}))
def test_the_mean_of_the_gradients_is_plain_training(toy_trainer, engine):
    plain = trained(toy_trainer, "plain")
    found = trained(toy_trainer, "found", gradient_method="mean", **ENGINES[engine])
    assert_same_parameters(found, plain)
    for line, wanted in zip(history(found), history(plain), strict=True):
        common = {key: value for key, value in line.items() if key in wanted}
        assert common == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    "engine", some_fast(list(ENGINES)[1:], {"retained-merged", "grouped-accumulated"})
)
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


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(
            {"torch_compile": True, "torch_compile_backend": "aot_eager"}, marks=pytest.mark.slow
        ),
        {"activation_checkpointing": True, "activation_checkpointing_kwargs": REENTRANT},
    ],
    ids=["compiled", "reentrant"],
)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # of dynamo
def test_what_cannot_be_split_layer_by_layer_is_streamed(
    toy_trainer, toy_suite, toy_data, settings
):
    alone = ["topic", "valence"]
    given = {
        "suite": toy_suite.subset(alone),
        "data": {source: toy_data[source] for source in alone},
        "gradient_method": "upgrad",
        "batches": "merged",
    }
    expected = trained(toy_trainer, "expected", **given)
    found = trained(toy_trainer, "found", **given, **settings)
    assert [type(each._engine) for each in (expected, found)] == [
        engines.ENGINES["grouped"],
        engines.ENGINES["streaming"],
    ]
    wanted = expected.model.state_dict()
    for name, value in found.model.state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-9, atol=1e-12)


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


def tensors_with_a_graph():
    """Those that something still holds, by id."""
    gc.collect()
    tensors = (each for each in gc.get_objects() if issubclass(type(each), torch.Tensor))
    return {id(each): each.shape for each in tensors if each.grad_fn is not None}


@pytest.mark.parametrize(
    "settings",
    [
        {"tasks_per_step": 1, "gradient_engine": "representation"},
        {"gradient_engine": "streaming"},
        {"batches": "merged"},
    ],
    ids=["representation", "streaming", "grouped"],
)
def test_after_training_no_graph_is_kept_and_no_row_of_an_embedding(toy_trainer, settings):
    before = tensors_with_a_graph()
    trainer = trained(toy_trainer, "run", gradient_method="mgda", **settings)
    assert tensors_with_a_graph().keys() <= before.keys()
    if isinstance(trainer._engine, engines.BufferedEngine):
        assert trainer._engine._gradients._rows == {}
        assert trainer._engine._gradients._buffers  # those are kept for the next step


def test_rows_of_an_embedding_are_added_up_over_micro_batches(toy_trainer):
    """As many more micro-batches do not keep more, and the gradients are those of one backward."""
    settings = {
        "gradient_accumulation_steps": 6,
        "per_device_train_batch_size": 2,
        "gradient_method": "upgrad",
        "max_steps": 2,
    }
    streamed = trained(toy_trainer, "streamed", **settings)
    grouped = trained(toy_trainer, "grouped", **settings, batches="merged")
    assert_same_parameters(grouped, streamed)


@pytest.mark.slow
@pytest.mark.real_weights
def test_engines_agree_on_a_real_encoder_and_real_labels(real_data, tmp_path):
    """To what float32 allows: the combined gradient of each layer, and how tasks compare."""
    suite = TaskSuite(
        {
            "topic": TaskSpec("text-classification", columns={"text": "body", "label": "group"}),
            "valence": TaskSpec("regression", columns={"text": "sentence", "label": "score"}),
        }
    )
    rows = {
        "topic": load_dataset(
            "json", data_files=str(real_data / "news-train.jsonl"), split="train"
        ),
        "valence": load_dataset("json", data_files=str(real_data / "reviews.jsonl"), split="train"),
    }
    rows = {source: each.shuffle(seed=0).select(range(16)) for source, each in rows.items()}
    trainer = MultiTaskTrainer(
        model=MultiTaskModel.from_backbone(
            str(real_data / "minilm"), suite, attn_implementation="eager"
        ),
        args=MultiTaskTrainingArguments(
            output_dir=str(tmp_path),
            tasks_per_step="all",
            batches="merged",
            gradient_method="upgrad",
            per_device_train_batch_size=4,
            learning_rate=0.0,
            max_steps=1,
            max_grad_norm=0.0,
            logging_steps=1,
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=rows,
    )
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    found = {}
    for engine in ("streaming", "grouped", "grouped_twice"):
        trainer.args.gradient_engine = engine
        found[engine] = gradients_of_first_step(trainer), history(trainer)
    gradients, (line,) = found.pop("streaming")
    for others, (other_line,) in found.values():
        assert other_line == pytest.approx(line, rel=1e-3, abs=1e-5)
        assert others.keys() == gradients.keys()
        for name, gradient in gradients.items():
            difference = (others[name] - gradient).norm()
            assert difference <= 1e-4 * gradient.norm() + 1e-6, name
