# Two commands for newcomers: `make demo` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long torture lint docs lock bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(STAMP) ## make .venv with every pinned dependency, bytecode compiled

$(STAMP): requirements/bedplate.lock requirements/bootstrap.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Bedplate needs Python 3.11 or newer; set one with: make PYTHON=python3.12 " + "setup")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@$(BIN)/python -m uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements/bedplate.lock
	@$(BIN)/python -m uv pip install --quiet --no-deps --no-build-isolation --compile-bytecode --python $(BIN)/python --editable .
	@touch $@

demo: setup ## run a model's whole life on the local platform
	@$(BIN)/python -m demo

test: setup lint ## run every check: lint, types, import contract, tests, docs
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

torture: setup ## kill -9 up, update and destroy at fifty random points
	@BEDPLATE_TORTURE=50 $(BIN)/python -m pytest tests/functional/test_killed.py -q -s

test-long: setup ## run the tests that `make test` leaves out for their length
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m long

lint: setup
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

docs: setup ## write docs/cli.md from the commands' help
	@$(BIN)/python -m bedplate.cli.reference > docs/cli.md

lock: setup ## pin the newest dependencies that fit pyproject.toml, with hashes
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra local --extra dev pyproject.toml --output-file requirements/bedplate.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		requirements/bootstrap.in --output-file requirements/bootstrap.lock

bench: setup ## print every table of figures
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean: ## stop the local platform and remove what was built
	@test ! -x $(BIN)/bedplate || $(BIN)/bedplate local stop || true
	@rm -rf $(VENV) .bedplate .cache
