# SPDX-License-Identifier: Apache-2.0
"""How the gradients of the tasks of a recipe compare, and what to do about it."""

from hf_mtl.training.diagnosis.measures import Diagnosis, Pair
from hf_mtl.training.diagnosis.run import diagnose

__all__ = ["Diagnosis", "Pair", "diagnose"]
