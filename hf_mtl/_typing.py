# SPDX-License-Identifier: Apache-2.0
"""Names of types and the shape letters that every docstring uses.

======  =============================================
letter  size
======  =============================================
``B``   rows of a batch
``L``   positions of a sequence
``D``   hidden size
``C``   classes of a task
``T``   tasks of a suite
``S``   tasks present in one step
``P``   shared trainable parameters of this rank
======  =============================================
"""

from collections.abc import Mapping
from typing import Any

Entry = str | Mapping[str, Any]
"""A registered thing as users write it: ``"name"`` or ``{"name": ..., **fields}``."""

__all__ = ["Entry"]
