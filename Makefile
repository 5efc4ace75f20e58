# make demo: everything on the built-in data   make test: all checks and tests   make install: only set up
SHELL := /bin/bash
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin

.PHONY: install demo test check test-all format picture bench clean-venv

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "no Python of version 3.11 or newer was found; install one, or say make PYTHON=/path/to/python3"; exit 1; fi
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: install
	$(BIN)/luigi --module tasks RunAll --dataset demo

test: install check
	$(BIN)/pytest -m "not slow"

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test-all: install check
	$(BIN)/pytest

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python -m tasks.bench

picture: install
	$(BIN)/luigi --module tasks Inspect --dataset demo --out docs/maps.png
