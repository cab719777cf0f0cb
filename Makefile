# Slipway. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := api worker common harbour stack client server

.DEFAULT_GOAL := help
.PHONY: help install demo up harbour doctor secrets services test fuzz bench load proofs compose docs check lint types contract format clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/runtime ## Show the main job: install, start everything, sign up, make an app, look, stop
	@$(BIN)/python -m stack demo

up: $(VENV)/runtime ## Start everything on embedded defaults and keep it running; Ctrl-C stops it
	@$(BIN)/python -m stack up

harbour: $(VENV)/runtime ## Start the stand-ins for the four upstreams alone; prints the settings that point at them
	@$(BIN)/python -m harbour --root var/harbour-alone

doctor: $(VENV)/runtime ## Check the settings and every upstream, reading only, and say what to do about what is wrong
	@$(BIN)/python -m worker.doctor

secrets: ## Make what is missing of the secrets of docker-compose.yml (for=harbour: the tokens of the stand-ins, too)
	@sh compose/make-secrets.sh $(for)

services: ## Start MariaDB and Redis for the tests, in the foreground, and print their addresses; Ctrl-C stops them
	@.ci/services up

test: $(VENV)/tools ## Run the tests; what needs a missing service is skipped
	@$(BIN)/python -m pytest tests/unit tests/contract tests/integration --numprocesses 3 --dist loadfile
	@$(BIN)/python -m pytest tests/fuzz
	@$(BIN)/python -m pytest tests/e2e --ignore tests/e2e/test_pace.py --numprocesses 2 --dist loadfile
	@$(BIN)/python -m pytest tests/e2e/test_pace.py

fuzz: $(VENV)/tools ## Send what the OpenAPI document allows and what it forbids, more than 10,000 times, and count the answers
	@SLIPWAY_CASES=100 SLIPWAY_SEED=$${SLIPWAY_SEED:-$$(date +%s)} $(BIN)/python -m pytest -v tests/fuzz

bench: $(VENV)/tools ## Measure following, looking, listing and pruning on MariaDB and SQLite, a million jobs (about 40 minutes)
	@SLIPWAY_FOLLOWERS=1000 SLIPWAY_JOBS=1000000 SLIPWAY_OLD_JOBS=100000 $(BIN)/python -m pytest -s tests/bench

compose: $(VENV)/tools ## Run the services of docker-compose.yml as processes, no engine: the main job on its stand-ins
	@$(BIN)/python -m pytest tests/integration/test_composition.py tests/compose

load: $(VENV)/tools ## Rolling restarts, an outage, shares and rates on MariaDB with four workers, at full count (about half an hour)
	@SLIPWAY_ROLLING_JOBS=1000 SLIPWAY_OUTAGE_S=300 SLIPWAY_OUTAGE_JOBS=200 SLIPWAY_SHARED_JOBS=100 \
		$(BIN)/python -m pytest -s tests/load

docs: $(VENV)/tools ## Write docs/openapi.json, docs/problems.md and docs/metrics.md afresh
	@$(BIN)/python -m api.publish

proofs: $(VENV)/tools ## Run the seeded proofs at full count (about half an hour): builds, worlds, every lost reply, commands
	@SLIPWAY_RUNS=300 $(BIN)/python -m pytest tests/integration/test_worlds.py tests/integration/test_builds.py
	@SLIPWAY_BUILDS=500 $(BIN)/python -m pytest -s tests/integration/test_waiting.py
	@SLIPWAY_COMMANDS=100 $(BIN)/python -m pytest tests/integration/test_commands.py

check: lint types contract test ## What CI runs: lint, types, import contract, tests

lint: $(VENV)/tools ## Check style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/tools ## Check types
	@$(BIN)/mypy

contract: $(VENV)/tools ## Check that the packages import each other only as declared
	@$(BIN)/lint-imports

format: $(VENV)/tools ## Put the code into its one form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

install: $(VENV)/tools ## Install everything, runtime and tools

clean: ## Remove what the stack and the tools left behind; stop `make up` first
	rm -rf var .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Slipway needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the runtime …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/tools: requirements-dev.txt $(VENV)/runtime
	@echo "Installing the tools …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
