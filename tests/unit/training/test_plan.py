# SPDX-License-Identifier: Apache-2.0
"""The plan of a run against numbers that can be counted by hand, and memory against a real pass."""

from io import StringIO
from typing import Any

import pytest
import torch
import toy_runs
from datasets import Dataset
from rich.console import Console

from hf_mtl import MultiTaskTrainingArguments, TaskSpec, TaskSuite
from hf_mtl.cli.tables import plan_view
from hf_mtl.data import SourceCollection, prepare
from hf_mtl.models import MultiTaskConfig, MultiTaskModel
from hf_mtl.training.activations import longest_rows, saved_bytes
from hf_mtl.training.gradient_plan import make_gradient_plan
from hf_mtl.training.memory import Memory
from hf_mtl.training.plan import Plan, make_plan

SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("book", "film"), weight=3.0),
        "valence": TaskSpec("regression", batch_size=2),
    }
)
# Without [CLS] and [SEP] one to six words.
TEXTS = ["good", "a film", "a good film", "a very good film", "not a very good film"]


def model_on(device: str, config: Any) -> MultiTaskModel:
    with torch.device(device):
        return MultiTaskModel(MultiTaskConfig(backbone_cfg=config, tasks=SUITE.to_list()))


@pytest.fixture
def rows(tiny_tokenizer: Any) -> SourceCollection:
    """Ten rows with a class, five with a number."""
    datasets = {
        "topic": Dataset.from_dict({"text": TEXTS * 2, "label": ["book", "film"] * 5}),
        "valence": Dataset.from_dict({"text": TEXTS, "label": [0.0, 1.0, 2.0, 3.0, 4.0]}),
    }
    return prepare(SUITE, datasets, tiny_tokenizer)


@pytest.fixture
def plan_of(rows: SourceCollection, tiny_bert_config: Any) -> Any:
    def plan(**settings: Any) -> Plan:
        args = MultiTaskTrainingArguments(
            output_dir="out", use_cpu=True, per_device_train_batch_size=4, **settings
        )
        return make_plan(model_on("meta", tiny_bert_config), args, rows)

    return plan


def test_a_plan_says_which_tasks_are_detached(rows, tiny_bert_config):
    suite = SUITE.replace("valence", detached=True)
    with torch.device("meta"):
        model = MultiTaskModel(
            MultiTaskConfig(backbone_cfg=tiny_bert_config, tasks=suite.to_list())
        )
    plan = make_plan(model, MultiTaskTrainingArguments(output_dir="out", use_cpu=True), rows)
    assert [task.detached for task in plan.tasks] == [False, True]
    written = StringIO()
    Console(file=written, width=200).print(plan_view(plan))
    assert written.getvalue().count("(detached)") == 1


def test_steps_are_those_of_the_sampler(plan_of):
    plan = plan_of(num_train_epochs=2)
    # topic: 10 rows in batches of 4; valence: 5 rows in batches of 2
    assert [source.batches for source in plan.sources] == [3, 3]
    assert (plan.steps_per_epoch, plan.steps, plan.epochs) == (6, 12, 2.0)
    assert (plan.sampler, plan.forwards_per_step) == ("proportional", 1)


def test_a_step_of_all_sources_takes_a_forward_for_each_or_one_merged(plan_of):
    separate = plan_of(tasks_per_step="all", gradient_accumulation_steps=2, max_steps=7)
    assert (separate.steps, separate.sampler, separate.forwards_per_step) == (7, None, 2 * 2)
    merged = plan_of(tasks_per_step="all", batches="merged")
    assert merged.forwards_per_step == 1


def test_a_weighting_may_take_more_forwards_without_gradients(plan_of):
    all_in_a_step = {"tasks_per_step": "all", "gradient_accumulation_steps": 2}
    plain = plan_of(**all_in_a_step)
    assert (plain.weighting, plain.forward_only_per_step) == ("static", 0)
    famo = plan_of(**all_in_a_step, weighting={"name": "famo"})
    # four forwards, once before the step and once after it
    assert (famo.weighting, famo.forward_only_per_step) == ("famo", 4 + 4)


@pytest.mark.parametrize(
    ("settings", "waits", "steps"),
    [
        # Three steps an epoch.
        ({"weighting": "stch", "num_train_epochs": 5}, 5 * 3, 15),
        ({"weighting": "dwa", "max_steps": 6}, 2 * 3, 6),
        ({"weighting": {"name": "dwa", "interval_steps": 50}, "max_steps": 100}, 100, 100),
        ({"weighting": "validation_loss", "eval_strategy": "epoch", "max_steps": 6}, 6, 6),
    ],
)
def test_a_run_that_ends_before_its_weighting_acts_is_refused(plan_of, settings, waits, steps):
    with pytest.raises(ValueError, match=f"waits for {waits} of {steps} steps. Train for longer"):
        plan_of(tasks_per_step="all", **settings)


@pytest.mark.parametrize(
    ("settings", "engine", "forwards", "backwards"),
    [
        ({}, "streaming", 2, 2),
        ({"gradient_accumulation_steps": 3}, "streaming", 6, 6),
        ({"batches": "merged"}, "grouped", 1, 1),
        ({"batches": "merged", "gradient_engine": "grouped_twice"}, "grouped_twice", 1, 2),
        ({"batches": "merged", "gradient_engine": "retained"}, "retained", 1, 2),
        ({"batches": "merged", "gradient_engine": "streaming"}, "streaming", 2, 2),
    ],
)
def test_a_gradient_method_costs_passes_and_memory(plan_of, settings, engine, forwards, backwards):
    plan = plan_of(tasks_per_step="all", gradient_method={"name": "mgda"}, **settings)
    cost = plan.gradient_method
    assert (cost.method, cost.engine, cost.update_every) == ("mgda", engine, 1)
    assert (cost.forwards, cost.backwards) == (forwards, backwards)
    assert plan.forwards_per_step == forwards
    heads = sum(task.head_parameters for task in plan.tasks)
    by_task = 2 * 4 * (plan.trainable_parameters - heads)
    assert cost.extra_bytes == plan.memory.task_gradients
    assert cost.extra_bytes == (0 if engine == "grouped_twice" else by_task)


def test_comparing_representations_keeps_the_output_of_the_backbone_for_each_task():
    """Two tasks on rows of 7 tokens: 16 numbers for each, and 16 for a row's pooler."""
    suite = TaskSuite(
        {
            "topic": TaskSpec("text-classification", labels=("book", "film"), source="rows"),
            "valence": TaskSpec("regression", columns={"label": "score"}, source="rows"),
        }
    )
    data = Dataset.from_dict({"text": TEXTS, "label": ["book"] * 5, "score": [0.0] * 5})
    rows = prepare(suite, {"rows": data}, toy_runs.toy_tokenizer())
    with torch.device("meta"):
        model = MultiTaskModel(
            MultiTaskConfig(backbone_cfg=toy_runs.tiny_bert_config(), tasks=suite.to_list())
        )
    args = MultiTaskTrainingArguments(
        output_dir="out",
        use_cpu=True,
        per_device_train_batch_size=4,
        tasks_per_step=1,
        gradient_method="mgda",
        gradient_engine="representation",
    )
    plan = make_plan(model, args, rows)
    output = 4 * 4 * (7 * 16 + 16)  # float32, four rows
    # its copies, their gradients, and what is compared
    assert plan.gradient_method.extra_bytes == 3 * 2 * output
    assert plan.memory.task_gradients == 3 * 2 * output
    assert make_gradient_plan(args, model, "one process").extra_bytes is None


def test_the_plan_names_the_layers_whose_gradients_are_compared(plan_of):
    given = {"tasks_per_step": "all", "gradient_method": "mgda", "batches": "merged"}
    assert plan_of(**given).gradient_method.scope is None
    scope = plan_of(**given, gradient_scope=1).gradient_method.scope
    assert scope == "the last 1 of 2 layers of backbone.encoder.layer"
    with pytest.raises(ValueError, match=r"`gradient_scope` must be at most 2, .* but got 99"):
        plan_of(**given, gradient_scope=99)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batches": "merged"}, "mgda, by the grouped engine: 1 backward, "),
        ({}, "mgda, by the streaming engine: 2 backwards, "),
        (
            {"gradient_scope": "LayerNorm"},
            "engine, comparing parameters with 'LayerNorm' in their names: 2 backwards, ",
        ),
    ],
)
def test_the_plan_is_shown_in_words(plan_of, settings, words):
    plan = plan_of(tasks_per_step="all", gradient_method="mgda", **settings)
    console = Console(file=StringIO(), width=300)
    console.print(plan_view(plan))
    assert words in console.file.getvalue()


@pytest.mark.parametrize(
    ("strategy", "engine", "reason"),
    [
        ("DDP", "grouped_twice", "'grouped_twice' needs one process for its two backwards"),
        ("FSDP2", "grouped", "'grouped' needs whole parameters on every rank"),
        ("ZeRO-2", None, "None: 'streaming' needs gradients that can be read after each backward"),
    ],
)
def test_an_engine_that_a_strategy_cannot_run_is_refused_with_what_it_needs(
    tiny_bert_config, strategy, engine, reason
):
    args = MultiTaskTrainingArguments(
        output_dir="out",
        use_cpu=True,
        tasks_per_step="all",
        batches="merged",
        gradient_method="mgda",
        gradient_engine=engine,
    )
    with pytest.raises(ValueError, match=rf"`gradient_engine` must be one of .*{reason}"):
        make_gradient_plan(args, model_on("meta", tiny_bert_config), strategy)


def test_two_backwards_with_reentrant_checkpointing_are_refused(plan_of):
    given = {
        "tasks_per_step": "all",
        "gradient_method": "mgda",
        "batches": "merged",
        "activation_checkpointing_kwargs": {"use_reentrant": True},
    }
    twice = {"gradient_engine": "grouped_twice"}
    with pytest.raises(ValueError, match=r"reentrant .* Choose 'grouped', or set .*False"):
        plan_of(**given, **twice, activation_checkpointing=True)
    assert plan_of(**given, **twice).gradient_method.engine == "grouped_twice"
    assert plan_of(**given).gradient_method.engine == "grouped"


def test_a_method_that_compares_batches_keeps_gradients_of_each(plan_of):
    costs = [
        plan_of(tasks_per_step="all", gradient_method=name, gradient_accumulation_steps=3)
        for name in ("mgda", "sdmgrad")
    ]
    one, three = (cost.gradient_method.extra_bytes for cost in costs)
    assert three == 3 * one > 0


def test_without_a_gradient_method_nothing_is_kept_by_task(plan_of):
    plan = plan_of(tasks_per_step="all")
    assert plan.gradient_method is None
    assert plan.memory.task_gradients == 0


def test_a_gradient_method_that_has_nothing_to_compare_is_refused(plan_of):
    with pytest.raises(ValueError, match="`gradient_method` must have two tasks or more in a step"):
        plan_of(gradient_method="mgda")


def test_a_weighting_that_has_nothing_to_compare_is_refused(plan_of):
    with pytest.raises(ValueError, match="'gls' every step has one"):
        plan_of(weighting="gls")
    assert plan_of(weighting="gls", tasks_per_step="all").forward_only_per_step == 2


def test_a_run_that_goes_on_for_a_step_more_is_taken(plan_of):
    dwa = {"name": "dwa", "interval_steps": 50}
    plan = plan_of(tasks_per_step="all", weighting=dwa, max_steps=101)
    assert plan.steps == 101
    evaluations = {"eval_strategy": "steps", "eval_steps": 0.5, "eval_on_start": True}
    # The second evaluation is after step 2 of 3.
    settings = {"weighting": "validation_loss", "tasks_per_step": "all", "max_steps": 3}
    assert plan_of(**settings, **evaluations).steps == 3


def test_tasks_and_sources_are_described(plan_of):
    topic, valence = plan_of().tasks
    assert (topic.num_labels, topic.weight, topic.head_parameters) == (2, 1.5, 16 * 2 + 2)
    assert (valence.num_labels, valence.weight, valence.head_parameters) == (None, 0.5, 16 + 1)
    source = plan_of().sources[1]
    assert (source.train_rows, source.batch_size, source.longest) == (5, 2, 5 + 2)


def test_a_token_budget_is_said_with_what_results(plan_of):
    plan = plan_of(batch_tokens=12)
    topic, valence = plan.sources
    # Twice 3, 4, 5, 6 and 7 tokens with those at both ends: 7 | 7 | 6 6 | 5 5 | 4 4 3 | 3.
    assert (topic.batch_tokens, topic.batch_size, topic.batches) == (12, 3, 6)
    assert (valence.batch_tokens, valence.batch_size, valence.batches) == (None, 2, 3)
    assert plan.steps_per_epoch == 6 + 3
    shown = Console(width=120, record=True, file=StringIO())
    shown.print(plan_view(plan))
    assert "12 tokens" in shown.export_text()


def test_memory_is_that_of_the_draws_that_need_most(plan_of):
    small, large = (plan_of(batch_tokens=tokens).memory.activations for tokens in (16, 32))
    assert 1.5 * small < large < 2.5 * small
    merged = plan_of(batch_tokens=32, tasks_per_step="all", batches="merged").memory.activations
    assert merged > large


def test_parameters_and_their_memory_are_counted(plan_of, tiny_bert_config):
    plan = plan_of()
    model = model_on("cpu", tiny_bert_config)
    assert plan.parameters == sum(parameter.numel() for parameter in model.parameters())
    trained = plan.trainable_parameters
    assert plan.memory.parameters == 4 * plan.parameters  # float32
    assert (plan.memory.gradients, plan.memory.optimizer) == (4 * trained, 8 * trained)
    assert plan.memory.total == 4 * plan.parameters + 12 * trained + plan.memory.activations


def test_activations_are_what_a_real_pass_keeps(tiny_bert_config, monkeypatch):
    # A fused kernel keeps less than the meta device can know of.
    tiny_bert_config._attn_implementation = "eager"
    inputs = {"input_ids": torch.ones(3, 7, dtype=torch.long)}
    counted = saved_bytes(model_on("meta", tiny_bert_config), inputs)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *_: tensor)  # stays on the CPU
    assert counted == saved_bytes(model_on("cpu", tiny_bert_config), inputs)


def test_merged_batches_keep_more_at_once(plan_of):
    separate = plan_of(tasks_per_step=2).memory.activations
    merged = plan_of(tasks_per_step=2, batches="merged").memory.activations
    assert merged > 1.9 * separate


def test_the_longest_rows_are_found(rows):
    assert longest_rows(rows.sources["valence"], 2) == (4, 3)
    assert len(longest_rows(rows.sources["valence"], 99)) == 5


def test_a_plan_is_plain_values(plan_of):
    plain = plan_of(tasks_per_step="all").to_dict()
    assert plain["tasks"][0]["name"] == "topic"
    assert plain["memory"]["total"] == plan_of(tasks_per_step="all").memory.total


def test_one_process_is_said_with_the_rows_of_its_steps(plan_of):
    plan = plan_of(tasks_per_step="all", gradient_accumulation_steps=2)
    assert (plan.ranks, plan.strategy) == (1, "one process")
    # topic: 10 rows in draws of 2 x 4; valence: 5 rows in draws of 2 x 2, so 2 steps of both
    assert plan.rows_per_step == (10 + 5) / 2


@pytest.mark.parametrize(
    ("environment", "name", "part", "buckets"),
    [
        ({}, "DDP", 1, 1),
        ({"ACCELERATE_USE_FSDP": "true"}, "FSDP2", 2, 0),
    ],
)
def test_a_strategy_leaves_each_rank_its_part(
    plan_of, monkeypatch, tiny_bert_config, environment, name, part, buckets
):
    whole = plan_of().memory
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(MultiTaskTrainingArguments, "world_size", 2)
    plan = plan_of()
    backbone = model_on("meta", tiny_bert_config).backbone.parameters()
    in_buckets = buckets * sum(parameter.nbytes for parameter in backbone)
    assert (plan.ranks, plan.strategy) == (2, name)
    assert plan.memory == Memory(
        parameters=whole.parameters // part,
        gradients=whole.gradients // part + in_buckets,
        optimizer=whole.optimizer // part,
        activations=whole.activations,
    )


def test_steps_of_several_ranks_have_the_rows_of_all(plan_of, monkeypatch):
    monkeypatch.setattr(MultiTaskTrainingArguments, "world_size", 2)
    plan = plan_of()
    # topic: 10 rows in draws of 2 x 4; valence: 5 rows in draws of 2 x 2
    assert [source.batches for source in plan.sources] == [2, 2]
    assert plan.steps_per_epoch == 4
