# SPDX-License-Identifier: Apache-2.0
"""Three small sources with four tasks, and a tiny encoder, for runs of a few steps."""

import pytest
import toy_runs


@pytest.fixture
def toy_data():
    return toy_runs.toy_datasets()


@pytest.fixture
def toy_suite():
    return toy_runs.SUITE


@pytest.fixture
def toy_trainer(tmp_path):
    """Makes trainers that differ only in what is asked for; all start from the same weights."""

    def make(name="run", **given):
        return toy_runs.toy_trainer(str(tmp_path / name), **given)

    return make
