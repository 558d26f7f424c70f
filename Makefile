# SPDX-FileCopyrightText: 2026 The bowline contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Every target can be repeated; each prepares what it needs first and says what to do next when something is missing.

PYTHON := .venv/bin/python
CHECK ?=
ARGS ?=
NODE_PROVIDER ?= local_nspawn
CHECKING := $(if $(filter-out 0 no false,$(CHECK)),--check)

.DEFAULT_GOAL := help
.PHONY: help cutover rollback cancel stack stack-rollback node node-smoke lab lab-status lab-down lab-purge lab-swarm lab-swarm-down lab-swarm-purge test lint sanity unit integration swarm suite asks second faults bench-pg bench-swarm build docs lock dev runtime clean bench-nodes

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

cutover: runtime ## Move the lab's stack to its new home (CHECK=1: only say what would be done)
	@exec $(PYTHON) tests/lab/run.py cutover $(CHECKING) $(ARGS)

rollback: runtime ## Take it back (CHECK=1: only say what would be done)
	@exec $(PYTHON) tests/lab/run.py rollback $(CHECKING) $(ARGS)

cancel: runtime ## Give the move up while the old side serves (CHECK=1: only say what would be taken away)
	@exec $(PYTHON) tests/lab/run.py cancel $(CHECKING) $(ARGS)

stack: runtime ## Deploy a Swarm stack in the Swarm lab; a bad version goes out and comes back (CHECK=1: only say what would be done)
	@exec $(PYTHON) tests/lab/stack.py deploy $(CHECKING) $(ARGS)

stack-rollback: runtime ## Take a Swarm stack back to the version before (CHECK=1: only say what would be done)
	@exec $(PYTHON) tests/lab/stack.py rollback $(CHECKING) $(ARGS)

node: runtime ## The life of a node on this host, in seconds (root; ARGS='--count 3'; NODE_PROVIDER=local_qemu: a guest that boots, in minutes)
	@exec $(PYTHON) tests/lab/node.py $(NODE_PROVIDER:local_%=%) $(ARGS)

node-smoke: runtime ## The same over a recorder: offline, without any right
	@exec $(PYTHON) tests/lab/node.py recorder $(ARGS)

bench-swarm: dev ## Deployments of ours, the CLI and community.docker, drains, locks; forty minutes (ARGS='--samples 2')
	@scripts/packages && exec $(PYTHON) tests/bench/swarm.py $(ARGS)

lab: runtime ## Start the lab: compose stack, target host, name servers, writers
	@exec $(PYTHON) tests/lab/lab.py up

lab-status: runtime ## Say what of the lab runs
	@exec $(PYTHON) tests/lab/lab.py status

lab-down: runtime ## Stop the lab; the next start takes seconds
	@exec $(PYTHON) tests/lab/lab.py down

lab-purge: runtime ## Remove the lab: containers, images, networks, files
	@exec $(PYTHON) tests/lab/lab.py purge

lab-swarm: runtime ## Start the Swarm lab: three managers, a registry, a small application
	@exec $(PYTHON) tests/lab/swarm.py up

lab-swarm-down: runtime ## Stop the Swarm lab; the next start takes seconds
	@exec $(PYTHON) tests/lab/swarm.py down

lab-swarm-purge: runtime ## Remove the Swarm lab: engines, namespaces, images, files
	@exec $(PYTHON) tests/lab/swarm.py purge

test: dev ## Everything that CI runs
	@exec $(PYTHON) scripts/test.py $(ARGS)

lint: dev ## ansible-lint, mypy, shellcheck, changelog and documentation
	@exec $(PYTHON) scripts/test.py lint

sanity: dev ## ansible-test sanity
	@exec $(PYTHON) scripts/test.py sanity

unit: dev ## Unit tests; ARGS goes to pytest (ARGS='-k wait')
	@exec $(PYTHON) scripts/test.py unit -- $(ARGS)

integration: dev ## Tests of the rooms against real servers on loopback; ARGS goes to pytest
	@exec $(PYTHON) scripts/test.py integration -- $(ARGS)

faults: dev ## Every fault at every moment, every option of pg_cutover, every fault of a Swarm; hours; ARGS goes to pytest
	@BOWLINE_FAULTS=all exec $(PYTHON) -m pytest tests/fault tests/integration/pg tests/integration/swarm tests/integration/node_machine tests/integration/node_guest tests/cutover/faults.py $(ARGS)

swarm: dev ## Tests of Swarm against three real managers; ARGS goes to pytest
	@exec $(PYTHON) scripts/test.py swarm -- $(ARGS)

suite: dev ## Cutovers and rollbacks in the lab; ARGS goes to pytest
	@exec $(PYTHON) scripts/test.py suite -- $(ARGS)

asks: dev ## Inventories with things wrong, asked of the lab; ARGS goes to pytest
	@exec $(PYTHON) scripts/test.py asks -- $(ARGS)

second: dev ## A stack as people run it, there, back and there again, in the lab; ARGS goes to pytest
	@exec $(PYTHON) scripts/test.py second -- $(ARGS)

build: dev ## Build the collection, install it elsewhere, load everything from there
	@exec $(PYTHON) scripts/test.py build

docs: dev ## Write the generated documentation anew
	@exec $(PYTHON) scripts/docs.py

bench-pg: dev ## Write pauses of the runbook and of each engine, by size; half an hour (ARGS='--scales 164M --ways runbook logical')
	@scripts/packages && exec $(PYTHON) tests/bench/pg.py $(ARGS)

bench-nodes: dev ## A run over 50 nodes that has nothing to do beside ping; five minutes (ARGS='--rounds 3')
	@exec $(PYTHON) tests/bench/nodes.py $(ARGS)

lock: dev ## Resolve the requirements anew (ARGS=--upgrade takes newer versions)
	@scripts/lock $(ARGS)

dev: ## Prepare .venv for contributors
	@scripts/bootstrap dev

runtime: ## Prepare .venv for running playbooks only
	@scripts/bootstrap runtime

clean: ## Remove what the tests left in build/ (not the lab, not its cache)
	@rm -rf build/test build/sanity build/dist build/cache/mypy build/cache/pytest
