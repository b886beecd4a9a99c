# SPDX-License-Identifier: Apache-2.0
"""How many processes a run has and where, and the commands that start them."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hf_mtl.cli.launching.strategies import Strategy

__all__ = ["Processes", "accelerate_arguments", "count_processes", "torchrun_arguments"]

_TRAIN = ("hf_mtl.cli.app", "train")
# Chosen by hand where machines must agree on it.
_PORT = 29500


@dataclass(frozen=True)
class Processes:
    """The processes of a run.

    Attributes:
        count: All of them, over all machines.
        machines: Number of machines.
        machine_rank: Which of them this is.
        main_ip: Address of machine 0; ``None`` with one machine.
        main_port: Port on machine 0; ``None``: a free one.
    """

    count: int
    machines: int = 1
    machine_rank: int = 0
    main_ip: str | None = None
    main_port: int | None = None

    def __post_init__(self) -> None:
        if self.count % self.machines:
            raise ValueError(
                f"`--num-processes` must be a multiple of `--num-machines`, but got {self.count} "
                f"for {self.machines} machines. It counts the processes of all machines together."
            )
        if not 0 <= self.machine_rank < self.machines:
            raise ValueError(
                f"`--machine-rank` must be from 0 to {self.machines - 1}, but got "
                f"{self.machine_rank}. Every machine has a number of its own."
            )
        if self.machines > 1 and self.main_ip is None:
            raise ValueError(
                "`--main-process-ip` must be given with several machines. Pass the address of "
                "machine 0, the same on every machine."
            )

    @property
    def per_machine(self) -> int:
        """Processes of one machine."""
        return self.count // self.machines


def count_processes(
    strategy: Strategy,
    num_devices: int,
    *,
    count: int | None = None,
    machines: int | None = None,
    machine_rank: int | None = None,
    main_ip: str | None = None,
    main_port: int | None = None,
) -> Processes:
    """Processes that the user asked for: by option, else in the file, else one a device.

    Args:
        strategy: The configuration; a user's own may say how many processes and where.
        num_devices: Accelerators of this machine; 0 on a machine without.
        count: The option ``--num-processes``, if given; the others likewise.
        machines: ``--num-machines``.
        machine_rank: ``--machine-rank``.
        main_ip: ``--main-process-ip``.
        main_port: ``--main-process-port``.

    Raises:
        ValueError: If they contradict each other.
    """
    content = strategy.content
    machines = machines or content.get("num_machines") or 1
    return Processes(
        count=count or content.get("num_processes") or max(1, num_devices) * machines,
        machines=machines,
        machine_rank=content.get("machine_rank", 0) if machine_rank is None else machine_rank,
        main_ip=main_ip or content.get("main_process_ip"),
        main_port=main_port or content.get("main_process_port"),
    )


def accelerate_arguments(
    strategy: Strategy, processes: Processes, train_arguments: Sequence[str]
) -> list[str]:
    """Arguments of ``accelerate launch``.

    Args:
        strategy: The configuration.
        processes: The processes.
        train_arguments: Arguments of ``hf-mtl train``, the recipe first.
    """
    given: dict[str, object] = {
        "config_file": strategy.file,
        "num_processes": processes.count,
        "num_machines": processes.machines,
        "machine_rank": processes.machine_rank,
        "main_process_port": _port(processes),
    }
    if processes.main_ip is not None:
        given["main_process_ip"] = processes.main_ip
    return [*_options(given), "--same_network", "--module", *_TRAIN, *train_arguments]


def torchrun_arguments(processes: Processes, train_arguments: Sequence[str]) -> list[str]:
    """Arguments of ``torch.distributed.run``, which accelerate calls for accelerators only.

    Args:
        processes: The processes.
        train_arguments: Arguments of ``hf-mtl train``, the recipe first.
    """
    given: dict[str, object] = {
        "nnodes": processes.machines,
        "nproc_per_node": processes.per_machine,
        "node_rank": processes.machine_rank,
        "master_addr": processes.main_ip or "127.0.0.1",
        "master_port": _port(processes),
    }
    return [*_options(given), "--module", *_TRAIN, *train_arguments]


def _options(given: Mapping[str, object]) -> list[str]:
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


def _port(processes: Processes) -> int:
    if processes.main_port is not None or processes.machines > 1:
        return processes.main_port or _PORT
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
