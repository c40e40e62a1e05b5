# Two commands on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN = .venv/bin

.PHONY: run paper test lint types tests gpu docs help clean

help: ## show this
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: .venv/done ## evolve the bundled models, about two minutes
	$(BIN)/python run.py $(ARGS)

paper: .venv/done ## the paper's tables in miniature, about half an hour; goes on where it was stopped
	$(BIN)/python sweeps/paper.py $(ARGS)

test: lint types tests ## everything that CI checks

lint: .venv/done ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/done ## strict type check of evoforge/
	$(BIN)/mypy

tests: .venv/done ## the test suite
	$(BIN)/pytest -n 2

gpu: .venv/done ## what must be the same on a GPU, where there is one
	EVOFORGE_TEST_GPU=1 $(BIN)/pytest tests/gpu

docs: .venv/done ## the documentation as a site, in build/site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The CPU build of torch comes first, else its CUDA build and gigabytes of libraries do.
.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "evoforge needs Python 3.11 or later")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean: ## remove the virtual environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
