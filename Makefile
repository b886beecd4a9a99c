# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` need Python 3.11 or newer, pip and make; everything lands in .venv, demo and the cache.

PYTHON ?= python3
VENV ?= .venv
# balancing.py, toy_problem.py and two_digits.py take from twenty minutes to hours: name them.
BENCHMARKS ?= $(wildcard benchmarks/bench_*.py) benchmarks/scaling.py
RECIPE := recipes/quickstart/config.yaml
# Changes to the recipe of the demo, such as make demo OVERRIDES=training.max_steps=20
OVERRIDES ?=

# Encoder and rows of the quickstart, for the demo and for tests on real weights.
export HF_MTL_CACHE ?= $(HOME)/.cache/hf_mtl/quickstart
# Nothing here needs the Hub; offline, a missing network costs no time.
export HF_HUB_OFFLINE ?= 1

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# `make check` takes the tools of .venv, or else those of the environment it is called from.
TOOLS = $(if $(wildcard $(BIN)/python),$(BIN)/)

# For tests of ZeRO on the CPU. It has to find torch while it is built, and compiles nothing this way.
DEEPSPEED := DS_BUILD_OPS=0 DS_ACCELERATOR=cpu

.DEFAULT_GOAL := help
.PHONY: help install data demo test check slow fix bench card constraints clean

help:  ## Lists the targets.
	@sed -n 's/^\([a-z]*\):.*##  */\1\t/p' $(MAKEFILE_LIST) | expand -t 14

install: $(INSTALLED)  ## Builds .venv with the versions of constraints.txt.

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hf_mtl needs Python 3.11 or newer: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(DEEPSPEED) $(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation deepspeed
	touch $@

data: $(INSTALLED)  ## Brings encoder and rows of the quickstart into the cache (about 125 MB, once).
	$(BIN)/python recipes/quickstart/fetch.py --output $(HF_MTL_CACHE)

demo: data  ## Trains four tasks on real data, then answers questions about new text.
	$(BIN)/python recipes/quickstart/fetch.py --output demo/data --archives $(HF_MTL_CACHE)/archives
	$(BIN)/hf-mtl train $(RECIPE) $(OVERRIDES) --overwrite
	$(BIN)/hf-mtl evaluate demo/run $(RECIPE) $(OVERRIDES)
	$(BIN)/hf-mtl predict demo/run 'A gorgeous, witty film by Ms. Sofia Coppola.' 'Dr. Ada M. Byron'

card:  ## Writes the card and the numbers of the last demo to model_cards/quickstart.
	$(BIN)/hf-mtl card demo/run --output model_cards/quickstart

test: data  ## Installs, fetches, then runs everything that `make check` runs.
	$(MAKE) check

# One thread a process: two pytest workers share the cores.
check: export OMP_NUM_THREADS ?= 1
check:  ## Lints, checks types and runs the tests in the environment at hand.
	$(TOOLS)ruff check .
	$(TOOLS)ruff format --check .
	$(TOOLS)mypy
	$(TOOLS)python -m pytest -n 2 -m 'not slow'

slow: export OMP_NUM_THREADS ?= 1
slow: data  ## Runs the tests that `make check` leaves out; none is fine (pytest's exit status 5).
	$(BIN)/python -m pytest -n 2 -m slow || test $$? -eq 5

fix:  ## Repairs what ruff can repair.
	$(TOOLS)ruff check --fix .
	$(TOOLS)ruff format .

bench: $(INSTALLED)  ## Runs the benchmarks; each prints a table.
	@test -n '$(BENCHMARKS)' || echo 'There is no benchmarks/bench_*.py.'
	set -e; for script in $(BENCHMARKS); do $(BIN)/python $$script; done

constraints:  ## Writes constraints.txt from the newest releases that the bounds of pyproject.toml allow.
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet --editable '.[dev]'
	$(DEEPSPEED) build/constraints/bin/python -m pip install --quiet --no-build-isolation deepspeed
	sed -n '/^#/p' constraints.txt > build/constraints.txt
	build/constraints/bin/python -m pip freeze --exclude-editable | sed 's/+cpu//' >> build/constraints.txt
	mv build/constraints.txt constraints.txt

clean:  ## Removes .venv, caches and what the demo wrote; the cache of downloads stays.
	rm -rf $(VENV) build dist demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find hf_mtl tests recipes -name __pycache__ -type d -prune -exec rm -rf {} +
