# SPDX-License-Identifier: Apache-2.0
"""What holds under every strategy: heads that keep still, equal ranks, exact resume, faults."""

import shutil

import numpy as np
import pytest
import strategy_checks
import strategy_runs
from ranks import run_ranks, start_ranks
from slow_cells import some_fast

pytestmark = pytest.mark.distributed

STRATEGIES = [
    pytest.param(strategy, marks=[pytest.mark.slow, pytest.mark.deepspeed])
    if strategy.startswith("zero")
    else strategy
    for strategy in strategy_runs.STRATEGIES
]


def assert_same_parameters(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if tolerance:
            np.testing.assert_allclose(found[name], value, err_msg=name, **tolerance)
        else:
            assert np.array_equal(found[name], value), name


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_only_heads_of_tasks_that_are_present_move(tmp_path, strategy):
    """Touched with zeros, as others do it, momentum and weight decay move an unused head."""
    steps = run_ranks(strategy_checks.heads_moved, 2, str(tmp_path), strategy)[0]
    assert len(steps) == 7
    assert {"topic"} in [present for present, _ in steps]
    assert all(present == moved for present, moved in steps)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_ranks_are_equal_even_if_their_heads_began_differently(tmp_path, strategy):
    check = strategy_checks.same_parameters_from_other_seeds
    first, second = run_ranks(check, 2, str(tmp_path), strategy)
    assert_same_parameters(second, first)


def test_only_heads_can_be_trained(tmp_path):
    one = run_ranks(strategy_checks.trained_heads_only, 1, str(tmp_path / "one"))[0]
    for found in run_ranks(strategy_checks.trained_heads_only, 2, str(tmp_path / "two")):
        assert_same_parameters(found, one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "asked",
    [
        {"activation_checkpointing": True},
        {"ddp_static_graph": True},
        pytest.param(
            {"activation_checkpointing": True, "ddp_static_graph": True}, marks=pytest.mark.slow
        ),
        pytest.param({"ddp_find_unused_parameters": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_checkpointed_activations_and_static_graphs_are_usable(tmp_path, asked):
    """The plain Trainer must search for unused parameters, which breaks with both."""
    settings = {"sampler": "uniform", "tasks_per_step": 2, "max_steps": 6}
    settings["per_device_train_batch_size"] = 2
    plain, other = (
        run_ranks(strategy_runs.trained, 2, str(tmp_path / str(index)), **settings, **more)[0]
        for index, more in enumerate(({}, asked))
    )
    assert_same_parameters(other["parameters"], plain["parameters"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_untrained_model_is_evaluated_alike_on_every_rank(tmp_path, strategy):
    def metrics(found):
        times = ("runtime", "per_second")
        return {key: value for key, value in found.items() if not key.endswith(times)}

    check = strategy_checks.metrics_before_training
    one = metrics(run_ranks(check, 1, str(tmp_path / "one"), "ddp")[0])
    first, second = map(metrics, run_ranks(check, 2, str(tmp_path / "two"), strategy))
    assert first == second
    assert first == pytest.approx(one, rel=1e-3)


@pytest.mark.parametrize(
    ("strategy", "before", "after"),
    [("ddp", 2, 1), ("ddp", 1, 2), pytest.param("fsdp2", 3, 2, marks=pytest.mark.slow)],
)
def test_a_run_goes_on_with_another_number_of_ranks(tmp_path, strategy, before, after):
    """Six rows of a draw on each step, in the same order, whoever takes them."""
    check = strategy_checks.trained_on
    whole = run_ranks(check, after, str(tmp_path / "whole"), strategy, 6 // after, max_steps=8)[0]
    folder = str(tmp_path / "run")
    run_ranks(check, before, folder, strategy, 6 // before, max_steps=8)
    shutil.rmtree(f"{folder}/checkpoint-8")
    resumed = run_ranks(check, after, folder, strategy, 6 // after, resume=True, max_steps=8)[0]
    assert_same_parameters(resumed, whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("rule", some_fast(["skip_task", "skip_step"], {"skip_task"}))
@pytest.mark.parametrize("method", [None, pytest.param("upgrad", marks=pytest.mark.slow)])
def test_a_loss_that_is_not_finite_on_one_rank_is_skipped_on_all(tmp_path, strategy, rule, method):
    check = strategy_checks.finished_with_nonfinite_loss
    given = {"gradient_method": method}
    one = run_ranks(check, 1, str(tmp_path / "one"), strategy, rule, 0, given)[0]
    assert one["skipped"] == [1.0]
    first, second = run_ranks(check, 2, str(tmp_path / "two"), strategy, rule, 1, given)
    assert first["skipped"] == second["skipped"] == one["skipped"]
    assert_same_parameters(first["parameters"], one["parameters"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_loss_that_is_not_finite_stops_every_rank(tmp_path, strategy):
    check = strategy_checks.finished_with_nonfinite_loss
    for outcome in start_ranks(check, 2, str(tmp_path), strategy, "stop", 1):
        assert "that of 'valence' is not at step 3" in str(outcome.error)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_labels_and_losses_keep_their_precision_in_bf16(tmp_path, strategy):
    """FSDP2 would cast a score of 1987.25 to 1984, and losses to three digits."""
    check = strategy_checks.losses_of_large_scores
    full = run_ranks(check, 2, str(tmp_path / "full"), strategy, "")[0]
    half = run_ranks(check, 2, str(tmp_path / "half"), strategy, "bf16")[0]
    assert full == pytest.approx([1987.25**2] * 3, rel=2e-3)
    assert half == pytest.approx(full, rel=2e-4)


def test_the_first_rank_writes_the_card_and_nobody_waits(tmp_path):
    assert run_ranks(strategy_checks.card_written, 2, str(tmp_path), timeout=60) == [[0, 1]] * 2
    assert (tmp_path / "README.md").is_file()


def test_checkpoints_that_only_one_rank_sees_are_an_error_on_all(tmp_path):
    outcomes = start_ranks(
        strategy_checks.resumed_without_shared_folder, 2, str(tmp_path), timeout=60
    )
    for outcome in outcomes:
        assert "file system that all machines share" in str(outcome.error)


def test_per_task_losses_are_right_in_bf16(tmp_path):
    settings = {"tasks_per_step": "all", "max_steps": 3, "dtype": "float32"}
    full, half = (
        run_ranks(
            strategy_runs.trained,
            2,
            str(tmp_path / str(index)),
            per_device_train_batch_size=2,
            **settings,
            **more,
        )[0]["history"]
        for index, more in enumerate(({}, {"bf16": True}))
    )
    for in_bf16, in_float32 in zip(half, full, strict=True):
        losses = {key: value for key, value in in_float32.items() if key.startswith("loss/")}
        assert {key: in_bf16[key] for key in losses} == pytest.approx(losses, rel=2e-2)


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp2", marks=pytest.mark.slow)])
def test_a_part_of_the_backbone_may_be_unused_in_a_forward_or_a_step(tmp_path, strategy):
    """A pooler that tasks on whole texts need, and tasks on words do not."""
    check = strategy_checks.trained_with_and_without_pooler
    (one,) = run_ranks(check, 1, str(tmp_path / "one"), strategy)
    two, _ = run_ranks(check, 2, str(tmp_path / "two"), strategy)
    for name, parameters in one.items():
        assert_same_parameters(two[name], parameters, rtol=1e-9, atol=1e-12)
