# SPDX-License-Identifier: Apache-2.0
"""Hidden tokens: two ranks equal one."""

import masked_runs
import pytest
from ranks import run_ranks
from strategy_runs import assert_same_training

pytestmark = pytest.mark.distributed


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp2", marks=pytest.mark.slow)])
def test_two_ranks_equal_one(tmp_path, strategy):
    train = masked_runs.trained
    found = run_ranks(train, 2, str(tmp_path / "2"), strategy, 2, timeout=500)
    (expected,) = run_ranks(train, 1, str(tmp_path / "1"), strategy, 4)
    assert_same_training(found[0], expected, is_exact=True)
    for name in ("eval_hidden_masked_accuracy", "eval_hidden_perplexity", "eval_hidden_loss"):
        assert found[0]["metrics"][name] == pytest.approx(expected["metrics"][name])
