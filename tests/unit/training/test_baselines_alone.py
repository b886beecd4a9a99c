# SPDX-License-Identifier: Apache-2.0
"""What of a recipe holds for a task alone."""

from dataclasses import replace

import pytest

from hf_mtl._yaml import dump_yaml
from hf_mtl.training.baselines.alone import recipe_alone, recipe_unseen, what_differs
from hf_mtl.training.recipe import Recipe

EVALUATED = {"eval_strategy": "steps", "eval_steps": 10}
CHOSEN = {**EVALUATED, "load_best_model_at_end": True, "save_steps": 20}


@pytest.fixture
def read(tmp_path):
    """Reads a recipe of tasks `first` and `second` with some sections more."""

    def make(training=None, **sections):
        task = {"type": "regression", "metrics": ["pearson"]}
        data = {"path": "csv", "data_files": "rows.csv"}
        content = {
            "model": {"backbone": "encoder"},
            "tasks": {
                "first": {**task, "data": data, "weight": 3.0, "schedule": {"warmup": 0.5}},
                "second": {**task, "data": data},
            },
            **sections,
            "training": {"output_dir": "run", "use_cpu": True, **(training or {})},
        }
        (tmp_path / "rows.csv").write_text("text,label\na,1.0\n", encoding="utf-8")
        (tmp_path / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
        recipe = Recipe.from_file(tmp_path / "recipe.yaml")
        recipe.raise_faults()
        return recipe

    return make


def alone(recipe, steps=50, steps_together=100):
    own = recipe_alone(recipe, "first", steps=steps, steps_together=steps_together)
    own.training_arguments()  # which checks that they go together
    return own


def test_what_speaks_of_several_tasks_is_left_out_and_the_rest_stays(read):
    recipe = read(
        {"baseline_scores": {"second": 0.5}, "num_train_epochs": 2, "learning_rate": 1e-3},
        mixture={"tasks_per_step": 2, "sampler": "uniform", "batches": "merged"},
        balancing={"weighting": "uncertainty", "gradient_method": "upgrad"},
    )
    own = alone(recipe)
    assert list(own.suite) == ["first"]
    assert (own.suite["first"].weight, own.suite["first"].schedule) == (1.0, None)
    assert own.arguments == {
        "output_dir": "run",
        "use_cpu": True,
        "learning_rate": 1e-3,
        "tasks_per_step": "all",
        "max_steps": 50,
    }
    assert what_differs(recipe, has_other_steps=True) == (
        "no `sampler`",
        "no `batches`",
        "no `weighting`",
        "no `gradient_method`",
        "no `schedule` of first",
        "no `weight`",
    )


def test_a_detached_task_trains_the_backbone_alone(read):
    recipe = read()
    recipe = replace(recipe, suite=recipe.suite.replace("first", detached=True))
    assert not alone(recipe).suite["first"].detached
    assert "no `detached` of first" in what_differs(recipe, has_other_steps=False)


def test_warm_up_and_intervals_in_steps_are_the_same_part_of_another_run(read):
    recipe = read({**CHOSEN, "warmup_steps": 30, "metric_for_best_model": "eval_mean"})
    arguments = alone(recipe).arguments
    assert (arguments["warmup_steps"], arguments["eval_steps"]) == (15, 5)
    assert arguments["save_steps"] == 10
    assert alone(recipe, steps=1).arguments["eval_steps"] == 1
    assert alone(recipe, steps=200).arguments["eval_steps"] == 20
    assert alone(read({"warmup_steps": 0.1})).arguments["warmup_steps"] == 0.1
    words = what_differs(recipe, has_other_steps=True)
    assert "`warmup_steps` as the same part of its steps" in words
    assert not any("same part" in each for each in what_differs(recipe, has_other_steps=False))


@pytest.mark.parametrize("metric", ["mean", "eval_mean", "eval_loss", "eval_first_loss", None])
def test_a_metric_that_a_task_alone_has_goes_on_to_choose_its_checkpoint(read, metric):
    recipe = read({**CHOSEN, "metric_for_best_model": metric})
    assert alone(recipe).arguments["metric_for_best_model"] == metric


@pytest.mark.parametrize("metric", ["weighted_mean", "eval_delta_m", "eval_second_pearson"])
def test_any_other_gives_way_to_the_first_metric_of_the_task(read, metric):
    training = {**CHOSEN, "metric_for_best_model": metric, "greater_is_better": True}
    recipe = read({**training, "baseline_scores": {"first": 0.5}})
    arguments = alone(recipe).arguments
    assert arguments["metric_for_best_model"] == "eval_first_pearson"
    assert "greater_is_better" not in arguments
    words = f"its own first metric in place of {metric!r} as `metric_for_best_model`"
    assert words in what_differs(recipe, has_other_steps=False)


def test_a_run_is_not_logged_and_saved_only_to_choose_its_best_checkpoint(read):
    unseen = recipe_unseen(read({"save_strategy": "epoch", "report_to": "tensorboard"}))
    assert unseen.arguments["save_strategy"] == "no"
    assert unseen.arguments["logging_strategy"] == "no"
    assert unseen.arguments["report_to"] == "none"
    unseen.training_arguments()
    chosen = recipe_unseen(read({**CHOSEN, "metric_for_best_model": "eval_mean"}))
    assert chosen.arguments["save_steps"] == 20
    assert "save_strategy" not in chosen.arguments


def test_evaluations_that_go_by_the_steps_of_logging_still_do(read):
    unseen = recipe_unseen(read({"eval_strategy": "steps", "logging_steps": 7}))
    assert unseen.training_arguments().eval_steps == 7
