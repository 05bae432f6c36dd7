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
SITE_VENV := .venv-site
SITE_READY := $(SITE_VENV)/.ready
RELEASE_VENV := .venv-release
RELEASE_READY := $(RELEASE_VENV)/.ready
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-fleet lint format test test-base test-fleet test-comma site site-serve package clean

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

$(SITE_READY): requirements/site.txt
	"$(PYTHON)" -m venv $(SITE_VENV)
	$(SITE_VENV)/bin/python -m pip install --quiet -r requirements/site.txt
	@touch $@

$(RELEASE_READY): requirements/release.txt
	"$(PYTHON)" -m venv $(RELEASE_VENV)
	$(RELEASE_VENV)/bin/python -m pip install --quiet -r requirements/release.txt
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

site: $(SITE_READY) ## build the documentation as a site, out/site/index.html; any broken link stops it
	$(SITE_VENV)/bin/zensical build --clean --strict

site-serve: $(SITE_READY) ## show the site at localhost:8000, built anew when a page changes
	$(SITE_VENV)/bin/zensical serve

package: $(RELEASE_READY) ## build sdist and wheel into dist, use the wheel in a new environment, check its types
	$(RELEASE_VENV)/bin/hadolint Dockerfile
	rm -rf dist
	$(RELEASE_VENV)/bin/python -m build --outdir dist .
	$(RELEASE_VENV)/bin/python -m twine check --strict dist/*
	$(RELEASE_VENV)/bin/check-wheel-contents dist/*.whl
	$(RELEASE_VENV)/bin/python tools/check_wheel.py dist/*.whl

clean: ## remove what make made
	rm -rf $(VENV) $(COMMA_VENV) $(FLEET_VENV) $(SITE_VENV) $(RELEASE_VENV) dist out .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
