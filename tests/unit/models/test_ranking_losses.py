# SPDX-License-Identifier: Apache-2.0
"""Losses of choices and of pairs, worked out by hand."""

from math import exp, log

import pytest
import torch

from hf_mtl.models.losses import LOSSES

INF = float("inf")


def test_a_choice_that_a_row_does_not_have_has_no_share():
    logits = torch.tensor([[0.0, log(3.0), -INF], [0.0, 0.0, 0.0]])
    total = LOSSES.build("choice").total(logits, torch.tensor([1, 0]))
    assert float(total) == pytest.approx(-log(3 / 4) + log(3))


def test_a_pair_is_as_likely_as_its_scores_are_apart():
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    total = LOSSES.build("bradley_terry").total(logits, torch.tensor([0, 1]))
    # sigmoid(2) for the first, sigmoid(-2) for the second
    assert float(total) == pytest.approx(log(1 + exp(-2)) + log(1 + exp(2)))


def test_a_lead_counts_from_the_margin():
    logits = torch.tensor([[3.0, 0.0]])
    loss = LOSSES.build({"name": "bradley_terry", "margin": 3.0})
    assert float(loss.total(logits, torch.tensor([0]))) == pytest.approx(log(2))


def test_a_margin_below_0_is_refused():
    with pytest.raises(ValueError, match=r"`margin` must be .*but got -1"):
        LOSSES.build({"name": "bradley_terry", "margin": -1})
