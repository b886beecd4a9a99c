# SPDX-License-Identifier: Apache-2.0
"""What the tasks of a recipe gain by being learned together: each of them alone, and all."""

from hf_mtl.training.baselines.comparison import Baselines
from hf_mtl.training.baselines.run import measure_baselines

__all__ = ["Baselines", "measure_baselines"]
