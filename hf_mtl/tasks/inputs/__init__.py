# SPDX-License-Identifier: Apache-2.0
"""What goes into a model: kinds of input, one file each."""

from hf_mtl.tasks.inputs.base import INPUTS, InputKind
from hf_mtl.tasks.inputs.image import ImageInput
from hf_mtl.tasks.inputs.text import TextInput, split_words

__all__ = ["INPUTS", "ImageInput", "InputKind", "TextInput", "split_words"]
