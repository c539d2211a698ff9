.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
H := .venv/bin/headwater
PY := .venv/bin/python
PYTEST := $(PY) -m pytest
UV := .venv/bin/uv
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"
READY := .venv/.ready

.PHONY: help setup up down status maintain demo example sql views test test-full lint doctor check audit faults bench bench-quick sbom lock docs

help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

##@ Run it
setup: $(READY) ## Make .venv with everything that is locked; nothing to do when it is there
demo: $(READY) ## Everything at once: stack, a month of a shop, what SQL says
	@$(H) demo
example: $(READY) ## 69,659 real purchases (CDNOW) through the pipeline, and what SQL says
	@$(H) example
up: $(READY) ## Start Kafka, S3, a worker, the HTTP API and maintenance on this machine
	@$(H) up
down: $(READY) ## Stop them; their state stays
	@$(H) down
status: $(READY) ## Each process, Kafka lag, freshness, lake version, gaps
	@$(H) status

maintain: $(READY) ## Keep the lake small, once; with the stack up it happens by itself
	@$(H) maintain --once

##@ Ask it
sql: $(READY) ## A SQL shell over the lake
	@$(H) sql
views: $(READY) ## The views, each with its grain
	@$(H) views

##@ Check it
test: $(READY) ## All tests but the long ones, on real Kafka and S3
	$(PYTEST) -n 2 --dist loadfile -m "not full"
test-full: test ## All tests, the long ones too
	$(PYTEST) -m full
lint: $(READY) ## Style and types
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
doctor: $(READY) ## Say what is wrong with this set-up, and the way out
	@$(H) doctor
check: $(READY) ## Run queries/checks over the lake
	@$(H) check
audit: $(READY) ## Prove that every record up to the offsets reached is in the lake once
	@$(H) audit

faults: $(READY) ## Every fault and attack with a control that must fail, and the report (two hours)
	@$(PY) -m tests.faults $(if $(SEED),--seed $(SEED),--write tests/faults/REPORT.md)

##@ Measure it
bench: $(READY) ## What each stage, the whole path and other ways cost, in one table (20 minutes)
	@$(PY) -m tests.bench
bench-quick: $(READY) ## The same with fewer events and cases (3 minutes)
	@$(PY) -m tests.bench --quick

##@ Ship it
docs: $(READY) ## Write the reference pages anew from the code, and the site of all views to build/views
	@$(PY) -m pipeline.pages.docs
	@$(H) views docs --out build/views
sbom: $(READY) ## Write what is in it, from the locks (CycloneDX)
	@$(PY) -m pipeline.pages.sbom
lock: $(READY) ## Renew the locks: Python libraries, uv, Java programs
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) pyproject.toml --extra dev --extra png -c requirements.txt -o requirements-dev.txt
	$(LOCK) deploy/local/uv.in -o deploy/local/requirements-uv.txt
	$(LOCK) deploy/local/cc.in -o deploy/local/requirements-cc.txt
	$(LOCK) tests/bench/requirements.in -o tests/bench/requirements.txt
	$(LOCK) tests/clients/requirements.in -o tests/clients/requirements.txt
	$(PY) -m pipeline.stack.lock

$(READY): requirements-dev.txt deploy/local/requirements-uv.txt pyproject.toml deploy/local/setup.sh
	@PYTHON="$(PYTHON)" CC="$(if $(filter default,$(origin CC)),,$(CC))" sh deploy/local/setup.sh && touch $@
