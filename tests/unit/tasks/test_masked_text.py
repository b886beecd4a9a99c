# SPDX-License-Identifier: Apache-2.0
"""Hidden tokens against draws that can be worked out by hand."""

import math

import numpy as np
import pytest
import torch

from hf_mtl.tasks.inputs.masked_text import MaskedTextInput
from hf_mtl.tasks.labels.column import LabelColumn
from hf_mtl.tasks.labels.masked_token import MaskedToken


@pytest.fixture
def masking(tiny_tokenizer):
    """A tokenizer that hides tokens behind a question mark."""
    tiny_tokenizer.mask_token = "?"
    tiny_tokenizer.model_max_length = 10**5
    return tiny_tokenizer


def draw(tokenizer, text="the film was good", seed=0, **fields):
    kind = MaskedTextInput(**fields)
    (row,) = kind.encode({"text": [text]}, tokenizer)["input_ids"]
    seen, labels = kind.drawn({"input_ids": row}, np.random.default_rng(seed), tokenizer)
    return row, seen["input_ids"], labels


def test_all_tokens_but_the_special_ones_can_be_hidden(masking):
    row, seen, labels = draw(masking, mask_probability=1, mask_share=1, random_share=0)
    assert seen == [row[0], *[masking.mask_token_id] * (len(row) - 2), row[-1]]
    assert labels == [-100, *row[1:-1], -100]


def test_chosen_tokens_can_stay_as_they_are(masking):
    row, seen, labels = draw(masking, mask_probability=1, mask_share=0, random_share=0)
    assert seen == row
    assert labels == [-100, *row[1:-1], -100]


def test_shares_are_those_of_bert(masking):
    row, seen, labels = map(np.array, draw(masking, "film " * 20_000))
    chosen = labels != -100
    masked, kept = seen == masking.mask_token_id, seen == row
    assert chosen.mean() == pytest.approx(0.15, abs=0.01)
    assert masked[chosen].mean() == pytest.approx(0.8, abs=0.03)
    # A random token may be the one that it replaces.
    assert kept[chosen].mean() == pytest.approx(0.1 + 0.1 / len(masking), abs=0.02)
    assert kept[~chosen].all()


def test_a_draw_is_a_function_of_its_generator(masking):
    text = "the film was good " * 9
    assert draw(masking, text, seed=1) == draw(masking, text, seed=1)
    assert draw(masking, text, seed=1) != draw(masking, text, seed=2)


@pytest.mark.parametrize("name", ["mask_probability", "mask_share", "random_share"])
def test_shares_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be in .*, but got 1.5"):
        MaskedTextInput(**{name: 1.5})


def test_shares_above_one_together_are_refused():
    words = "`mask_share` and `random_share` must be at most 1 together, but got 0.8 and 0.3. Lower"
    with pytest.raises(ValueError, match=words):
        MaskedTextInput(random_share=0.3)


def test_a_tokenizer_without_a_mask_token_is_refused(masking):
    masking.mask_token = None
    with pytest.raises(
        ValueError, match=r"must have a mask token for masked-lm .*Backend has none\."
    ):
        MaskedTextInput().check(masking, with_words=False)


def test_predictions_are_the_likeliest_token_and_its_loss():
    logits = torch.zeros(2, 3, 4)
    logits[0, 1, 2] = math.log(3)  # 3 / 6 for token 2, 1 / 6 for the others
    labels = torch.tensor([[-100, 2, 0], [-100] * 3])
    predictions, references = MaskedToken().pairs(logits, labels)
    assert references == [[(2, 0.0), (0, 0.0)]]
    ((first, second),) = predictions
    assert first == (2, pytest.approx(math.log(2)))
    assert second[1] == pytest.approx(math.log(4))


def test_labels_follow_the_side_of_the_padding():
    collate = MaskedToken().collate
    assert collate([[7, -100], [-100, 8, 9]], 3, "left").tolist() == [[-100, 7, -100], [-100, 8, 9]]
    assert collate([[7], -100], 2, "right").tolist() == [[7, -100], [-100, -100]]


def test_rows_can_be_left_out():
    assert MaskedToken().encode(LabelColumn([True, None], "mlm", ())) == [0, -100]
