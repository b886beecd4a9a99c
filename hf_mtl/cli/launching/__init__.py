# SPDX-License-Identifier: Apache-2.0
"""Starting the processes of a run: packaged configurations of accelerate, commands, exit codes."""
