# SPDX-License-Identifier: Apache-2.0
"""The task types, one file each."""

from hf_mtl.tasks.types.image_classification import ImageClassification
from hf_mtl.tasks.types.masked_lm import MaskedLM
from hf_mtl.tasks.types.multi_label_classification import MultiLabelClassification
from hf_mtl.tasks.types.multiple_choice import MultipleChoice
from hf_mtl.tasks.types.ordinal_regression import OrdinalRegression
from hf_mtl.tasks.types.pairwise_ranking import PairwiseRanking
from hf_mtl.tasks.types.question_answering import QuestionAnswering
from hf_mtl.tasks.types.regression import Regression
from hf_mtl.tasks.types.text_classification import TextClassification
from hf_mtl.tasks.types.token_classification import TokenClassification

__all__ = [
    "ImageClassification",
    "MaskedLM",
    "MultiLabelClassification",
    "MultipleChoice",
    "OrdinalRegression",
    "PairwiseRanking",
    "QuestionAnswering",
    "Regression",
    "TextClassification",
    "TokenClassification",
]
