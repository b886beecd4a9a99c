# SPDX-License-Identifier: Apache-2.0
"""A question and its context become windows that can be counted by hand."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from toy_runs import TINY_TEXT
from transformers import BertTokenizerLegacy, PreTrainedTokenizerFast

from hf_mtl.tasks import INPUTS, TaskSpec
from hf_mtl.tasks.inputs import QuestionContextInput

QUESTION, CONTEXT = "very good ?", "the film was not bad"
COLUMNS = {"question": [QUESTION], "context": [CONTEXT]}


def texts_of(tokenizer, encoded):
    return [tokenizer.decode(ids) for ids in encoded["input_ids"]]


def encode(tokenizer, *, stride=2, max_length=None, columns=COLUMNS):
    kind = QuestionContextInput(stride=stride)
    return kind.encode(columns, tokenizer, max_length=max_length)


def test_a_context_that_fits_is_one_window(tiny_tokenizer):
    encoded = encode(tiny_tokenizer)
    assert texts_of(tiny_tokenizer, encoded) == [f"[CLS] {QUESTION} [SEP] {CONTEXT} [SEP]"]
    (window,) = encoded["windows"]
    assert (window.begin, window.stop, window.first, window.null) == (0, 5, 5, 0)
    assert window.length == len(encoded["input_ids"][0]) == 3 + 3 + 5


def test_a_longer_context_is_cut_into_windows_that_share_as_many_tokens_as_the_stride(
    tiny_tokenizer,
):
    # Beside 3 words of the question and 3 special tokens there is room for 3 of 5 words.
    encoded = encode(tiny_tokenizer, stride=2, max_length=9)
    front = f"[CLS] {QUESTION} [SEP]"
    assert texts_of(tiny_tokenizer, encoded) == [
        f"{front} the film was [SEP]",
        f"{front} film was not [SEP]",
        f"{front} was not bad [SEP]",
    ]
    assert [(window.begin, window.stop) for window in encoded["windows"]] == [
        (0, 3),
        (1, 4),
        (2, 5),
    ]
    assert all(len(row) == 9 for row in encoded["attention_mask"])
    # The last window ends with the context, and is shorter then.
    assert texts_of(tiny_tokenizer, encode(tiny_tokenizer, stride=1, max_length=10))[1:] == [
        f"{front} not bad [SEP]"
    ]


@pytest.mark.parametrize(("stride", "max_length"), [(1, 9), (2, 9), (3, 11), (5, 14)])
def test_windows_are_those_of_the_tokenizer_itself(tiny_tokenizer, stride, max_length):
    columns = {
        "question": ["very good ?", "film", "the book"],
        "context": [TINY_TEXT, "bad", " , ".join([CONTEXT] * 4)],
    }
    tiny_tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    encoded = encode(tiny_tokenizer, stride=stride, max_length=max_length, columns=columns)
    theirs = tiny_tokenizer(
        columns["question"],
        columns["context"],
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    for name in tiny_tokenizer.model_input_names:
        assert encoded[name] == theirs[name]
    assert [window.row for window in encoded["windows"]] == theirs["overflow_to_sample_mapping"]
    for window, offsets in zip(encoded["windows"], theirs["offset_mapping"], strict=True):
        behind = window.first + window.stop - window.begin
        assert window.spans[window.begin : window.stop] == offsets[window.first : behind]


def decoder_tokenizer(**special):
    """A tokenizer that adds nothing, as that of GPT-2."""
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "<s>", *TINY_TEXT.split()])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[PAD]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", **special)


def test_not_here_is_the_first_position_of_a_tokenizer_without_special_tokens():
    (window,) = encode(decoder_tokenizer())["windows"]
    assert (window.null, window.first, window.length) == (0, 3, 8)


def test_not_here_may_stand_behind_the_context(tiny_tokenizer):
    tiny_tokenizer.cls_token, tiny_tokenizer.sep_token = "[SEP]", "[CLS]"
    # [CLS] question [SEP] context [SEP]: the first that is called `cls_token` is behind.
    encoded = encode(tiny_tokenizer, stride=2, max_length=9)
    assert [window.null for window in encoded["windows"]] == [4, 4, 4]
    whole = encode(tiny_tokenizer)["windows"][0]
    behind = type(whole)(**{**whole.__dict__, "null": whole.length - 1})
    assert behind.part(1, 3).null == behind.part(1, 3).length - 1 == 10 - 3


def test_rows_of_features_are_padded_as_texts_are(tiny_tokenizer):
    kind = QuestionContextInput()
    encoded = encode(tiny_tokenizer, stride=1, max_length=10)
    encoded.pop("windows")
    rows = [
        dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)
    ]
    tiny_tokenizer.padding_side = "left"
    assert kind.collate(rows, tiny_tokenizer)["attention_mask"].tolist() == [
        [1] * 10,
        [0] * 2 + [1] * 8,
    ]
    assert kind.padding_side(tiny_tokenizer) == "left"


def test_raw_inputs_are_mappings_of_both():
    kind = QuestionContextInput()
    row = {"question": "who ?", "context": "Ada"}
    assert kind.accepts(row)
    assert not kind.accepts({"question": "who ?"})
    assert not kind.accepts("who ?")
    assert kind.from_raw([row, row]) == {"question": ["who ?"] * 2, "context": ["Ada"] * 2}


def test_a_window_without_room_for_the_stride_is_refused(tiny_tokenizer):
    with pytest.raises(
        ValueError,
        match="`stride` must be less than the tokens of the context that fit into `max_length`, "
        "but row 0 has room for 3 beside its question, and the stride is 3",
    ):
        encode(tiny_tokenizer, stride=3, max_length=9)
    with pytest.raises(ValueError, match="row 0 has room for 0 beside its question"):
        encode(tiny_tokenizer, stride=3, max_length=4)
    # A context that fits needs no windows.
    assert len(encode(tiny_tokenizer, stride=3, max_length=11)["windows"]) == 1


@pytest.mark.parametrize("role", ["question", "context"])
@pytest.mark.parametrize("wrong", ["", " ", None, 3])
def test_what_is_no_text_is_refused(tiny_tokenizer, role, wrong):
    columns = {"question": ["good ?"] * 2, "context": ["the film"] * 2, role: ["the book", wrong]}
    with pytest.raises(
        ValueError, match=f"`{role}` must be a text that is not empty.* row 1 holds"
    ):
        encode(tiny_tokenizer, columns=columns)


def test_a_context_without_tokens_is_refused():
    columns = {"question": ["good ?"], "context": ["\u200b"]}
    tokenizer = decoder_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split("\u200b", "removed")
    with pytest.raises(ValueError, match=r"`context` must have at least one token .* row 0 holds"):
        encode(tokenizer, columns=columns)


def test_a_tokenizer_that_knows_no_characters_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n")
    slow = BertTokenizerLegacy(str(tmp_path / "vocab.txt"))
    with pytest.raises(ValueError, match="`processing_class` must be a fast tokenizer"):
        QuestionContextInput().check(slow, with_words=False)


def test_labels_of_words_are_refused(tiny_tokenizer):
    with pytest.raises(
        ValueError, match="must have one text a row as its input, but got questions"
    ):
        QuestionContextInput().check(tiny_tokenizer, with_words=True)


@pytest.mark.parametrize(("stride", "error"), [(0, ValueError), (2.5, TypeError)])
def test_the_stride_is_a_positive_whole_number(stride, error):
    with pytest.raises(error, match="`stride` must be a positive whole number, but got"):
        TaskSpec("question-answering", options={"stride": stride})


def test_options_are_fields_of_the_type():
    spec = TaskSpec("question-answering", options={"stride": 64})
    assert INPUTS.to_config(spec.task_type.input_kind)["stride"] == 64
    assert TaskSpec.from_dict(spec.to_dict()) == spec
    with pytest.raises(TypeError, match=r"'strid'. Did you mean 'stride'"):
        TaskSpec("question-answering", options={"strid": 64})
    with pytest.raises(TypeError, match="Unknown field of task type 'regression' 'stride'"):
        TaskSpec("regression", options={"stride": 64})
    with pytest.raises(TypeError, match=r"`options` must be a mapping of fields .*, but got 64"):
        TaskSpec("question-answering", options=64)
