# SPDX-License-Identifier: Apache-2.0
"""What a diagnosis changes in recipes that are right as they are."""

from copy import deepcopy

import pytest

from hf_mtl._yaml import dump_yaml
from hf_mtl.training.diagnosis.changes import recipe_to_watch

ONE_EACH = {"first": "one", "second": "two"}
ALL_ON_ONE = {"first": "one", "second": "one"}


@pytest.fixture
def watched(tmp_path):
    """Reads a recipe with some sections as a diagnosis of nine steps does."""

    def read(sources, *overrides, **sections):
        (tmp_path / "rows.csv").write_text("text,x\na,1.0\n", encoding="utf-8")
        task = {"type": "regression", "columns": {"text": "text", "label": "x"}}
        rows = {"path": "csv", "data_files": "rows.csv", "eval_split": "none"}
        content = {
            "model": {"backbone": "encoder"},
            "tasks": {name: {**deepcopy(task), "source": on} for name, on in sources.items()},
            "sources": {source: dict(rows) for source in set(sources.values())},
            **sections,
        }
        content["training"] = {"output_dir": "run", "use_cpu": True, **content.get("training", {})}
        path = tmp_path / "recipe.yaml"
        path.write_text(dump_yaml(content), encoding="utf-8")
        return recipe_to_watch(path, overrides, steps=9, run_folder=str(tmp_path / "temporary"))

    return read


def test_without_a_method_gradients_of_all_sources_are_compared(watched):
    recipe, changes = watched(ONE_EACH, mixture={"sampler": "round_robin"})
    recipe.raise_faults()
    assert recipe.arguments["gradient_method"] == "mean"
    assert recipe.arguments["tasks_per_step"] == "all"
    assert recipe.arguments["max_steps"] == 9
    assert changes == (
        "max_steps: 9",
        "gradient_method: mean",
        "tasks_per_step: all",
        "sampler: null",
    )


def test_a_recipe_with_a_method_keeps_its_draws_and_its_engine(watched):
    recipe, changes = watched(
        ALL_ON_ONE | {"third": "two"},
        mixture={"tasks_per_step": 1, "sampler": "round_robin"},
        balancing={"gradient_method": "mgda", "gradient_engine": "representation"},
    )
    recipe.raise_faults()
    assert recipe.arguments["tasks_per_step"] == 1
    assert recipe.arguments["gradient_engine"] == "representation"
    assert changes == ("max_steps: 9",)


def test_a_sampler_that_follows_the_run_keeps_to_its_base(watched):
    recipe, changes = watched(
        ONE_EACH,
        mixture={"tasks_per_step": 2, "sampler": {"name": "stop_and_go", "base": "sqrt"}},
        training={"eval_strategy": "epoch"},
    )
    recipe.raise_faults()
    assert recipe.arguments["sampler"] == "sqrt"
    assert "sampler: sqrt" in changes


def test_an_engine_that_cannot_compare_all_sources_is_left_out(watched):
    recipe, changes = watched(
        ONE_EACH, balancing={"gradient_engine": "representation", "gradient_scope": 1}
    )
    recipe.raise_faults()
    assert recipe.arguments["gradient_engine"] is None
    assert recipe.arguments["gradient_scope"] == 1
    assert "gradient_engine: null" in changes


def test_an_engine_that_can_compare_all_sources_stays(watched):
    recipe, changes = watched(ONE_EACH, balancing={"gradient_engine": "streaming"})
    recipe.raise_faults()
    assert recipe.arguments["gradient_engine"] == "streaming"
    assert not any("gradient_engine" in change for change in changes)


@pytest.mark.parametrize("method", ["upgradd", {"name": "cagrad", "d": 1}])
def test_a_method_that_is_wrong_is_still_refused(watched, method):
    recipe, _ = watched(ONE_EACH, balancing={"gradient_method": method})
    assert "balancing.gradient_method: Unknown" in recipe.faults[0]


@pytest.mark.parametrize(
    ("training", "changed"),
    [
        ({"fp16": True}, "fp16: false"),
        ({"torch_compile": True}, "torch_compile: false"),
        ({"torch_compile_backend": "eager"}, "torch_compile_backend: null"),
        ({"torch_empty_cache_steps": 4}, "torch_empty_cache_steps: null"),
        (
            {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "steps"},
            "lr_scheduler_type: constant",
        ),
        ({"eval_on_start": True}, "eval_on_start: false"),
        ({"report_to": "tensorboard"}, "report_to: none"),
        ({"push_to_hub": True}, "push_to_hub: false"),
        ({"save_strategy": "epoch"}, "save_strategy: no"),
        ({"task_patience": 2, "eval_strategy": "epoch"}, "task_patience: null"),
        (
            {
                "early_stopping_patience": 2,
                "eval_strategy": "epoch",
                "metric_for_best_model": "eval_mean",
            },
            "early_stopping_patience: null",
        ),
    ],
)
def test_settings_that_would_stand_in_the_way_are_changed_and_said(watched, training, changed):
    recipe, changes = watched(ALL_ON_ONE, training=training)
    recipe.raise_faults()
    recipe.training_arguments()
    assert changed in changes


def test_settings_that_the_user_s_own_method_is_refused_with_are_still_refused(watched):
    recipe, _ = watched(ALL_ON_ONE, balancing={"gradient_method": "mgda"}, training={"fp16": True})
    assert "`fp16` must be left out with the gradient method 'mgda'" in recipe.faults[0]


def test_a_weighting_that_goes_by_evaluations_is_left_out(watched):
    recipe, changes = watched(
        ONE_EACH,
        balancing={"weighting": "validation_loss"},
        training={"eval_strategy": "steps", "eval_steps": 2},
    )
    recipe.raise_faults()
    assert recipe.arguments["weighting"] is None
    assert "weighting: null" in changes


def test_gradients_are_compared_in_every_step(watched):
    recipe, changes = watched(
        ONE_EACH,
        mixture={"tasks_per_step": "all"},
        balancing={"gradient_method": "mgda", "gradient_update_every": 5},
    )
    recipe.raise_faults()
    assert recipe.arguments["gradient_update_every"] == 1
    assert changes == ("max_steps: 9", "gradient_update_every: 1")
