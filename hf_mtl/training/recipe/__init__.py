# SPDX-License-Identifier: Apache-2.0
"""Recipes: from one YAML file to a trainer, with all that is wrong reported at once.

``Recipe.from_file`` reads the text, ``load_data`` loads and checks the data, ``build_trainer``
loads the weights. Whatever is wrong comes as one ``RecipeError`` before the last of the three.
"""

from hf_mtl.training.recipe.build import build_model, build_plan, build_trainer
from hf_mtl.training.recipe.evaluation import settled_suite
from hf_mtl.training.recipe.loading import RecipeData, load_data
from hf_mtl.training.recipe.problems import RecipeError
from hf_mtl.training.recipe.recipe import Recipe
from hf_mtl.training.recipe.results import (
    describe_run,
    plain_rows,
    results_of_model,
    results_of_training,
)
from hf_mtl.training.recipe.run import carry_out
from hf_mtl.training.recipe.turns import load_data_in_turn

__all__ = [
    "Recipe",
    "RecipeData",
    "RecipeError",
    "build_model",
    "build_plan",
    "build_trainer",
    "carry_out",
    "describe_run",
    "load_data",
    "load_data_in_turn",
    "plain_rows",
    "results_of_model",
    "results_of_training",
    "settled_suite",
]
