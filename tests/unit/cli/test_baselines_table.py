# SPDX-License-Identifier: Apache-2.0
"""The table of tasks alone and together, as people read it."""

from pathlib import Path

from rich.console import Console

from hf_mtl.cli.tables import baselines_table
from hf_mtl.evaluation.gains import Estimate, TaskGain
from hf_mtl.training.baselines import Baselines


def shown(*gains, seeds):
    """Lines of the table on a terminal of the usual width, without white space at their ends."""
    found = Baselines(
        seeds=seeds,
        gains=gains,
        delta_m=None,
        steps={gain.task: 10 for gain in gains},
        steps_together=10,
        differs=(),
        num_trained=0,
        cache=Path("cache"),
    )
    console = Console(width=80)
    with console.capture() as capture:
        console.print(baselines_table(found))
    return [line.strip() for line in capture.get().splitlines()]


def test_means_stand_above_their_spreads_and_a_verdict_beside_them():
    gain = TaskGain("topic", "accuracy", True, Estimate((0.7, 0.8)), Estimate((0.4, 0.5)), 0.25)
    lines = shown(gain, seeds=(1, 2))
    assert lines[0] == "Alone and together, 2 seeds"
    first = next(index for index, line in enumerate(lines) if line.startswith("topic"))
    assert lines[first].split() == ["topic", "0.2500", "0.7500", "0.4500", "-0.3000", "hurt"]
    # 0.1 / sqrt(2) for both; their differences are the same for both seeds.
    assert lines[first + 1].split() == ["accuracy", *("±", "0.0707") * 2, "±", "0.0000"]


def test_one_seed_has_no_spread_and_no_verdict_and_what_is_undefined_says_so():
    one = TaskGain("topic", "accuracy", True, Estimate((0.7,)), Estimate((0.8,)))
    none = TaskGain("mark", "pearson", True, None, Estimate((0.8,)))
    text = [line.split() for line in shown(one, none, seeds=(1,))]
    assert text[0] == ["Alone", "and", "together,", "1", "seed"]
    assert ["topic", "0.7000", "0.8000", "+0.1000"] in text
    assert ["accuracy"] in text
    assert ["mark", "undefined", "0.8000", "undefined"] in text
