# Every target sets up what it needs: a virtual environment in .venv, made anew when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n auto --dist loadgroup -q
ENGINES ?= rest grpc rest-3-shards grpc-3-shards rest-indexed grpc-3-shards-indexed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-server record lint format coverage docs notebook matrix bench clean

help:  ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 14

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

test-server: $(VENV)/install.stamp  ## run the tests on a server, in each of its forms; needs QDRANT_URL (CONTRIBUTING.md)
	@test -n "$$QDRANT_URL" || { echo "set QDRANT_URL (and QDRANT_GRPC_PORT, QDRANT_API_KEY): CONTRIBUTING.md"; exit 2; }
	@failed=; for engine in $(ENGINES); do echo "=== $$engine"; $(PYTEST) --engine=$$engine $(ARGS) || failed="$$failed $$engine"; done; \
	test -z "$$failed" || { echo "failed on:$$failed"; exit 1; }

record: $(VENV)/install.stamp  ## record anew what a server says, which the tests play back; needs QDRANT_URL and QDRANT_API_KEY
	@test -n "$$QDRANT_URL" -a -n "$$QDRANT_API_KEY" || { echo "set QDRANT_URL and QDRANT_API_KEY: CONTRIBUTING.md"; exit 2; }
	rm -rf tests/replayed/cassettes tests/replayed/grpc
	$(BIN)/python -m pytest -q -p no:xdist --record-mode=rewrite tests/replayed

coverage:  ## run the tests and demand full branch coverage of the core
	$(MAKE) test ARGS='--cov --cov-report=term --cov-fail-under=100'

lint: $(VENV)/install.stamp  ## formatting, linting, what may import what and how much there may be of it, both type checkers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python scripts/structure.py --check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/install.stamp  ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

matrix: $(VENV)/install.stamp  ## test the oldest and the newest versions that are allowed, on each Python there is; writes docs/compatibility.md
	$(BIN)/python scripts/matrix.py

notebook: $(VENV)/install.stamp  ## run the tutorial and write examples/tutorial.ipynb anew
	$(BIN)/python scripts/notebook.py

docs: $(VENV)/install.stamp  ## build the site into docs/_build; a warning is an error, and so is a link that leads nowhere
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

bench: $(VENV)/install.stamp  ## run the benchmarks, which print the numbers that the docs quote
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/scifact.py

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist build docs/_build docs/reference
