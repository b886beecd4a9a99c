# SPDX-License-Identifier: Apache-2.0
"""A diagnosis against logs that can be read by eye."""

from dataclasses import replace
from math import inf
from random import Random

import pytest

from hf_mtl.training.diagnosis import Diagnosis
from hf_mtl.training.diagnosis.advice import advice_on
from hf_mtl.training.diagnosis.report import report


def line(step, norms, cosines, shares=None):
    return {
        "step": step,
        "gradient_conflicts": 0.5,
        **{f"gradient_norm/{task}": norm for task, norm in norms.items()},
        **{f"cosine/{pair}": cosine for pair, cosine in cosines.items()},
        **{f"update_share/{task}": share for task, share in (shares or norms).items()},
    }


def diagnosis(cosine, *, steps=16, norms=(1.0, 1.0), spread=0.0, shares=(0.5, 0.5)):
    by_task = dict(zip("ab", norms, strict=True))
    both = dict(zip("ab", shares, strict=True))
    log = [
        line(step, by_task, {"a/b": cosine + (-1) ** step * spread}, both)
        for step in range(1, steps + 1)
    ]
    return Diagnosis.of([*log, {"step": steps + 1, "train_loss": 1.0}], ["a", "b"])


def test_pairs_come_with_the_error_of_their_mean():
    found = Diagnosis.of(
        [
            line(1, {"a": 1.0, "b": 3.0, "c": 1.0}, {"a/b": -0.4, "a/c": 0.2, "b/c": 0.0}),
            line(2, {"a": 3.0, "b": 3.0}, {"a/b": 0.2}),
        ],
        ["a", "b", "c", "never"],
    )
    assert found.tasks == ["a", "b", "c"]
    assert found.steps == [1, 2]
    assert found.mean_norms == {"a": 2.0, "b": 3.0, "c": 1.0}
    first, second, third = found.pairs
    assert [pair.tasks for pair in (first, second, third)] == [("a", "b"), ("b", "c"), ("a", "c")]
    # -0.4 and 0.2: a mean of -0.1, a standard deviation of 0.3 x sqrt(2), over sqrt(2)
    assert (first.cosine, first.error, first.conflicts) == pytest.approx((-0.1, 0.3, 0.5))
    assert [pair.num_steps for pair in (first, second, third)] == [2, 1, 1]
    assert second.error == inf  # of one step nothing is known
    assert not first.is_in_conflict


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("cosine", [-0.9, 0.9])
def test_nothing_is_said_of_a_pair_that_was_seen_in_a_few_steps(cosine, steps):
    found = diagnosis(cosine, steps=steps)
    (pair,) = found.pairs
    assert pair.margin == inf
    assert not pair.is_in_conflict
    advice = advice_on(found)
    assert advice[0].startswith("Too few steps to tell whether tasks conflict: 1 of 1 pairs")
    assert "a and b" in advice[0]
    assert not any(sentence.startswith(("Conflict", "Agreement", "Keep")) for sentence in advice)


def test_the_margin_of_few_steps_is_that_of_student():
    # Values of -0.2 and 0: a mean of -0.12 and a deviation of 0.1 x sqrt(6 / 5), from five steps.
    values = [-0.2, 0.0, -0.2, 0.0, -0.2]
    log = [line(step, {"a": 1.0, "b": 1.0}, {"a/b": value}) for step, value in enumerate(values)]
    (pair,) = Diagnosis.of(log, ["a", "b"]).pairs
    assert pair.error == pytest.approx(0.1 * (6 / 5) ** 0.5 / 5**0.5)
    # 2.776: 97.5% of Student's distribution with 4 degrees of freedom, from any table of it
    assert pair.margin == pytest.approx(2.776 * pair.error, rel=1e-3)
    assert pair.cosine + 2 * pair.error < 0
    assert not pair.is_in_conflict


def test_among_many_pairs_a_conflict_must_be_clearer():
    tasks = "abcdefgh"  # 28 pairs
    pairs = [f"{first}/{second}" for first in tasks for second in tasks if first < second]
    log = [
        line(
            step,
            dict.fromkeys(tasks, 1.0),
            dict.fromkeys(pairs, 0.0) | {"a/b": -0.1 + (-1) ** step * 0.16},
        )
        for step in range(1, 17)
    ]
    first, *_ = Diagnosis.of(log, list(tasks)).pairs
    # An error of 0.16 / sqrt(15): 2.13 times it alone would be clear; among 28 pairs it is 3.79.
    assert first.error == pytest.approx(0.16 / 15**0.5)
    assert first.margin == pytest.approx(3.79 * first.error, rel=1e-3)
    assert not first.is_in_conflict


def test_noise_is_seldom_taken_for_conflict_or_agreement():
    draws = Random(0)
    tasks = "abcdef"
    pairs = [f"{first}/{second}" for first in tasks for second in tasks if first < second]
    said = 0
    for _ in range(100):
        log = [
            line(step, dict.fromkeys(tasks, 1.0), {pair: draws.gauss(0, 0.3) for pair in pairs})
            for step in range(6)
        ]
        advice = advice_on(Diagnosis.of(log, list(tasks)))
        said += any(sentence.startswith(("Conflict", "Agreement")) for sentence in advice)
    assert said <= 10  # of 100 runs of 15 pairs each, 5 at most by the level, and their scatter


def test_a_run_that_compared_nothing_has_no_diagnosis():
    with pytest.raises(ValueError, match="must compare gradients in some step"):
        Diagnosis.of([{"step": 1, "loss": 1.0}], ["a"])


def test_without_conflict_equal_weights_are_advised():
    assert advice_on(diagnosis(0.01))[0].startswith("Keep equal weights.")


def test_a_conflict_that_chance_explains_is_none():
    found = diagnosis(-0.01, spread=0.1)
    assert found.pairs[0].cosine < 0
    assert advice_on(found)[0].startswith("Keep equal weights.")
    (conflict, *_) = advice_on(diagnosis(-0.3, spread=0.1))
    assert conflict.startswith(
        "Conflict: 1 of 1 pairs point against each other on average: a and b"
    )
    # 0.1 / sqrt(15) x 2.131 of Student's distribution with 15 degrees of freedom
    assert "(-0.300 ± 0.055, below 0 in 100% of 16 steps)" in conflict


def test_a_margin_that_has_room_for_a_conflict_is_no_verdict():
    (verdict, *_) = advice_on(diagnosis(-0.05, spread=0.4))
    assert verdict.startswith("Too few steps to tell whether tasks conflict: 1 of 1 pairs")


def test_pairs_that_too_little_was_seen_of_are_named_beside_the_verdict():
    even = {"a": 0.5, "b": 0.5, "c": 0.5}
    rows = [line(step, {"a": 1.0, "b": 1.0}, {"a/b": 0.01}, even) for step in range(1, 9)]
    rows.append(line(9, {"a": 1.0, "c": 1.0}, {"a/c": -0.9}, even))
    verdict, unseen, *_ = advice_on(Diagnosis.of(rows, ["a", "b", "c"]))
    assert verdict.startswith("Keep equal weights.")
    assert unseen == (
        "Too few steps to tell of 1 of 2 pairs whether they conflict: a and c (1 steps). Raise "
        "`--steps`, or draw these tasks in the same step more often."
    )


def test_lengths_that_are_far_apart_are_named():
    (scale, *_) = advice_on(diagnosis(0.0, norms=(50.0, 1.0)))
    assert scale.startswith("Scale: the gradient of a is 50 times as long as that of b.")
    (scale, *_) = advice_on(diagnosis(0.0, norms=(1.0, 0.0)))
    assert scale.startswith("Scale: the gradient of a is many times as long as that of b.")


def test_a_task_with_most_of_the_update_is_named():
    (share, *_) = advice_on(diagnosis(0.0, shares=(0.1, 0.9)))
    assert share == (
        "Share: in the median step 90% of the update is that of b. The other tasks train at the "
        "speed of what is left."
    )


def test_one_step_without_direction_does_not_spoil_the_shares():
    calm = [line(s, {"a": 1, "b": 1}, {"a/b": 0.0}, {"a": 0.6, "b": 0.4}) for s in range(1, 9)]
    wild = line(9, {"a": 1, "b": 1}, {"a/b": -0.9}, {"a": 50.0, "b": -49.0})
    assert Diagnosis.of([*calm, wild], ["a", "b"]).median_shares == {"a": 0.6, "b": 0.4}


def test_tasks_that_agree_are_named():
    advice = advice_on(diagnosis(0.4))
    assert "Agreement: 1 pairs pull together: a and b (+0.400). They gain from one model." in advice


def test_the_report_has_tables_and_pictures():
    text = report(diagnosis(-0.3), recipe="Recipe r.yaml", pictures={"Cosines": "c.png"})
    assert "Recipe r.yaml; 16 steps compared gradients of the shared parameters." in text
    assert "| a | b | 16 | -0.300 | 0.000 | 0.000 | 100% |" in text
    assert "| a | 1 | 50% |" in text
    assert "median share of the update" in text
    assert "![Cosines](c.png)" in text
    assert "For the diagnosis" not in text


def test_the_report_says_what_is_not_known():
    text = report(diagnosis(-0.3, steps=1), recipe="Recipe r.yaml", pictures={})
    assert "| a | b | 1 | -0.300 | - | - | 100% |" in text


def test_the_report_says_what_was_changed_and_what_was_compared():
    found = replace(
        diagnosis(0.0), changes=("fp16: false", "max_steps: 16"), compared="gradients elsewhere"
    )
    text = report(found, recipe="Recipe r.yaml", pictures={})
    assert "16 steps compared gradients elsewhere." in text
    assert "For the diagnosis: `fp16: false`, `max_steps: 16`." in text
