# SPDX-License-Identifier: Apache-2.0
"""Answers judged as SQuAD judges them, against values worked out by hand."""

import pytest

from hf_mtl.evaluation import task_scores
from hf_mtl.evaluation.collection import TaskPredictions
from hf_mtl.evaluation.metrics import AnswerF1, ExactMatch
from hf_mtl.tasks import TaskSpec, TaskSuite


@pytest.mark.parametrize(
    ("found", "right", "match", "f1"),
    [
        (["Ada Byron"], ["Ada Byron"], 1, 1),
        # Neither case nor punctuation nor articles count.
        (["the  ada Byron!"], ["Ada Byron"], 1, 1),
        (["An U.S. theatre"], ["us theatre"], 1, 1),
        (["Byron"], ["Ada Byron"], 0, 2 * 1 / (1 + 2)),
        # A word counts as often as both have it.
        (["very very good"], ["very good good"], 0, 2 * 2 / (3 + 3)),
        # The nearest of several counts.
        (["Byron"], ["Ada", "Ada Byron", "byron"], 1, 1),
        (["Byron"], ["Ada"], 0, 0),
        # Without a right answer only none is right.
        ([], [], 1, 1),
        (["Byron"], [], 0, 0),
        ([], ["Byron"], 0, 0),
        # Nothing is left of either.
        (["the"], [], 1, 1),
        ([], ["a"], 1, 1),
    ],
)
def test_an_answer_is_judged_by_its_words(found, right, match, f1):
    assert ExactMatch().compute([found], [right]) == match
    assert AnswerF1().compute([found], [right]) == pytest.approx(f1)


def test_the_score_is_the_mean_over_questions():
    suite = TaskSuite({"qa": TaskSpec("question-answering")})
    found = TaskPredictions([["Byron"], [], ["Bell"]], [["Ada Byron"], [], ["Bell"]])
    assert task_scores(suite, "qa", found) == pytest.approx(
        {"answer_f1": (2 / 3 + 1 + 1) / 3, "exact_match": 2 / 3}
    )
