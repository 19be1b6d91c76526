# Headrace. `make demo` runs the flights pipeline on real Kafka; `make test` passes all tests.
# Both set up everything they need in .venv and in the cache folder of the embedded stack.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.headrace-installed
export PYTHONHASHSEED ?= 0
MAKEFLAGS += --no-print-directory

.PHONY: help setup demo test test-and-check test-real test-pure test-unit test-simulation test-integration check coverage format lint types contracts bench drift-bench storms simulate faults backups clean

help: ## Show these targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(STAMP): requirements.txt pyproject.toml
	@echo "Setting up .venv (a minute or two, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# The lock names all there is. Without --no-deps pip looks for the newest of what is asked for with extras, too.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check --quiet --disable-pip-version-check
	@touch $@

setup: $(STAMP) ## Make .venv with pinned dependencies.

demo: $(STAMP) ## Run a week of flights through the whole system, live.
	@$(BIN)/headrace demo $(ARGS)

# Tests on real services mostly wait: what only computes runs beside them, at a low priority.
# An expression and its contrary: no test is in neither. What is asked for by ARGS is one run.
REAL := integration or timed
BESIDE := $(BIN)/python -m tests.beside "$(MAKE) test-real"
test: $(STAMP) ## Pass all tests, those on real Kafka, Valkey and PostgreSQL among them.
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BESIDE) "$(MAKE) test-pure"
endif

test-and-check: $(STAMP) ## Both at once, as .ci/run does it.
	@$(BESIDE) "$(MAKE) --keep-going test-pure check"

test-real: $(STAMP)
	@$(BIN)/python -m pytest --durations=10 -m "$(REAL)"

test-pure: $(STAMP)
	@$(BIN)/python -m pytest --durations=10 -m "not ($(REAL))" --hypothesis-profile=unhurried

test-unit: $(STAMP) ## The pure tests alone: under a minute.
	@$(BIN)/python -m pytest -m "not integration and not simulation and not slow" $(ARGS)

test-simulation: $(STAMP) ## 300 seeded worlds of the protocol, and all kept ones.
	@$(BIN)/python -m pytest tests/simulation $(ARGS)

test-integration: $(STAMP) ## The tests on real services.
	@$(BIN)/python -m pytest -m integration $(ARGS)

check: lint types contracts coverage ## Linters, types, import contracts, the core's coverage.

PURE := schemas/*,streams/*.py,streams/detectors/*,streams/features/*,streams/files/*,streams/protocol/*,streams/stages/*
CORE_TESTS := tests/unit/alarms tests/unit/declare tests/unit/detectors tests/unit/doors \
	tests/unit/metrics tests/unit/protocol tests/unit/replay tests/unit/schemas tests/unit/stages
coverage: $(STAMP) ## All lines and branches of the pure core are tried by its own tests.
	@$(BIN)/python -m pytest -q -p no:randomly -m "not slow" --hypothesis-profile=unhurried \
		headrace $(CORE_TESTS) --cov --cov-branch --cov-report=
	@$(BIN)/coverage report --include="$(PURE)" --skip-covered --show-missing --fail-under=100

lint: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

format: $(STAMP) ## Format the code.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: $(STAMP)
	@$(BIN)/mypy

contracts: $(STAMP)
	@$(BIN)/lint-imports

bench: $(STAMP) ## The whole loop beside the in-process limit, in one run.
	@$(BIN)/python -m bench $(ARGS)

drift-bench: $(STAMP) ## The alarms' promise, and their delay beside River's detectors.
	@$(BIN)/python -m bench.drift $(ARGS)

storms: $(STAMP) ## A year of flights: each alert beside the weather of its days.
	@$(BIN)/python -m bench.storms $(ARGS)

WORLDS ?= 1000
simulate: $(STAMP) ## Many worlds: make simulate WORLDS=10000.
	@$(BIN)/python -m tests.simulation $(WORLDS)

FAULTS ?= 50
faults: $(STAMP) ## Many faults on real services: make faults FAULTS=500.
	@$(BIN)/python -m tests.faults --faults $(FAULTS) $(ARGS)

backups: $(STAMP) ## Kafka, Redis and the registry from yesterday, each with the others from today.
	@WHOLE=1 $(BIN)/python -m pytest tests/faults/test_backups.py $(ARGS)

clean: ## Remove what was made here; the cache of jars stays.
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
