# SPDX-License-Identifier: Apache-2.0
"""Metrics against values that can be worked out by hand."""

import math

import pytest

from hf_mtl.evaluation import METRICS


def value(metric, predictions, references, labels=None):
    return METRICS.build(metric).compute(predictions, references, labels)


def test_accuracy_is_the_share_of_right_rows():
    assert value("accuracy", [0, 1, 1, 2], [0, 1, 2, 2]) == 3 / 4


def test_accuracy_of_words_counts_words_and_not_rows():
    assert value("accuracy", [[0, 0, 0, 0], [1]], [[0, 0, 0, 1], [1]]) == 4 / 5


def test_macro_f1_counts_every_class_alike():
    # Class 0: 2 hits, 2 predicted, 3 there: F1 4/5. Class 1: 1 hit, 2 predicted, 1 there: 2/3.
    assert value("f1_macro", [0, 0, 1, 1], [0, 0, 0, 1]) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_macro_f1_leaves_out_classes_that_neither_occur_nor_are_predicted():
    assert value("f1_macro", [0, 2], [0, 2], ("a", "b", "c")) == 1.0


def test_micro_f1_is_accuracy():
    assert value("f1_micro", [0, 1, 1, 2], [0, 1, 2, 2]) == pytest.approx(3 / 4)


def test_matthews_of_two_classes_equals_the_four_field_formula():
    # 2 true positives, 1 true negative, 1 false positive, 1 false negative.
    expected = (2 * 1 - 1 * 1) / math.sqrt(3 * 3 * 2 * 2)
    assert value("matthews", [1, 1, 0, 1, 0], [1, 1, 0, 0, 1]) == pytest.approx(expected)


def test_matthews_of_a_constant_answer_is_zero():
    assert value("matthews", [1, 1, 1], [0, 1, 1]) == 0.0


def test_matthews_of_a_single_class_is_missing():
    assert math.isnan(value("matthews", [1, 1], [1, 1]))


def test_pearson_is_the_cosine_of_the_deviations():
    # Deviations (-1, 0, 1) and (-1, 1, 0).
    assert value("pearson", [1.0, 2.0, 3.0], [0.0, 2.0, 1.0]) == pytest.approx(1 / 2)


def test_pearson_ignores_scale_and_sees_direction():
    assert value("pearson", [1e-30, 2e-30, 3e-30], [-1e9, -2e9, -3e9]) == pytest.approx(-1.0)


def test_spearman_judges_the_order_alone():
    assert value("spearman", [1.0, 10.0, 1000.0], [1.0, 2.0, 3.0]) == pytest.approx(1.0)


def test_spearman_gives_equal_values_the_mean_of_their_ranks():
    # Ranks (1.5, 1.5, 3) and (1, 2, 3): deviations (-.5, -.5, 1) and (-1, 0, 1).
    expected = 1.5 / math.sqrt(1.5 * 2)
    assert value("spearman", [5.0, 5.0, 7.0], [1.0, 2.0, 3.0]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "predictions"),
    [
        ("pearson", [0.5, 0.5, 0.5]),
        ("spearman", [0.5, 0.5, 0.5]),
        ("pearson", [0.1 + 0.2, 0.3, 0.3]),
        ("pearson", [math.nan, 1.0, 2.0]),
        ("spearman", [math.nan, 1.0, 2.0]),
        ("pearson", [math.inf, math.inf, 2.0]),
    ],
)
def test_a_correlation_that_is_not_defined_is_missing_without_a_warning(metric, predictions):
    assert math.isnan(value(metric, predictions, [1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("metric", "expected"), [("mse", 10 / 4), ("rmse", math.sqrt(10 / 4)), ("mae", 4 / 4)]
)
def test_errors_are_means_over_the_rows(metric, expected):
    # Errors 0, 0, 1 and 3.
    result = value(metric, [1.0, 2.0, 4.0, 1.0], [1.0, 2.0, 3.0, 4.0])
    assert result == pytest.approx(expected)


def test_r2_is_zero_for_the_mean_and_negative_for_worse():
    references = [1.0, 2.0, 3.0]
    assert value("r2", [2.0, 2.0, 2.0], references) == pytest.approx(0.0)
    # Squared errors 4 + 0 + 4 against a spread of 1 + 0 + 1.
    assert value("r2", [3.0, 2.0, 1.0], references) == pytest.approx(1 - 8 / 2)
    assert math.isnan(value("r2", [1.0, 2.0], [5.0, 5.0]))


TAGS = ("O", "B-person", "I-person", "B-firm")


def test_entity_f1_counts_an_entity_only_with_both_borders_and_its_type():
    # There: person at 0-1, firm at 3. Predicted: person at 0 alone, firm at 3. One of two each.
    right, predicted = [[1, 2, 0, 3]], [[1, 0, 0, 3]]
    assert value("entity_f1", predicted, right, TAGS) == pytest.approx(1 / 2)


def test_entity_f1_without_any_entity_is_missing():
    assert math.isnan(value("entity_f1", [[0, 0]], [[0, 0]], TAGS))


def test_entity_f1_refuses_labels_that_spell_no_entities():
    with pytest.raises(ValueError, match=r"must be 'O', 'B-...' and 'I-...' .* Choose 'accuracy'"):
        value("entity_f1", [[0]], [[0]], ("noun", "verb"))


def sets(*rows):
    return [frozenset(row) for row in rows]


def test_a_row_of_any_number_of_classes_is_right_if_all_of_them_are():
    assert value("accuracy", sets({0}, {0, 1}, ()), sets({0}, {0}, ())) == 2 / 3


def test_f1_of_any_number_of_classes():
    predicted, right = sets({0}, {0, 1}, ()), sets({0}, {0}, {3})
    # Class 0: all right. Classes 1 and 3: no hit. In all 2 hits, 3 predicted, 3 there.
    assert value("f1_macro", predicted, right) == pytest.approx(1 / 3)
    assert value("f1_micro", predicted, right) == pytest.approx(2 * 2 / (3 + 3))


def test_f1_is_missing_where_no_row_has_a_class():
    assert math.isnan(value("f1_micro", sets((), ()), sets((), ())))


def test_quadratic_kappa_counts_two_off_four_times():
    # Squared distances: 4 of 3 rows. By chance: (0, 1, 2) and (2, 1, 2) against each other,
    # 4+1+4 + 1+0+1 + 0+1+0 = 12 of 9 pairs.
    assert value("quadratic_kappa", [2, 1, 2], [0, 1, 2]) == pytest.approx(1 - (4 / 3) / (12 / 9))


def test_quadratic_kappa_of_a_single_class_is_missing():
    assert math.isnan(value("quadratic_kappa", [1, 1], [1, 1]))


def test_rank_mae_is_how_far_off_in_classes():
    assert value("rank_mae", [0, 2, 1], [0, 1, 3]) == pytest.approx(3 / 3)
