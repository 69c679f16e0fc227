# SPDX-License-Identifier: Apache-2.0
# The front door. `make demo` and `make test` do all the set-up that they need.
BUILD ?= build/release
PRESET ?= release
ROWS ?= 2000000
PYTHON := .venv/bin/python
# Tests wait more than they compute: for servers, for deaths. A file's tests stay together, and share its servers.
PYTEST = PATH=$(abspath $(BUILD)):$$PATH $(PYTHON) -m pytest -q -n 3 --dist loadfile tests

.PHONY: help setup build demo test test-c test-python test-deep bench wheel lint clean

help: ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: ## packages (as root), .venv, toolchains: everything the build and the tests need
	@tools/setup

build: setup ## the library, the programs, the Python modules
	@cmake --preset $(PRESET) -DPython_EXECUTABLE=$(abspath $(PYTHON)) > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	@cmake --build $(BUILD)
	@ln -sf $(abspath $(BUILD))/ghee .venv/bin/ghee

demo: build ## ratings of MovieLens-20M's shape: train, predict every pair, write Parquet (ROWS=2000000)
	@$(PYTHON) examples/factorization_machine/demo.py --rows $(ROWS)

test: build ## all tests: C under ctest, Python under pytest
	@tools/check_layers
	@status=0; ctest --test-dir $(BUILD) --output-on-failure -j2 || status=1; \
	$(PYTEST) || status=1; exit $$status

test-c: build ## the C tests alone
	@ctest --test-dir $(BUILD) --output-on-failure -j2

test-python: build ## the Python tests alone
	@$(PYTEST)

test-deep: setup ## sanitizers, fuzzers, the n-th allocation failing, 200 kill storms
	@tools/test_deep

bench: build ## our figures beside the peers'; see bench/README.md
	@bench/run all

wheel: setup ## dist/ghee-*.whl, which needs neither compiler nor Rust where it is installed
	@tools/wheel

lint: ## layers, and the size of files
	@tools/check_layers

clean: ## everything that was made here
	rm -rf build dist .venv python/ghee/_core/*.so
