# SPDX-License-Identifier: Apache-2.0
"""What tasks gain, against sums that can be done by hand."""

import pytest

from hf_mtl.evaluation.gains import Estimate, TaskGain, delta_m, task_gains
from hf_mtl.tasks import TaskSpec, TaskSuite

SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("a", "b"), metrics=("accuracy",)),
        "score": TaskSpec("regression", metrics=("rmse", "pearson")),
    }
)


def gains(alone, together, constant=None):
    return task_gains(SUITE, alone=alone, together=together, constant=constant or {})


def test_the_margin_of_three_seeds_is_that_of_student():
    found = Estimate((1.0, 2.0, 3.0))
    assert (found.mean, found.deviation) == (2.0, 1.0)
    # 4.303: 97.5% of Student's distribution with 2 degrees of freedom, from any table of it
    assert found.margin == pytest.approx(4.303 / 3**0.5, rel=1e-4)


def test_one_seed_has_a_mean_and_nothing_else():
    assert Estimate((0.5,)).to_dict() == {
        "mean": 0.5,
        "deviation": None,
        "margin": None,
        "values": [0.5],
    }


def test_a_gain_is_positive_where_together_is_better_whatever_direction_that_is():
    topic, score = gains(
        {"topic": [0.50, 0.75], "score": [2.0, 1.5]},
        {"topic": [0.75, 0.50], "score": [1.0, 1.0]},
        {"topic": 0.5},
    )
    assert topic.gain == Estimate((0.25, -0.25))
    assert score.gain == Estimate((1.0, 0.5))
    assert (score.metric, score.greater_is_better, score.constant) == ("rmse", False, None)
    assert topic.constant == 0.5


@pytest.mark.parametrize(
    ("together", "verdict"),
    [
        # Differences of 0.1 +- 0.01: 4.303 x 0.01 / sqrt(3) = 0.025 is less than 0.1.
        ([0.71, 0.80, 0.89], "helped"),
        ([0.49, 0.60, 0.71], "hurt"),
        # Differences of 0.1, 0.2, 0: the margin of 0.25 is more than their mean of 0.1.
        ([0.70, 0.90, 0.80], "within the noise"),
        ([0.60, 0.70, 0.80], "within the noise"),  # no difference at all
    ],
)
def test_a_verdict_needs_a_gain_beyond_what_seeds_explain(together, verdict):
    alone = Estimate((0.6, 0.7, 0.8))
    gain = TaskGain("topic", "accuracy", True, alone, Estimate(tuple(together)))
    assert gain.verdict == verdict


def test_seeds_are_compared_in_pairs():
    # Seeds differ by far more than alone and together do; the differences are all alike.
    alone, together = Estimate((0.2, 0.5, 0.8)), Estimate((0.25, 0.56, 0.85))
    gain = TaskGain("topic", "accuracy", True, alone, together)
    assert gain.gain.mean < alone.deviation
    assert gain.verdict == "helped"


def test_of_one_seed_or_an_undefined_score_nothing_is_said():
    one = TaskGain("topic", "accuracy", True, Estimate((0.1,)), Estimate((0.9,)))
    assert one.verdict is None
    topic, score = gains(
        {"topic": [0.5, 0.5], "score": [1.0, None]}, {"topic": [0.5, 0.5], "score": [1.0, 1.0]}
    )
    assert (score.alone, score.gain, score.verdict) == (None, None, None)
    assert score.to_dict()["gain"] is None
    assert delta_m(SUITE, [topic, score]) is None


def test_delta_m_is_the_mean_of_relative_gains_seed_by_seed():
    found = gains(
        {"topic": [0.5, 0.5], "score": [2.0, 2.0]}, {"topic": [0.6, 0.5], "score": [1.0, 3.0]}
    )
    # Of the first seed 20% and 50%, of the second 0% and -50%.
    assert delta_m(SUITE, found).values == pytest.approx((0.35, -0.25))


def test_nothing_is_relative_to_a_score_of_0():
    found = gains({"topic": [0.0], "score": [1.0]}, {"topic": [0.5], "score": [1.0]})
    assert delta_m(SUITE, found) is None
