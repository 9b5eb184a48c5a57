# Two commands do everything on a fresh machine: `make demo` and `make test`. Both make their own environment in .venv.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
export PYTHONHASHSEED ?= 0

.PHONY: help demo test lint types imports unit distributed simulate soak chaos upgrade dance brokers brokers-stop bench lock audit format clean

help:
	@echo "make demo    run the seven workflow patterns durably, with a kill in the middle"
	@echo "make test    lint, types, import contracts and all tests (what CI runs)"
	@echo "make unit    only what needs no broker (TESTS=tests/core for a part of it)"
	@echo "make distributed  only what runs on real Kafka and Cassandra (started from Maven's artefacts, Docker, or addresses)"
	@echo "make brokers real Kafka and Cassandra on this machine, until make brokers-stop"
	@echo "make simulate MINUTES=10: services, roles and clients on a virtual clock, seed after seed (SEED=7: one, with its trace; SIMULATE='--help')"
	@echo "make soak    MINUTES=10: processes in trouble under load on real brokers, then a verdict (SEED=… repeats the order)"
	@echo "make chaos   MINUTES=10: services, Kafka, Cassandra and the lines between them broken at random, then a report (SEED=…)"
	@echo "make dance   MINUTES=10: workers and orchestrators that come and go with the load as the chart scales them, down to none"
	@echo "make upgrade FROM=REF: from the services of that commit to this tree's, one by one under load on real brokers"
	@echo "make bench   measure; figures and CPU seconds (BENCH='--help' for more)"
	@echo "make lock    requirements.lock anew: what images install, by hashes (asks the package registry)"
	@echo "make audit   known faults of what requirements.lock names (asks a database of them; not part of make test)"
	@echo "make format  let ruff format the code"

.venv/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Perdure needs Python 3.11 or newer; none was found on PATH"; exit 1; }
	@echo "making the environment in .venv (once) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

demo: .venv/.installed
	@$(BIN)/python -m examples.demo

test: lint types imports unit distributed

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed
	$(BIN)/mypy

imports: .venv/.installed
	$(BIN)/lint-imports

unit: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not brokers" $(or $(TESTS),tests)

distributed: .venv/.installed
	@$(BIN)/python -m tests.brokers fetch
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m brokers $(or $(TESTS),tests)

simulate: .venv/.installed
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),$(if $(MINUTES),--minutes $(MINUTES))) $(SIMULATE)

soak: .venv/.installed
	@$(BIN)/python -m tests.faults $(or $(MINUTES),10) $(SEED)

chaos: .venv/.installed
	@$(BIN)/python -m tests.chaos $(or $(MINUTES),10) $(SEED)

dance: .venv/.installed
	@$(BIN)/python -m tests.scaling $(or $(MINUTES),10)

upgrade: .venv/.installed
	@$(BIN)/python -m tests.upgrade $(FROM)

brokers: .venv/.installed
	@$(BIN)/python -m tests.brokers start

brokers-stop: .venv/.installed
	@$(BIN)/python -m tests.brokers stop

bench: .venv/.installed
	@$(BIN)/python -m loadtest $(BENCH)

lock: .venv/.installed
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra otlp --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements.lock

audit: .venv/.installed
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock

format: .venv/.installed
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

clean:
	rm -rf .venv .demo .simulation .chaos .mypy_cache .ruff_cache .pytest_cache .hypothesis
