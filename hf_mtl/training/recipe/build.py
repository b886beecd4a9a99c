# SPDX-License-Identifier: Apache-2.0
"""From a recipe whose data is right to a trainer that is ready to train."""

from typing import Any

from transformers import set_seed

from hf_mtl.models import MultiTaskModel
from hf_mtl.training.plan import Plan, make_plan
from hf_mtl.training.recipe.backbone import backbone_config, weightless_model
from hf_mtl.training.recipe.loading import RecipeData
from hf_mtl.training.recipe.recipe import Recipe
from hf_mtl.training.trainer import MultiTaskTrainer

__all__ = ["build_model", "build_plan", "build_trainer"]


def build_plan(recipe: Recipe, data: RecipeData) -> Plan:
    """What training the recipe will do; no weight is loaded.

    Args:
        recipe: The recipe.
        data: Its data, from ``load_data``.
    """
    model = weightless_model(backbone_config(recipe.model), data.suite)
    return make_plan(model, recipe.training_arguments(), data.train, data.test)


def build_model(recipe: Recipe, data: RecipeData) -> MultiTaskModel:
    """Model with the pretrained weights of the recipe's backbone and a new head for each task.

    New heads are drawn at random, from the recipe's seed.
    """
    arguments = dict(recipe.model)
    set_seed(recipe.seed)
    return MultiTaskModel.from_backbone(
        arguments.pop("backbone"),
        data.suite,
        processing_class=data.processing_class,
        **arguments,
    )


def build_trainer(
    recipe: Recipe, data: RecipeData, model: MultiTaskModel | None = None
) -> MultiTaskTrainer:
    """Trainer of a recipe.

    Args:
        recipe: The recipe.
        data: Its data, from ``load_data``.
        model: The model to train or to evaluate; ``None``: a new one on the recipe's backbone.
    """
    # Prepared already, to be checked; the trainer takes them as they are.
    train: Any = data.train
    validation: Any = data.validation
    return MultiTaskTrainer(
        model=model if model is not None else build_model(recipe, data),
        args=recipe.training_arguments(),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=data.processing_class,
    )
