# Every target does the set-up it needs. The first set-up downloads about 3 GB (torch brings its CUDA libraries);
# later ones are a no-op as long as pyproject.toml and requirements.lock stay as they are.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
READY := .venv/.ready
export UV_LINK_MODE ?= hardlink
# compiled once: an embedder starts in half the time, and every command and test sooner
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-unit lint bench chaos live stop clean lock tools chart chart-docs image sbom audit sizing security

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("prodsim needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": try make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "python3 cannot make a virtual environment here: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up .venv (the first time this downloads about 3 GB)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirement requirements.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY)  ## the virtual environment in .venv, from the lock file

demo: $(READY)  ## a real engine and embedder, the example catalog, a few searches
	@$(BIN)/prodsim-admin demo

test: $(READY) lint  ## lint, unit, packaging, integration, relevance in short form, loads in chaos, moves under traffic, chart (where helm is: make tools)
	@$(BIN)/python -m pytest tests/unit
	@$(BIN)/python -m pytest --durations=40 tests/packaging tests/chart tests/integration tests/relevance tests/chaos/test_loading.py tests/live/test_harness.py tests/live/test_moving.py

test-unit: $(READY)  ## the unit tests alone, no network, under 30 s
	@$(BIN)/python -m pytest tests/unit

lint: $(READY)  ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(READY)  ## speed, memory and judged relevance, as ratios against named baselines
	@RELEVANCE=whole $(BIN)/python -m pytest -q -s tests/bench tests/relevance

chaos: $(READY)  ## loads through kills, stops, cuts and full disks, in full
	@CHAOS=whole $(BIN)/python -m pytest -v tests/chaos

live: $(READY)  ## reindex and model rollout under live traffic, 20,000 products, ten seeds; killed, in trouble, with bad models
	@LIVE=whole $(BIN)/python -m pytest -v -s tests/live

security: $(READY)  ## the whole query path over TLS with the three roles, on the engine's security plugin
	@$(BIN)/python -m pytest tests/security

tools: $(READY)  ## helm 3 and promtool for the chart's tests, into the user's cache
	@$(BIN)/python -m tests.chart.tools

chart: $(READY)  ## the chart's tests with Helm 3 and Helm 4
	@$(BIN)/python -m tests.chart.tools --all
	@CHART=whole $(BIN)/python -m pytest tests/chart

chart-docs: $(READY)  ## the chart's schema and README, from the comments in its values
	@$(BIN)/python charts/describe_values.py

image:  ## build the container image with buildah and start it three ways (root, buildah, mmdebstrap)
	@charts/image/check.sh

sbom: $(READY)  ## build/sbom.cdx.json: what the lock file installs (CycloneDX)
	@mkdir -p build
	@$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip --format cyclonedx-json --output build/sbom.cdx.json || test -s build/sbom.cdx.json

audit: $(READY)  ## known vulnerabilities and licences of all dependencies
	@$(BIN)/pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off
	@$(BIN)/pip-licenses --order license --format markdown

sizing: $(READY)  ## the sizing formula against indexes of three sizes
	@$(BIN)/python -m pytest -q -s tests/bench/test_sizing.py

stop: $(READY)  ## stop the engine and the embedder that demo left running
	@$(BIN)/prodsim-admin embedder down
	@$(BIN)/prodsim-admin engine down --all

clean:  ## remove .venv and caches (catalog data stays: see prodsim-admin engine down --help)
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: $(READY)  ## resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --all-extras --upgrade pyproject.toml --output-file requirements.lock
