# SPDX-License-Identifier: Apache-2.0
"""Optional packages: the message says how to install them."""

import json

import pytest

from hf_mtl._optional import require


def test_an_installed_module_is_imported():
    assert require("json", extra="any") is json


def test_a_missing_module_names_its_extra():
    with pytest.raises(ImportError, match=r"`no_such_module` .* pip install 'hf-mtl\[solvers\]'"):
        require("no_such_module", extra="solvers")
