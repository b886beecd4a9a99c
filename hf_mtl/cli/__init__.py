# SPDX-License-Identifier: Apache-2.0
"""The command line: ``hf-mtl train | evaluate | predict | card``, one module a command."""
