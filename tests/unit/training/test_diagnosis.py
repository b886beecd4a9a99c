# SPDX-License-Identifier: Apache-2.0
"""A diagnosis against logs that can be read by eye."""

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


def diagnosis(cosine, *, norms=(1.0, 1.0), spread=0.0, shares=(0.5, 0.5)):
    by_task = dict(zip("ab", norms, strict=True))
    both = dict(zip("ab", shares, strict=True))
    log = [
        line(step, by_task, {"a/b": cosine + (-1) ** step * spread}, both) for step in range(1, 5)
    ]
    return Diagnosis.of([*log, {"step": 5, "train_loss": 1.0}], ["a", "b"])


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
    assert not first.is_in_conflict


def test_a_run_that_compared_nothing_has_no_diagnosis():
    with pytest.raises(ValueError, match="must compare gradients in some step"):
        Diagnosis.of([{"step": 1, "loss": 1.0}], ["a"])


def test_without_conflict_equal_weights_are_advised():
    assert advice_on(diagnosis(0.01))[0].startswith("Keep equal weights.")


def test_a_conflict_that_chance_explains_is_none():
    assert advice_on(diagnosis(-0.05, spread=0.4))[0].startswith("Keep equal weights.")
    (conflict, *_) = advice_on(diagnosis(-0.3, spread=0.1))
    assert conflict.startswith(
        "Conflict: 1 of 1 pairs point against each other on average: a and b"
    )
    assert "(-0.300 ± 0.058, below 0 in 100% of the steps)" in conflict


def test_lengths_that_are_far_apart_are_named():
    (scale, *_) = advice_on(diagnosis(0.0, norms=(50.0, 1.0)))
    assert scale.startswith("Scale: the gradient of a is 50 times as long as that of b.")
    (scale, *_) = advice_on(diagnosis(0.0, norms=(1.0, 0.0)))
    assert scale.startswith("Scale: the gradient of a is many times as long as that of b.")


def test_a_task_with_most_of_the_update_is_named():
    (share, *_) = advice_on(diagnosis(0.0, shares=(0.1, 0.9)))
    assert share == (
        "Share: 90% of the update is that of b. The other tasks train at the speed of what is left."
    )


def test_tasks_that_agree_are_named():
    advice = advice_on(diagnosis(0.4))
    assert "Agreement: 1 pairs pull together: a and b (+0.400). They gain from one model." in advice


def test_the_report_has_tables_and_pictures():
    text = report(diagnosis(-0.3), recipe="Recipe r.yaml", pictures={"Cosines": "c.png"})
    assert "Recipe r.yaml; 4 steps compared gradients" in text
    assert "| a | b | -0.300 | 0.000 | 100% |" in text
    assert "| a | 1 | 50% |" in text
    assert "![Cosines](c.png)" in text
