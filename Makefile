# Every target sets up what it needs: a virtual environment in .venv, made anew when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n auto --dist loadgroup -q

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format coverage bench clean

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 12

$(VENV)/demo.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -e '.[cli,edge]'
	@touch $@

$(VENV)/install.stamp: pyproject.toml $(VENV)/demo.stamp
	$(BIN)/python -m pip install --quiet -e '.[all]' --group dev
	@touch $@

install: $(VENV)/install.stamp  ## make .venv with the package, all extras and the development tools

demo: $(VENV)/demo.stamp  ## index a small corpus and show the strategies side by side
	@$(BIN)/qdrant-rerank demo

test: $(VENV)/install.stamp  ## run the tests; ARGS='…' goes to pytest
	$(PYTEST) $(ARGS)

coverage:  ## run the tests and demand full branch coverage of the core
	$(MAKE) test ARGS='--cov --cov-report=term --cov-fail-under=100'

lint: $(VENV)/install.stamp  ## formatting, linting, both type checkers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/install.stamp  ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/install.stamp  ## run the benchmarks, which print the numbers that the docs quote
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/scifact.py

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist build
