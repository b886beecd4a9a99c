# SPDX-License-Identifier: Apache-2.0
"""Launch configurations and commands, as accelerate and torch read them."""

import signal
from importlib.resources import files
from pathlib import Path

import pytest
from launched_runs import launched_environment

from hf_mtl.cli.launching.processes import (
    Processes,
    accelerate_arguments,
    count_processes,
    torchrun_arguments,
)
from hf_mtl.cli.launching.starting import (
    _termination_passed_on,
    run_with_accelerate,
    run_with_torch,
)
from hf_mtl.cli.launching.strategies import PACKAGED, read_strategy

TRAIN = ["recipe.yaml", "--resume", "training.max_steps=3"]
FSDP1 = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config: {fsdp_auto_wrap_policy: NO_WRAP}
"""
OWN = """
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_GPU
num_processes: 6
num_machines: 3
machine_rank: 2
main_process_ip: 10.0.0.1
main_process_port: 1234
"""


def written(folder: Path, text: str) -> str:
    (folder / "own.yaml").write_text(text)
    return str(folder / "own.yaml")


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_every_configuration_comes_with_the_package():
    folder = files("hf_mtl.cli.launching") / "configs"
    assert sorted(file.name for file in folder.iterdir()) == [f"{name}.yaml" for name in PACKAGED]


@pytest.mark.parametrize("name", PACKAGED)
def test_every_configuration_says_what_it_does_in_its_first_line(name):
    assert read_strategy(name).file.read_text("utf-8").startswith("# ")


def test_ddp_sets_nothing_but_defaults():
    environment = launched_environment("ddp")
    assert not {"ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"} & set(environment)
    assert environment["ACCELERATE_MIXED_PRECISION"] == "no"  # left to `training.bf16`


def test_fsdp2_shards_layers_and_saves_the_whole_model():
    environment = launched_environment("fsdp2")
    assert environment["ACCELERATE_USE_FSDP"] == "true"
    assert environment["FSDP_VERSION"] == "2"
    assert environment["FSDP_AUTO_WRAP_POLICY"] == "TRANSFORMER_BASED_WRAP"
    assert "FSDP_TRANSFORMER_CLS_TO_WRAP" not in environment  # the model knows its layers
    assert environment["FSDP_STATE_DICT_TYPE"] == "FULL_STATE_DICT"
    assert environment["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false"


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_zero_takes_accumulation_and_clipping_from_the_recipe(stage):
    environment = launched_environment(f"zero{stage}")
    assert environment["ACCELERATE_USE_DEEPSPEED"] == "true"
    assert environment["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == str(stage)
    assert environment["ACCELERATE_GRADIENT_ACCUMULATION_STEPS"] == "auto"
    assert environment["ACCELERATE_GRADIENT_CLIPPING"] == "auto"


def test_an_unknown_configuration_is_refused_with_the_nearest():
    with pytest.raises(KeyError, match=r"configuration 'fsdp'. Did you mean 'fsdp2'"):
        read_strategy("fsdp")


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(FileNotFoundError, match=r"`--config` must be one of .* called 'no.yaml'"):
        read_strategy("no.yaml")


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a configuration of accelerate"):
        read_strategy(written(tmp_path, "model: {backbone: encoder}"))


def test_the_first_version_of_fsdp_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"`fsdp_version` must be 2, but .* flat parameters"):
        read_strategy(written(tmp_path, FSDP1))


@pytest.mark.parametrize(
    ("text", "needs_accelerator", "is_for_cpu"),
    [
        ("distributed_type: DEEPSPEED", True, False),
        ("distributed_type: MULTI_GPU", False, False),
        ("distributed_type: MULTI_CPU", False, True),
        ("use_cpu: true", False, True),
    ],
)
def test_a_configuration_says_where_it_runs(tmp_path, text, needs_accelerator, is_for_cpu):
    content = f"compute_environment: LOCAL_MACHINE\n{text}\n"
    strategy = read_strategy(written(tmp_path, content))
    assert (strategy.needs_accelerator, strategy.is_for_cpu) == (needs_accelerator, is_for_cpu)


@pytest.mark.parametrize(("num_devices", "machines", "count"), [(0, 1, 1), (4, 1, 4), (4, 2, 8)])
def test_there_is_a_process_for_each_device_unless_it_is_said_otherwise(
    num_devices, machines, count
):
    ddp = read_strategy("ddp")
    found = count_processes(ddp, num_devices, machines=machines, main_ip="10.0.0.1")
    assert (found.count, found.per_machine) == (count, count // machines)
    assert count_processes(ddp, num_devices, count=3).count == 3


def test_a_file_of_the_user_may_say_how_many_processes_and_options_come_first(tmp_path):
    own = read_strategy(written(tmp_path, OWN))
    assert count_processes(own, 8) == Processes(6, 3, 2, "10.0.0.1", 1234)
    assert count_processes(own, 8, count=9, machine_rank=0).count == 9


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"count": 3, "machines": 2, "main_ip": "a"}, "`--num-processes` must be a multiple"),
        ({"count": 2, "machines": 2}, "`--main-process-ip` must be given"),
        (
            {"count": 2, "machines": 2, "machine_rank": 2, "main_ip": "a"},
            "`--machine-rank` must be from 0 to 1, but got 2",
        ),
    ],
)
def test_processes_that_contradict_each_other_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        Processes(**given)


def test_accelerate_gets_the_configuration_the_processes_and_what_to_train():
    words = accelerate_arguments(read_strategy("zero2"), Processes(8, 2, 1, "10.0.0.1"), TRAIN)
    assert option(words, "--config_file").endswith("zero2.yaml")
    assert option(words, "--num_processes") == "8"
    assert option(words, "--num_machines") == "2"
    assert option(words, "--machine_rank") == "1"
    assert option(words, "--main_process_ip") == "10.0.0.1"
    assert option(words, "--main_process_port") == "29500"
    assert words[-6:] == ["--module", "hf_mtl.cli.app", "train", *TRAIN]


def test_torch_gets_the_processes_of_this_machine():
    words = torchrun_arguments(Processes(8, 2, 1, "10.0.0.1", 1234), TRAIN)
    assert option(words, "--nproc_per_node") == "4"
    assert option(words, "--nnodes") == "2"
    assert option(words, "--node_rank") == "1"
    assert option(words, "--master_addr") == "10.0.0.1"
    assert option(words, "--master_port") == "1234"
    assert words[-6:] == ["--module", "hf_mtl.cli.app", "train", *TRAIN]


def test_runs_on_one_machine_take_a_free_port():
    ports = {option(torchrun_arguments(Processes(2), TRAIN), "--master_port") for _ in range(5)}
    assert "29500" not in ports


@pytest.mark.distributed
@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(75)", 75),  # all were preempted
        ("sys.exit(2) if rank == 1 else time.sleep(60)", 2),  # the others are ended
        ("os.kill(os.getpid(), 9) if rank == 1 else sys.exit(1)", 128 + 9),  # and then failed
    ],
)
def test_the_exit_code_is_that_of_the_process_that_the_others_follow(tmp_path, ends, code):
    script = tmp_path / "rank.py"
    lines = ["import os, sys, time", "rank = int(os.environ['RANK'])", "time.sleep(rank / 4)", ends]
    if code > 128:
        lines[2] = "time.sleep(0 if rank else 0.05)"
    script.write_text("\n".join(lines))
    words = torchrun_arguments(Processes(2), [])
    start = words[: words.index("--module")]
    assert run_with_torch([*start, str(script)], processes_here=2) == code


def test_a_rank_that_has_just_ended_does_not_end_the_launcher(monkeypatch):
    import psutil

    told = []

    class Rank:
        def send_signal(self, signum):
            told.append(signum)
            raise psutil.NoSuchProcess(1)

    monkeypatch.setattr(psutil.Process, "children", lambda _: [Rank(), Rank()])
    with _termination_passed_on():
        signal.raise_signal(signal.SIGTERM)
    assert told == [signal.SIGTERM] * 2


@pytest.mark.distributed
@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_accelerate_starts_the_processes_in_its_environment_and_their_code_comes_through(
    tmp_path, name
):
    script = tmp_path / "rank.py"
    is_sharded = name == "fsdp2"
    lines = [
        "import os, sys",
        f"assert ('ACCELERATE_USE_FSDP' in os.environ) is {is_sharded}",
        "assert os.environ['WORLD_SIZE'] == '2'",
        "sys.exit(75)",
    ]
    script.write_text("\n".join(lines))
    words = accelerate_arguments(read_strategy(name), Processes(2), [])
    assert run_with_accelerate([*words[: words.index("--module")], str(script)]) == 75
