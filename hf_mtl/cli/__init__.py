# SPDX-License-Identifier: Apache-2.0
"""The command line: ``hf-mtl train``, ``launch``, ``evaluate`` and others, one module a command."""
