# Two commands for a stranger: `make run` and `make test`. Everything else is for those who build Rutile.
# Each target makes the environment it needs; nothing has to be installed beforehand but python3 (3.11+) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test test-all ibis-suite sqlalchemy-suite lint sim sim-long proto bench clean

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Rutile needs Python 3.11 or newer; {sys.executable} is {v[0]}.{v[1]}. Try: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[shell,demo,fast]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[shell,demo,fast,test]'
	@touch $@

run: $(VENV)/.run         ## a cluster with data in it, and a shell (without a terminal: the demonstration only)
	$(BIN)/rutile demo

test: $(VENV)/.test       ## lint, types, and every test that is not marked slow
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q --durations=15

test-all: $(VENV)/.test   ## the slow tests too: kills, restarts, a minute of bank transfers
	$(BIN)/python -m pytest -q --durations=15 -m 'slow or not slow'

ibis-suite: $(VENV)/.test ## Ibis' own backend tests, for Rutile and for Ibis' DuckDB backend on the same data
	$(BIN)/python tests/ibis/suite/run_suite.py $(TESTS)

sqlalchemy-suite: $(VENV)/.test ## SQLAlchemy's dialect compliance suite, on a playground and on MariaDB if it is installed
	$(BIN)/python tests/sqlalchemy_suite/run_suite.py $(OPTIONS)

lint: $(VENV)/.test       ## ruff, strict mypy on the cores, import floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

sim: $(VENV)/.test        ## one simulated cluster, with its trace: make sim SEED=7 RING=2 (1: cores, 2: shells and clients)
	$(BIN)/python tests/simulation/simulate.py --seed $(or $(SEED),1) --ring $(or $(RING),1)

sim-long: $(VENV)/.test   ## simulated clusters until told to stop (or MINUTES=60); prints seeds that fail, and figures
	$(BIN)/python tests/simulation/simulate.py --long $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RING),--ring $(RING))

proto: | $(VENV)/.made    ## regenerate the committed stubs (in an environment of its own)
	$(PYTHON) -m venv .run/proto-venv
	.run/proto-venv/bin/pip install --quiet 'grpcio-tools>=1.72,<1.73'
	.run/proto-venv/bin/python proto/generate.py

bench: $(VENV)/.test      ## every benchmark, one at a time; prints ratios
	@for b in benchmarks/*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

clean:           ## the environment and scratch data
	rm -rf $(VENV) .run
