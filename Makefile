# `make` lists the targets. Everything runs in .venv, which `make setup` makes; nothing has to be activated.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
SOURCES := app scripts tests benchmarks
PYTEST_ARGS ?=
SOAK_SECONDS ?= 60

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

.PHONY: setup
setup: .venv/.synced ## Make .venv from uv.lock (brings its own uv where none is installed)

.venv/.synced: pyproject.toml uv.lock
	uv=$$($(PYTHON) scripts/development/get_uv.py .uv) && "$$uv" sync --frozen --quiet
	touch $@

.PHONY: run
run: setup ## Run the service at http://127.0.0.1:8000 (honours the environment's settings)
	exec $(BIN)/memory server --http

.PHONY: test
test: setup ## Run the whole test suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: test-fast
test-fast: setup ## Run the tests that take less than ten seconds each
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

.PHONY: lint
lint: setup ## Check style, types and the direction of imports
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: setup ## Format the sources
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

.PHONY: bench
bench: setup ## Measure and print the figures of docs/benchmarks.md
	$(BIN)/python -m benchmarks

.PHONY: soak
soak: setup ## Run the service under mixed load for SOAK_SECONDS (60) and fail on a leak
	$(BIN)/python -m benchmarks.soak --seconds $(SOAK_SECONDS)

.PHONY: clean
clean: ## Remove what make made
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov .coverage*
