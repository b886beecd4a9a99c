# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl launch``: training in several processes, on one machine or several."""

import os
import shlex
import signal
from typing import Annotated, cast

import typer

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.launching.processes import (
    accelerate_arguments,
    count_processes,
    torchrun_arguments,
)
from hf_mtl.cli.launching.starting import run_with_accelerate, run_with_torch
from hf_mtl.cli.launching.strategies import PACKAGED, Strategy, read_strategy
from hf_mtl.cli.options import Debug, RecipeFile
from hf_mtl.cli.ranks import COMMAND_VARIABLE
from hf_mtl.cli.train import train

__all__ = ["LAUNCH_SETTINGS", "launch"]

# What click calls UsageError; typer brings its own click in some versions, and exports neither.
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])
_SIGNALS_FROM = 128
_GO_ON = "Go on from the last checkpoint with --resume."

LAUNCH_SETTINGS = {"allow_interspersed_args": False, "ignore_unknown_options": True}
"""What follows the recipe belongs to ``hf-mtl train``, options included."""

Config = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=f"How the model is spread: {', '.join(PACKAGED)}, or a file of `accelerate config`.",
    ),
]
NumProcesses = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes over all machines; otherwise one for each visible device.",
        show_default=False,
    ),
]
NumMachines = Annotated[
    int | None, typer.Option(min=1, help="Machines, 1 by default.", show_default=False)
]
MachineRank = Annotated[
    int | None, typer.Option(min=0, help="Which machine this is, from 0.", show_default=False)
]
MainIp = Annotated[
    str | None,
    typer.Option("--main-process-ip", help="Address of machine 0.", show_default=False),
]
MainPort = Annotated[
    int | None,
    typer.Option(
        "--main-process-port",
        help="Port on machine 0; otherwise a free one, or 29500 with several machines.",
        show_default=False,
    ),
]
TrainArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH=VALUE]...",
        help="Changes to the recipe and options of `hf-mtl train`, such as --resume.",
        show_default=False,
    ),
]


@readable_errors
def launch(
    recipe: RecipeFile,
    train_arguments: TrainArguments = None,
    config: Config = "ddp",
    num_processes: NumProcesses = None,
    num_machines: NumMachines = None,
    machine_rank: MachineRank = None,
    main_process_ip: MainIp = None,
    main_process_port: MainPort = None,
    debug: Debug = False,
) -> None:
    """Train a recipe in several processes: `hf-mtl launch --config fsdp2 recipe.yaml`.

    Options stand before the recipe; what stands behind it goes to `hf-mtl train`. A thin wrapper on
    `accelerate launch`. The exit code is that of the processes.
    """
    import torch

    strategy = read_strategy(config)
    arguments = [str(recipe), *(train_arguments or []), *(["--debug"] if debug else [])]
    _check_train_arguments(arguments)
    num_devices = torch.accelerator.device_count()
    processes = count_processes(
        strategy,
        num_devices,
        count=num_processes,
        machines=num_machines,
        machine_rank=machine_rank,
        main_ip=main_process_ip,
        main_port=main_process_port,
    )
    os.environ[COMMAND_VARIABLE] = shlex.join(
        ["hf-mtl", "launch", "--config", config, "--num-processes", str(processes.count)]
    )
    if num_devices and not strategy.is_for_cpu:
        code = run_with_accelerate(accelerate_arguments(strategy, processes, arguments))
    else:
        _check_runs_on_cpu(strategy)
        # Asked for `--cpu`, accelerate would start one process, whatever number it is given.
        arguments.append("training.use_cpu=true")
        code = run_with_torch(
            torchrun_arguments(processes, arguments), processes_here=processes.per_machine
        )
    if code > _SIGNALS_FROM:
        typer.echo(f"Error: {_of_signal(code - _SIGNALS_FROM)} {_GO_ON}", err=True)
    if code:
        raise typer.Exit(code)  # what else was wrong, the processes have said


def _of_signal(number: int) -> str:
    text = f"A process was ended by signal {number}, and the others with it."
    if number == signal.SIGKILL:
        return f"{text} That is usually the machine's answer to a lack of memory."
    if number == signal.SIGTERM:
        return f"{text} With `training.enable_jit_checkpoint=true` a run saves before it leaves."
    return text


def _check_runs_on_cpu(strategy: Strategy) -> None:
    if strategy.needs_accelerator:
        raise ValueError(
            f"`--config` must be 'ddp' on a machine without an accelerator, but got "
            f"{strategy.name!r}: accelerate would run something else instead. Take `--config ddp`, "
            f"or a machine with an accelerator that this PyTorch can use."
        )


def _check_train_arguments(arguments: list[str]) -> None:
    """Raises unless ``hf-mtl train`` takes them, so that it is said once and not by every process.

    Raises:
        ValueError: If it does not, or an option of ``launch`` stands behind the recipe.
    """
    command = typer.Typer(add_completion=False)
    command.command()(train)
    try:
        typer.main.get_command(command).make_context("hf-mtl train", list(arguments))
    except _UsageError as error:
        raise ValueError(
            f"What stands behind the recipe must be arguments of `hf-mtl train`, but: "
            f"{_sentence(error)} Options of `hf-mtl launch` stand before the recipe."
        ) from error


def _sentence(error: Exception) -> str:
    """What an error of the command line says, ending in a full stop."""
    text = str(getattr(error, "message", error)).rstrip(".")
    return f"{text}."
