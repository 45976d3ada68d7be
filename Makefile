# The commands of the project. `make` alone lists them.
#
# Everything runs in the virtual environment `.venv`, which is made on first use from
# `requirements.lock`: exact versions, checked by their hashes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help demo test up check bench lock docs clean setup \
	check-lint check-types check-imports check-coverage check-docs check-lock \
	check-definitions check-wheel

help:
	@echo "make demo    process the sample files and say where the reports are"
	@echo "make up      watch the inbox and serve the web pages (Ctrl-C stops)"
	@echo "make test    run every test"
	@echo "make check   lint, format, types, import rules, coverage, docs, lock, wheel"
	@echo "make bench   measure latency, throughput and memory; prints JSON"
	@echo "make docs    write the generated pages again"
	@echo "make lock    resolve the dependencies again into requirements.lock"
	@echo "make clean   remove the environment and caches (never your data)"

demo: $(READY)
	@$(BIN)/nika demo

up: $(READY)
	@$(BIN)/nika up

test: $(READY)
	@echo "Running every test"
	@$(BIN)/python -m pytest

bench: $(READY)
	@$(BIN)/nika bench all

docs: $(READY)
	@$(BIN)/python scripts/generate_docs.py

lock: $(READY)
	@echo "Resolving the dependencies for Python 3.11 and newer, on every system"
	@$(BIN)/python scripts/make_lock.py

clean:
	@echo "Removing the environment, caches and build output"
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up: once, and again when the lock or the project file changes

setup: $(READY)

# The lock is complete, so pip need not resolve anything: --no-deps. Packages are compiled while
# they are installed, the project afterwards: without bytecode every start takes twice as long.
$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "No '$(PYTHON)' here. Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python"; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) -V 2>&1)."; \
		echo "Name a newer one: make PYTHON=python3.12"; \
		exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "This Python cannot make virtual environments. On Debian or Ubuntu:"; \
		echo "  sudo apt install python3-venv"; \
		exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "Making the virtual environment $(VENV)"; \
		$(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing the pinned packages (the first time takes a minute or two)"
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements.lock
	@echo "Installing Nika Pipelines"
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q nika_pipelines assets resources
	@touch $@
	@echo "Ready"

# The parts of `make check`, cheap ones first; `make -k check` goes on after a failure

check: check-lint check-imports check-lock check-docs check-types check-definitions check-wheel \
		check-coverage
	@echo "All checks passed"

check-lint: $(READY)
	@echo "Checking style and format"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "Run: $(BIN)/ruff format ."; exit 1; }

check-types: $(READY)
	@echo "Checking types"
	@$(BIN)/mypy

check-imports: $(READY)
	@echo "Checking the import rules"
	@$(BIN)/lint-imports

check-lock: $(READY)
	@echo "Checking that the lock is complete and names no package index"
	@$(BIN)/python scripts/check_lock.py

check-docs: $(READY)
	@echo "Checking that the generated pages are current"
	@$(BIN)/python scripts/generate_docs.py --check

check-definitions: $(READY)
	@echo "Checking the Dagster definitions"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/dg check defs
	@$(BIN)/python scripts/check_definitions.py

check-wheel: $(READY)
	@echo "Checking that the wheel builds and loads"
	@$(BIN)/python scripts/check_wheel.py

# The fuzzer works in processes of its own, which coverage does not see.
check-coverage: MEASURED := intake reports tables anomalies
check-coverage: $(READY)
	@echo "Measuring how much of the systems' code the unit tests run"
	@$(BIN)/python -m pytest --quiet $(MEASURED:%=tests/unit/%) --cov --cov-report=term:skip-covered \
		--ignore tests/unit/intake/test_fuzz.py
