# Everything that is generated lies in .venv/, .venv-tfx/, .tools/ and .headrace/, all ignored by git.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo ui check-dbt test test-unit lint format compile bench lock clean

# The first Python >= 3.11 that really runs (pyenv's shims for inactive versions do not).
PYTHON = $(or $(shell for p in python3 python3.13 python3.12 python3.11 $$HOME/.pyenv/versions/3.1[123]*/bin/python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2])' 2>/dev/null && command -v $$p && break; done), \
	$(error Headrace needs a Python 3.11 or later on PATH))
BIN = .venv/bin
TESTS ?= tests
WORKERS ?= 2

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Set up both interpreters from their locks (2.2 GB + 1 GB)
	@$(PYTHON) requirements/setup_environments.py

setup-dev:
	@$(PYTHON) requirements/setup_environments.py --dev

demo: setup ## Run 2013-01 and 2013-02 from landed files to a pushed model, under a real Airflow
	@$(BIN)/headrace demo

ui: setup ## Start Airflow with everything loaded, and stay
	@$(BIN)/headrace up

check-dbt: setup ## Build and check what you changed in dbt_project/ on a sample, in seconds (BASE=main)
	@$(BIN)/headrace check-dbt $(if $(BASE),--base $(BASE))

compile: setup ## Compile the dbt project and the TFX pipelines for the DAGs
	@$(BIN)/headrace compile

test: setup-dev ## Run every test, the end-to-end one through a real scheduler included
	@$(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder --durations=30 $(TESTS)

test-unit: setup-dev ## Run the tests that take seconds
	@$(BIN)/python -m pytest tests/unit

lint: ## Check style, types and import directions
	@$(PYTHON) requirements/setup_environments.py --dev --without-tfx
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup-dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## Run the benchmarks (ONLY=tfx for one: parse start tfx pipeline dbt scheduler growth demo ledger gx impact serving)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

lock: ## Write the locks anew (UPGRADE=--upgrade for newer versions)
	@$(PYTHON) requirements/setup_environments.py --lock $(UPGRADE)

clean: ## Remove everything that is generated, environments included
	rm -rf .headrace .venv .venv-tfx .tools
