# SPDX-License-Identifier: Apache-2.0
"""From a trained model to a published one: what its run gave, and its card."""

from hf_mtl.hub.card import render_card
from hf_mtl.hub.machine import library_versions, machine_description
from hf_mtl.hub.run_results import RESULTS_FILE, RunResults

__all__ = [
    "RESULTS_FILE",
    "RunResults",
    "library_versions",
    "machine_description",
    "render_card",
]
