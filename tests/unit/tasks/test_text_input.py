# SPDX-License-Identifier: Apache-2.0
"""Text input: words are found again in the tokens of any fast tokenizer."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from hf_mtl.tasks import INPUTS

CORPUS = ["the new york office of acme co is here", "don't call dr. müller on monday"] * 4
WORDS = ["The", "office", "of", "Dr.", "Müller", "is", "unbelievably", "here"]


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer, trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[UNK]", "[PAD]"])


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return tokenizer, trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, special_tokens=["[PAD]", "[UNK]"]
    )


def metaspace():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer, trainers.UnigramTrainer(
        vocab_size=100, unk_token="[UNK]", special_tokens=["[PAD]", "[UNK]"], show_progress=False
    )


@pytest.fixture(params=[wordpiece, byte_level, metaspace])
def tokenizer(request):
    model, trainer = request.param()
    model.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )


@pytest.fixture
def text():
    return INPUTS.build("text")


def test_every_word_begins_at_a_token(text, tokenizer):
    features = text.encode({"text": [WORDS]}, tokenizer, with_words=True)
    found = [word for word in features["word_ids"][0] if word is not None]
    assert sorted(set(found)) == list(range(len(WORDS)))
    assert found == sorted(found)


def test_a_list_of_words_and_its_text_are_one_input(text, tokenizer):
    as_words = text.encode({"text": [WORDS]}, tokenizer, with_words=True)
    as_text = text.encode({"text": [" ".join(WORDS)]}, tokenizer, with_words=True)
    assert as_words == as_text


def test_only_the_first_text_of_a_pair_has_words(text, tokenizer):
    features = text.encode({"text": [["a", "b"]], "text_pair": ["c"]}, tokenizer, with_words=True)
    assert {word for word in features["word_ids"][0] if word is not None} == {0, 1}


def test_texts_are_cut_at_the_length_given(text, tokenizer):
    features = text.encode({"text": [WORDS]}, tokenizer, max_length=3)
    assert len(features["input_ids"][0]) == 3


def test_batches_are_padded_to_the_longest_row(text, tokenizer):
    features = text.encode({"text": ["here", "the office is here"]}, tokenizer)
    rows = [
        {name: features[name][row] for name in ("input_ids", "attention_mask")} for row in (0, 1)
    ]
    batch = text.collate(rows, tokenizer)
    longest = len(features["input_ids"][1])
    assert batch["input_ids"].shape == (2, longest)
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(features["input_ids"][0]), longest]


@pytest.mark.parametrize("value", [None, 3, ["a", None]])
def test_a_row_without_text_is_named(text, tokenizer, value):
    with pytest.raises(ValueError, match="a text or a list of words in every row, but row 1 holds"):
        text.encode({"text": ["fine", value]}, tokenizer)


def test_a_tokenizer_without_padding_token_is_refused(text, tokenizer):
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="must have a padding token"):
        text.check(tokenizer, with_words=False)


def test_what_is_no_tokenizer_is_refused(text):
    with pytest.raises(TypeError, match="must be or hold a tokenizer for tasks on text"):
        text.check(object(), with_words=False)


def test_raw_inputs_are_texts_words_and_mappings(text):
    assert text.from_raw(["a b", ["a", "b"]]) == {"text": ["a b", ["a", "b"]]}
    assert text.from_raw([{"text": "a", "text_pair": "b"}]) == {"text": ["a"], "text_pair": ["b"]}


def test_raw_inputs_of_other_forms_are_refused(text):
    with pytest.raises(ValueError, match="`text` and `text_pair`, but got \\['body'\\]"):
        text.from_raw([{"text": "a", "body": "b"}])
    with pytest.raises(ValueError, match="Either all inputs of one call or none"):
        text.from_raw(["a", {"text": "a", "text_pair": "b"}])
