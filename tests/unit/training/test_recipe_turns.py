# SPDX-License-Identifier: Apache-2.0
"""The first process of a machine loads before the others, and keeps none of them waiting."""

from types import SimpleNamespace

import pytest

from hf_mtl.training.recipe import turns


@pytest.fixture
def run(monkeypatch):
    """What a process does, in order, where loading ends in an error or not."""

    def run_one(*, is_first, error=None):
        done = []

        def load(recipe):
            done.append("loads")
            if error is not None:
                raise error
            return "data"

        state = SimpleNamespace(
            num_processes=2,
            is_local_main_process=is_first,
            wait_for_everyone=lambda: done.append("waits"),
        )
        arguments = SimpleNamespace(distributed_state=state)
        monkeypatch.setattr(turns, "load_data", load)
        try:
            turns.load_data_in_turn(SimpleNamespace(training_arguments=lambda: arguments))
        except ValueError:
            done.append("raises")
        return done

    return run_one


def test_the_first_process_loads_before_the_others(run):
    assert run(is_first=True) == ["loads", "waits"]
    assert run(is_first=False) == ["waits", "loads"]


def test_the_others_do_not_wait_for_a_first_process_that_fails(run):
    error = ValueError("wrong")
    assert run(is_first=True, error=error) == ["loads", "waits", "raises"]
    assert run(is_first=False, error=error) == ["waits", "loads", "raises"]
