# `make demo` and `make test` do everything, the virtual environment included.
# PYTHON=python3.12 chooses another interpreter (3.11 or newer). All paths are relative, so that the
# checkout may lie anywhere, in a folder whose name has spaces as well.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMMA_VENV := .venv-comma
COMMA_READY := $(COMMA_VENV)/.ready
FLEET_VENV := .venv-fleet
FLEET_READY := $(FLEET_VENV)/.ready
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-fleet lint format test test-base test-fleet test-comma clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

# The stamp is written last, so that an interrupted set-up starts again.
$(READY): requirements/dev.txt pyproject.toml
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seesame needs Python 3.11 or newer; try make PYTHON=python3.12")'
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(COMMA_READY): requirements/comma.txt pyproject.toml
	"$(PYTHON)" -m venv $(COMMA_VENV)
	$(COMMA_VENV)/bin/python -m pip install --quiet -r requirements/comma.txt
	$(COMMA_VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(FLEET_READY): requirements/fleet.txt pyproject.toml
	"$(PYTHON)" -m venv $(FLEET_VENV)
	$(FLEET_VENV)/bin/python -m pip install --quiet -r requirements/fleet.txt
	$(FLEET_VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY) ## make the virtual environment

demo: $(READY) ## compress ten synthetic seconds, print the table, draw out/demo/demo.png
	$(BIN)/python -m seesame.cli demo --out out/demo --overwrite

demo-fleet: $(READY) ## compress twelve synthetic drives, killed once on the way, and make their page
	$(BIN)/python -m seesame.cli demo --fleet --out out/demo-fleet --overwrite

lint: $(READY) ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: $(READY) ## let ruff rewrite what it can
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

test: lint test-base test-fleet test-comma ## lint, then every test, in three environments

test-base: $(READY) ## every test that needs no extra
	$(BIN)/python -m pytest -m "not comma and not fleet" -rs $(PYTEST_ARGS)

test-fleet: $(FLEET_READY) ## the tests of Ray and object stores, in their own environment
	$(FLEET_VENV)/bin/python -c 'import moto, pyarrow, ray, s3fs'  # else their tests would skip
	$(FLEET_VENV)/bin/python -m pytest tests/fleet -m fleet -rs $(PYTEST_ARGS)

test-comma: $(COMMA_READY) ## the tests of the comma stack, in their own environment
	$(COMMA_VENV)/bin/python -m pytest -m comma -rs $(PYTEST_ARGS)

clean: ## remove what make made
	rm -rf $(VENV) $(COMMA_VENV) $(FLEET_VENV) out .pytest_cache .mypy_cache .ruff_cache .hypothesis
