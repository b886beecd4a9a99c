# SPDX-License-Identifier: Apache-2.0
"""The data of a recipe in several processes: one of each machine prepares it for the others."""

from hf_mtl.training.recipe.loading import RecipeData, load_data
from hf_mtl.training.recipe.recipe import Recipe

__all__ = ["load_data_in_turn"]


def load_data_in_turn(recipe: Recipe) -> RecipeData:
    """Data of a recipe, loaded by the first process of each machine before the others.

    They find its work in the cache of ``datasets`` then. Every process calls this; in a run of
    one process it is ``load_data``.

    Args:
        recipe: The recipe.

    Raises:
        RecipeError: If anything is wrong with the recipe or its data, in every process.
    """
    # The arguments join this process to the others. They are let go at once: while they live,
    # transformers would build models in the parts that DeepSpeed's stage 3 asks for.
    state = recipe.training_arguments().distributed_state
    if state is None or state.num_processes == 1:
        return load_data(recipe)
    # Not `local_main_process_first`: if the first process raises in it, the others wait for ever.
    data: RecipeData | None = None
    error: BaseException | None = None
    if state.is_local_main_process:
        try:
            data = load_data(recipe)
        except BaseException as raised:
            error = raised
    state.wait_for_everyone()
    if error is not None:
        raise error
    return load_data(recipe) if data is None else data
