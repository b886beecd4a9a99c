# SPDX-License-Identifier: Apache-2.0
"""A tokenizer whose tokens can be counted by hand, a processor of small pictures, a stream."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, ViTImageProcessorPil

from hf_mtl.data import prepare
from hf_mtl.tasks import TaskSpec, TaskSuite


@pytest.fixture
def tokenizer():
    """``red fox`` becomes ``[CLS] red fox [SEP]``; ``foxes`` is the two tokens ``fox ##es``."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "fox", "##es", "runs", "fast", "."]
    backend = Tokenizer(WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=32,
    )


@pytest.fixture
def image_processor():
    """Pictures become ``[3, 8, 8]``."""
    return ViTImageProcessorPil(size={"height": 8, "width": 8})


@pytest.fixture
def stream_of(tokenizer):
    """Makes a collection of one stream, the source ``news``, with a score for each row."""
    suite = TaskSuite({"score": TaskSpec("regression", source="news")})

    def make(dataset, *, seed=0, shuffle_rows=1, positions=None, **given):
        collection = prepare(suite, {"news": dataset}, tokenizer, **given)
        collection.start_streams(seed=seed, shuffle_rows=shuffle_rows, positions=positions)
        return collection

    return make
