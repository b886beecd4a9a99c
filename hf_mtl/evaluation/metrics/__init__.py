# SPDX-License-Identifier: Apache-2.0
"""From predictions to a number: metrics, one file a family."""

from hf_mtl.evaluation.metrics.base import METRICS, Metric
from hf_mtl.evaluation.metrics.classification import Accuracy, F1Macro, F1Micro, Matthews
from hf_mtl.evaluation.metrics.evaluate_module import EvaluateModule
from hf_mtl.evaluation.metrics.language_modelling import MaskedAccuracy, Perplexity
from hf_mtl.evaluation.metrics.ordinal import QuadraticKappa, RankMAE
from hf_mtl.evaluation.metrics.ranking import PairwiseAccuracy
from hf_mtl.evaluation.metrics.regression import MAE, MSE, R2, RMSE, Pearson, Spearman
from hf_mtl.evaluation.metrics.sequence_labelling import EntityF1
from hf_mtl.evaluation.metrics.squad import AnswerF1, ExactMatch

__all__ = [
    "METRICS",
    "Accuracy",
    "AnswerF1",
    "EntityF1",
    "EvaluateModule",
    "ExactMatch",
    "F1Macro",
    "F1Micro",
    "MAE",
    "MSE",
    "MaskedAccuracy",
    "Matthews",
    "Metric",
    "PairwiseAccuracy",
    "Pearson",
    "Perplexity",
    "QuadraticKappa",
    "R2",
    "RMSE",
    "RankMAE",
    "Spearman",
]
