# Slipway. `make` alone lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
# Servers for what follows. Not for figures: theirs do not wait for the disk.
SERVICES := .ci/services run --
# The oldest and the newest Python that Slipway is made for. PYTHON runs everything, the other one what `other` says.
OLDEST := 3.11
NEWEST := 3.13
# With which the chart is rendered.
HELM_3 := v3.22.0
HELM_4 := v4.3.2
# Test processes: they wait for networks and disks, so there are more than cores.
PROCESSES ?= 3
# Files in the order that they are named in: at the end there are short ones, and all processes are done together.
LONGEST_FIRST := --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install browser console console-full console-tools console-types sbom advisories security demo up harbour doctor secrets services quick unit test databases other fuzz bench load chaos chaos-quick proofs simulate mutation compose chart docs check lint types imports format requirements clean
.PHONY: matching-tests all-tests other-tests

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

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

quick: $(VENV)/tools ## The check for every save: unit tests, lint, types, import contracts at once, in less than a minute
	@$(MAKE) --no-print-directory --jobs 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) \
		unit types lint imports

unit: $(VENV)/tools ## Run the unit tests
	@$(PYTEST) tests/unit --quiet --numprocesses 2

test: $(VENV)/tools ## Run the tests, with services of their own (k=EXPR: those of unit, contract and integration that match)
	@$(SERVICES) $(MAKE) --no-print-directory $(if $(k),matching-tests,all-tests)

matching-tests:
	@$(PYTEST) tests/unit tests/contract tests/integration -k '$(k)' --numprocesses $(PROCESSES) --dist loadfile

all-tests:
	@$(PYTEST) $(LONGEST_FIRST) tests/integration tests/simulation tests/contract tests/unit tests/chart
	@$(PYTEST) tests/fuzz
	@$(PYTEST) tests/e2e --ignore tests/e2e/test_pace.py --numprocesses $(PROCESSES) --dist loadfile
	@$(PYTEST) tests/e2e/test_pace.py

databases: $(VENV)/tools ## Run the integration tests on MariaDB, too, where the database should make no difference
	@SLIPWAY_DATABASES=all $(SERVICES) $(PYTEST) $(LONGEST_FIRST) tests/integration

other: ## Run the unit tests on the newest Python, or on the oldest if the newest runs the rest
	@used=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	other=$(NEWEST); [ "$$used" != "$$other" ] || other=$(OLDEST); \
	if python=$$(.ci/find-python "$$other"); then \
		$(MAKE) --no-print-directory PYTHON="$$python" VENV=".venv-$$other" other-tests; \
	else \
		echo "Python $$other is not installed: the tests ran on $$used alone."; \
	fi

other-tests: $(VENV)/tools
	@$(PYTEST) tests/unit --numprocesses $(PROCESSES) --dist loadfile

fuzz: $(VENV)/tools ## Send what the OpenAPI document allows and what it forbids, more than 10,000 times, and count the answers
	@SLIPWAY_CASES=100 SLIPWAY_SEED=$${SLIPWAY_SEED:-$$(date +%s)} $(SERVICES) $(PYTEST) -v tests/fuzz

bench: $(VENV)/tools ## Measure following, looking, listing and pruning on MariaDB and SQLite, a million jobs (about 40 minutes)
	@SLIPWAY_FOLLOWERS=1000 SLIPWAY_JOBS=1000000 SLIPWAY_OLD_JOBS=100000 SLIPWAY_LOG_INS=200 $(PYTEST) -s tests/bench

compose: $(VENV)/tools ## Run the services of docker-compose.yml as processes, no engine: the main job on its stand-ins
	@$(PYTEST) tests/integration/test_composition.py tests/compose

load: $(VENV)/tools ## Rolling restarts, an outage, no broker, shares and rates on MariaDB, at full count (about an hour and a half)
	@SLIPWAY_ROLLING_JOBS=1000 SLIPWAY_OUTAGE_S=300 SLIPWAY_OUTAGE_JOBS=200 SLIPWAY_SHARED_JOBS=100 SLIPWAY_BROKERLESS_JOBS=500 \
		$(PYTEST) -s tests/load

chaos: $(VENV)/tools ## Break real processes on two hosts at every call of every step, and all of them under load (about two hours)
	@SLIPWAY_CHAOS_REQUESTS=100 SLIPWAY_CHAOS_JOBS=3000 $(PYTEST) -s tests/chaos

# It starts its own servers. The limit only ends a run that hangs.
chaos-quick: $(VENV)/tools ## The same in short: every step once, 6 faults, a short soak (some minutes on two idle cores)
	@SLIPWAY_CHAOS=quick timeout --foreground --kill-after=30 --signal=INT 1200 $(PYTEST) -s --durations=5 tests/chaos

chart: $(VENV)/chart var/chart/bin/helm3 var/chart/bin/helm4 ## Render the Helm chart for five sets of values, validate and compare it (installs helm 3 and 4 with go, the first time some minutes)
	@$(PYTEST) tests/unit/test_chart.py tests/chart

var/chart/bin/helm%:
	@command -v go > /dev/null || { echo "make chart needs Go: https://go.dev/dl" >&2; exit 1; }
	@mkdir -p var/chart/bin
	@echo "Installing helm $(HELM_$*) …"
	@GOBIN=$(CURDIR)/var/chart/bin/v$* go install helm.sh/helm/v$*/cmd/helm@$(HELM_$*)
	@mv var/chart/bin/v$*/helm $@ && rmdir var/chart/bin/v$*

docs: $(VENV)/tools ## Write .env.example, compose/harbour.env, the generated pages of docs/, console/types and the reference of the chart afresh
	@$(BIN)/python -m api.publish
	@$(BIN)/python -m harbour.compose_env
	@$(BIN)/python -m deploy.chart

proofs: $(VENV)/tools ## Run the seeded proofs at full count (about two hours): builds, worlds, every failure of every call, hostile answers, every refusal, commands
	@SLIPWAY_RUNS=300 $(SERVICES) $(PYTEST) tests/integration/worker/test_worlds.py tests/integration/worker/test_builds.py
	@SLIPWAY_RUNS=300 $(SERVICES) $(PYTEST) -s tests/integration/worker/test_passing_refusals.py
	@SLIPWAY_RUNS=2 $(SERVICES) $(PYTEST) tests/integration/worker/test_steps.py tests/integration/worker/test_every_call.py
	@SLIPWAY_RUNS=40 $(SERVICES) $(PYTEST) tests/integration/worker/test_hostile_answers.py
	@SLIPWAY_BUILDS=500 $(SERVICES) $(PYTEST) -s tests/integration/worker/test_waiting.py
	@SLIPWAY_COMMANDS=100 $(SERVICES) $(PYTEST) tests/integration/api/commands/test_commands.py

simulate: $(VENV)/tools ## Play runs of steps with faults in virtual time: every single one, PAIRS and INTERLEAVINGS (ranges of seeds)
	@PYTHONPATH=.:tests $(BIN)/python -m simulation singles --record
	@PYTHONPATH=.:tests $(BIN)/python -m simulation pairs $(or $(PAIRS),0:20000) --record
	@PYTHONPATH=.:tests $(BIN)/python -m simulation interleavings $(or $(INTERLEAVINGS),0:100000) --record

mutation: $(VENV)/tools ## Change the code that must not fail, a little at a time, and see whether the fast tests notice (about an hour; MODULES=)
	@PYTHONPATH=.:tests $(BIN)/python -m mutation $(MODULES)

check: lint types imports security test other ## What CI runs: lint, types, import contracts, unsafe code, tests, tests on a second Python

lint: $(VENV)/tools ## Check style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/tools ## Check types
	@$(BIN)/mypy

imports: $(VENV)/tools ## Check that the packages import each other only as declared
	@$(BIN)/lint-imports --no-logo

# B104 is left out: ruff's S104 asks the same.
security: $(VENV)/tools ## Check what we ship for unsafe code. Secrets and licences are tests: tests/unit
	@$(BIN)/bandit --quiet --severity-level medium --skip B104 --recursive api client common harbour server slipway stack worker

browser: $(VENV)/tools ## Let foreign pages attack somebody who is logged in, in a real Chromium (some minutes)
	@$(PYTEST) -v tests/browser

# Node.js checks the console and is not needed to run it: on a machine without it, this says so and passes.
console: console-types $(VENV)/tools ## Check the console: its types, and the main path in a real Chromium by mouse and keyboard (needs Node.js)
	@$(PYTEST) -v tests/browser/test_console.py -k path

console-full: console-types $(VENV)/tools ## The same with every page, scheme and language, faults, reconnects and hostile texts (some minutes)
	@$(PYTEST) -v tests/browser/test_console.py

console-types: console-tools ## Check the types of the console's JavaScript against those of the interface
	@if [ -d console/node_modules ]; then cd console && npm run --silent types; fi

console-tools: ## Install the tools that check the console, from a lock file
	@if command -v npm >/dev/null; then \
		cmp -s console/package-lock.json console/node_modules/.lock || { \
			(cd console && npm ci --ignore-scripts --silent) && cp console/package-lock.json console/node_modules/.lock; }; \
	else \
		echo "Node.js is not installed: the types and the pages of the console are not checked."; \
	fi

sbom: $(VENV)/tools ## Write var/sbom.json: what a release consists of (CycloneDX)
	@mkdir -p var
	@$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file var/sbom.json requirements.txt
	@echo "Written: var/sbom.json"

# --strict: a package that nobody knows anything about is no clean one.
advisories: $(VENV)/tools ## Ask whether known weaknesses concern what we ship; it fails if nobody can be asked, too
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		--requirement requirements.txt --requirement requirements-embedded.txt || { \
		echo "Not clean: either weaknesses are listed above, or nobody could be asked about them." >&2; exit 1; }

format: $(VENV)/tools ## Put the code into its one form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

requirements: $(VENV)/tools ## Pin requirements*.in in requirements*.txt; pins stay (upgrade=NAME: except that one's, upgrade=all)
	@for set in requirements requirements-embedded requirements-dev requirements-chart; do \
		UV_CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/uv pip compile --quiet $$set.in --output-file $$set.txt \
			--universal --python-version $(OLDEST) --generate-hashes --no-emit-index-url --no-emit-find-links \
			$(if $(upgrade),$(if $(filter all,$(upgrade)),--upgrade,--upgrade-package $(upgrade))) || exit; \
	done

install: $(VENV)/tools ## Install everything, runtime and tools

clean: ## Remove what the stack and the tools left behind; stop `make up` first
	rm -rf var .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Slipway needs Python $(OLDEST) or newer; set PYTHON=") if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: requirements.txt requirements-embedded.txt pyproject.toml | $(BIN)/python
	@echo "Installing the runtime …"
	@$(PIP) install --quiet --require-hashes -r requirements.txt -r requirements-embedded.txt
	@$(PIP) install --quiet --no-deps --editable .
	@touch $@

$(VENV)/tools: requirements-dev.txt $(VENV)/runtime
	@echo "Installing the tools …"
	@$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

# Apart from the other tools: the schemas of all versions of Kubernetes are 17,000 files.
$(VENV)/chart: requirements-chart.txt $(VENV)/tools
	@$(PIP) install --quiet --require-hashes -r requirements-chart.txt
	@touch $@
