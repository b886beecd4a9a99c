# SPDX-License-Identifier: Apache-2.0
"""What goes into a model: kinds of input, one file each."""

from hf_mtl.tasks.inputs.base import INPUTS, ROW_OF_SEQUENCE, InputKind, batch_of
from hf_mtl.tasks.inputs.choices import ChoicesInput
from hf_mtl.tasks.inputs.comparison import ComparisonInput
from hf_mtl.tasks.inputs.drawn import DrawnInput
from hf_mtl.tasks.inputs.image import ImageInput
from hf_mtl.tasks.inputs.masked_text import MaskedTextInput
from hf_mtl.tasks.inputs.question_context import QuestionContextInput
from hf_mtl.tasks.inputs.text import TextInput, split_words, tokenizer_of
from hf_mtl.tasks.inputs.wrong_row import WrongRowError

__all__ = [
    "INPUTS",
    "ROW_OF_SEQUENCE",
    "ChoicesInput",
    "ComparisonInput",
    "DrawnInput",
    "ImageInput",
    "InputKind",
    "MaskedTextInput",
    "QuestionContextInput",
    "TextInput",
    "WrongRowError",
    "batch_of",
    "split_words",
    "tokenizer_of",
]
