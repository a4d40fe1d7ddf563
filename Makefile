# The handful of verbs. Each installs what it needs first; on Debian that includes the few system packages.
SHELL := /bin/bash
PYTHON := $(shell command -v /usr/bin/python3 python3 | head -n 1)
BIN := .venv/bin
ROOMS := orchestrator specs reconciler engine

.PHONY: help install install-unit install-alias fmt lint types test test-pure test-root test-guest test-guests test-leaks test-lab test-labs e2e fuzz conformance docs man install-man bench bench-labs demo clean
help: ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: .venv/installed ## make .venv with .venv/bin/corral, and install the system packages that are missing

.venv/installed: pyproject.toml Makefile
	@./tools/system-packages python3-venv iproute2 iptables
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e .
	@$(BIN)/python -m pip uninstall --quiet --yes setuptools # of whose own every command would import a module, 1 ms
	@touch $@

.venv/dev: .venv/installed
	@./tools/system-packages busybox-static binutils nftables
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e '.[dev]'
	@touch $@

install-unit: install ## let systemd start the daemon at boot (root)
	sed 's|@corral@|$(CURDIR)/$(BIN)/corral|' packaging/corral.service >/etc/systemd/system/corral.service
	systemctl daemon-reload
	systemctl enable --now corral.service

PREFIX := /usr/local
install-alias: install ## let `docker-compose` mean corral: a link in PREFIX/bin, where nothing is called so yet
	@test ! -e $(PREFIX)/bin/docker-compose -a ! -L $(PREFIX)/bin/docker-compose || { echo "$(PREFIX)/bin/docker-compose is there already"; exit 1; }
	ln -s $(CURDIR)/$(BIN)/corral $(PREFIX)/bin/docker-compose

fmt: .venv/dev ## format the code
	$(BIN)/ruff format $(ROOMS) $(wildcard tests benchmarks examples)
	$(BIN)/ruff check --fix --quiet $(ROOMS) $(wildcard tests benchmarks examples)

lint: .venv/dev ## style, and the import rules of docs/architecture.md
	$(BIN)/ruff format --check $(ROOMS) $(wildcard tests benchmarks examples)
	$(BIN)/ruff check $(ROOMS) $(wildcard tests benchmarks examples)
	$(BIN)/python -m pytest -q tests/test_architecture.py

types: .venv/dev ## mypy, strict
	$(BIN)/mypy

test: lint types test-pure test-root test-guest e2e test-lab ## everything but the other labs, the fast floors first
	@echo "all floors passed"

ORACLE := .cache/benchmarks/docker-compose
$(ORACLE): .venv/dev
	@$(BIN)/python -m tests.conformance.oracle

test-pure: .venv/dev $(ORACLE) ## no root needed, seconds
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not root" tests

test-root: .venv/dev ## the engine against this machine's kernel, as root
	$(BIN)/python -m pytest -q -m root --ignore tests/e2e tests

e2e: .venv/dev ## the command line as a user types it, as root
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not alone" tests/e2e
	$(BIN)/python -m pytest -q -m alone tests/e2e

test-guest: .venv/dev ## the cgroup v2 driver in a User-Mode Linux guest (a pure v2 host)
	$(BIN)/python tests/guests/boot.py

test-lab: .venv/dev ## the smallest of the labs, a Hadoop, brought up whole, as root (the first time: fetches 600 MB)
	@./examples/bigdata-cluster/hadoop/prepare
	$(BIN)/python -m pytest -q tests/e2e/labs/test_jvm.py tests/e2e/labs/test_small_hadoop.py

test-labs: .venv/dev ## all labs of docs/labs.md brought up whole, an hour, as root (the first time: fetches 700 MB, and installs Chromium)
	$(BIN)/python -m pytest -v tests/e2e/labs

fuzz: .venv/dev ## files of ours spoilt, requests, texts and projects made up: twenty times as many as in an ordinary run, as root
	CORRAL_FUZZ=20 $(BIN)/python -m pytest -q --timeout 3600 -m "not root" -k fuzz tests
	CORRAL_FUZZ=40 $(BIN)/python -m pytest -q --timeout 3600 tests/e2e/test_distrust.py

test-guests: .venv/dev ## a Debian machine with systemd under QEMU: units, reboots, neighbours, keys, attacks (root; 25 minutes; log below artifacts/guests)
	@./tools/system-packages qemu-system-x86 mmdebstrap e2fsprogs
	@mkdir -p artifacts/guests
	set -o pipefail; CORRAL_GUESTS="$${CORRAL_GUESTS:-1}" $(BIN)/python -m pytest -v tests/guests/debian 2>&1 | tee artifacts/guests/log

test-leaks: .venv/dev ## two hundred times up and down, some minutes, as root
	CORRAL_LEAK_CYCLES=200 $(BIN)/python -m pytest -q tests/e2e/test_leaks.py

conformance: .venv/dev $(ORACLE) ## files read by corral and by the real docker compose, and what differs: CORPUS=DIR of compose files
	$(BIN)/python -m tests.conformance $(CORPUS)

docs: .venv/dev ## make the tables of keys in docs/specs.md and docs/compose.md, and of flags in docs/commands.md, anew
	$(BIN)/python -m tests.keys.table
	$(BIN)/python -m tests.conformance.commands_table

man: .venv/dev ## manual pages in build/man: man -l build/man/corral-up.1
	@PYTHONPATH=. $(BIN)/python tools/man-pages build/man

install-man: man ## and where `man corral` finds them (root)
	install -d /usr/local/share/man/man1
	install -m 644 build/man/*.1 /usr/local/share/man/man1

bench: .venv/installed ## figures against docker compose, in one run; writes docs/benchmarks.md
	$(BIN)/python benchmarks/run

bench-labs: .venv/installed ## every lab against the same daemons started by hand, in one run; writes the labs' part of docs/benchmarks.md
	$(BIN)/python benchmarks/labs $(LABS)

demo: demo-hadoop ## a real Hadoop with Spark comes up, does real work, heals, and goes down without a trace, as root (the first time: fetches 600 MB); another lab: demo-hadoop-ha, demo-hbase, demo-hive, demo-kafka, demo-spark

demo-%: .venv/installed
	@./examples/bigdata-cluster/demo $*

clean: ## remove what the other verbs made in this folder
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis artifacts
