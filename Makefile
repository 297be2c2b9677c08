# Two commands do everything on a fresh clone: `make run` and `make test`.
# Of a file's tests all stay with one worker, since they share what its fixtures have trained.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: run test test-slow test-all test-gpu check tables docs wheel clean help
.DEFAULT_GOAL := help

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bench needs Python 3.11 or later: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs,plot,report,export,wandb,tensorboard,mlflow,postgresql,slurm,ray]'
	touch $@

# In a folder of its own: the committed records hold this very run, and would end it at once.
FIRST := artifacts/first-run

run: $(STAMP)  ## train SCRN on the embedded task and print the table with the bound
	mkdir -p $(FIRST)
	$(BIN)/bench run --task synthetic-text --model scrn --track none --suite $(FIRST)
	$(BIN)/bench table synthetic-text --suite $(FIRST)

test: $(STAMP)  ## the tests, in five minutes; real corpora are read where BENCH_DATA names them
	$(PYTEST) -m "not slow"

test-slow: $(STAMP)  ## the tests that `make test` leaves out: long runs, many kills, every option
	$(PYTEST) -m slow

test-all: $(STAMP)  ## all tests
	$(PYTEST)

test-gpu: $(STAMP)  ## what takes a GPU: every recurrence and every kind of task on it
	$(BIN)/python -c 'import sys, torch; torch.cuda.is_available() or sys.exit("torch sees no GPU: there is nothing to test")'
	$(BIN)/python -m pytest --numprocesses 0 tests/gpu

check: $(STAMP)  ## ruff, ruff format, the direction of imports, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

tables: $(STAMP)  ## write results/*/table.md from the committed records
	$(BIN)/bench table --all

docs: $(STAMP)  ## build the documentation into docs/_build; warnings are errors
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build

wheel: $(STAMP)  ## build the distribution into dist/
	$(BIN)/python -m build --wheel

clean:  ## remove the environment and everything that can be made again
	rm -rf $(VENV) build dist docs/_build docs/results/tables .mypy_cache .ruff_cache .pytest_cache
