# SPDX-License-Identifier: Apache-2.0
"""Runs in the environment that `hf-mtl launch` makes for a strategy, on CPU processes."""

from typing import Any

import strategy_runs
import toy_runs

__all__ = ["launched_environment", "trained_as_launched"]


def launched_environment(name: str) -> dict[str, str]:
    """What a packaged configuration puts into the environment of every process.

    Args:
        name: A packaged configuration.
    """
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    from hf_mtl.cli.launching.processes import Processes, accelerate_arguments
    from hf_mtl.cli.launching.strategies import read_strategy

    words = accelerate_arguments(read_strategy(name), Processes(count=2), ["recipe.yaml"])
    args, defaults, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    if args.use_deepspeed:
        args.deepspeed_fields_from_accelerate_config = ",".join(defaults.deepspeed_config)
        _, environment = prepare_deepspeed_cmd_env(args)
    else:
        environment = prepare_multi_gpu_env(args)
    names = ("ACCELERATE_", "FSDP_")
    return {key: value for key, value in environment.items() if key.startswith(names)}


def trained_as_launched(name: str, output_dir: str, **given: Any) -> dict[str, Any]:
    """Trains the toy tasks by what the environment says, not by arguments.

    Args:
        name: The packaged configuration that the environment is of.
        output_dir: Folder of the run.
        given: Arguments of ``toy_trainer``.

    Returns:
        Class of the strategy, the parameters that are split over the ranks, and losses.
    """
    strategy_runs.strategy_settings(name)  # lets it run on a CPU
    trainer = toy_runs.toy_trainer(output_dir, **given)
    trainer.train()
    return {
        "strategy": type(trainer.strategy),
        "is_split": sorted(
            parameter
            for parameter, value in trainer.model.named_parameters()
            if hasattr(value, "device_mesh") or hasattr(value, "ds_id")
        ),
        "history": toy_runs.history(trainer),
    }
