# Each target sets up what it needs. RUNTIME=gpu chooses onnxruntime-gpu and the full CUDA build of torch.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
RUNTIME ?= cpu
VENV := .venv
BIN := $(VENV)/bin
UV := .setup/uv/bin/uv
LOCK := deploy/locks/dev-$(RUNTIME).txt
# Holds the digest of the lock that is installed, and is written last: a set-up that was cut off is done again.
READY := .setup/ready-$(RUNTIME)
# One worker a core, each with one thread: networks this small gain nothing from more, and lose much when they share.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

.PHONY: help setup demo test test-all checked lint tools bench bench-kafka experiments schemas lock browser axe kafka prometheus kustomize asyncapi sbom clean

help: ## Say what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(READY) ## Install everything into .venv, leaving .venv/bin/depois

# Compiled once, here: where Python may write no bytecode, each process would compile all of torch anew.
$(READY): $(LOCK) deploy/locks/uv.txt pyproject.toml
	@rm -f .setup/ready-*
	deploy/locks/bootstrap.sh "$(PYTHON)"
	echo "==> Environment in $(VENV)"
	$(UV) venv --quiet --allow-existing --python "$$(cat .setup/python)" $(VENV)
	echo "==> Packages from $(LOCK) (a few GB the first time: torch is the larger part)"
	$(UV) pip sync --compile-bytecode --require-hashes --python $(BIN)/python $(LOCK)
	echo "==> depois-guard itself"
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@
	echo "==> Ready: $(BIN)/depois --help"

demo: $(READY) ## Train on real digits, filter a poisoned crowd, write demo-output/report.html
	$(BIN)/depois demo

test: checked ## Lint and the test suite (what CI runs)
	$(PYTEST)

test-all: checked ## The same with the slow tests
	$(PYTEST) -m "not bench"

# What tests need is fetched while mypy has the other core.
checked: $(READY)
	@$(MAKE) --no-print-directory tools & fetching=$$!
	$(MAKE) --no-print-directory lint || { wait $$fetching; exit 1; }
	wait $$fetching

tools: browser axe kafka prometheus kustomize asyncapi ## Install what the tests need beside Python

lint: $(READY) ## Formatting, ruff, mypy --strict, Dockerfile
	@echo "==> ruff, mypy, hadolint"
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

bench: $(READY) ## Ratios and timings, written to results/
	$(BIN)/python -m tests.bench

bench-kafka: $(READY) kafka ## What the stream costs against others, on a real broker (20 minutes; leave the machine alone)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.kafka

experiments: $(READY) ## The evaluation: result files into results/, then docs/evaluation.md
	$(BIN)/depois experiment run all
	$(BIN)/depois experiment report

schemas: $(READY) ## Write schemas/ anew from the code's types
	$(BIN)/python -m guard.schemas

browser: ## Install Chromium, with which the reports are tested
	@command -v chromium >/dev/null && exit 0
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	  echo "==> Chromium from the distribution's packages"
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null \
	    || echo "Chromium could not be installed: the browser tests will be skipped"
	else
	  echo "No Chromium here, and no right to install it: the browser tests will be skipped"
	fi

axe: ## Fetch axe-core through npm, with which the review page is tested for people who cannot see it
	@test -s .setup/axe/axe.min.js && exit 0
	command -v npm >/dev/null || { echo "No npm here: the review page is not held against axe-core's rules"; exit 0; }
	echo "==> axe-core"
	rm -rf .setup/axe && mkdir -p .setup/axe && cd .setup/axe
	{ npm pack --silent axe-core@4.14.1 && tar xzf ./*.tgz --strip-components=1 package/axe.min.js; } >/dev/null 2>&1 \
	  || echo "It could not be fetched: the test will be skipped"
	rm -f ./*.tgz

kafka: $(READY) ## Install a real Kafka broker for tests and the demo (needs Java and Maven)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! { command -v java && command -v mvn; } >/dev/null; then
	  echo "==> Java and Maven from the distribution's packages"
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    openjdk-17-jre-headless maven openssl; } >/dev/null || true
	fi
	$(BIN)/python -m deploy.kafka.launcher install || echo "The tests that need a Kafka broker will be skipped"
	test -d .setup/faketime/usr && exit 0
	command -v apt-get >/dev/null || { echo "No apt-get here: the test of a clock that jumps will be skipped"; exit 0; }
	rm -rf .setup/faketime && mkdir -p .setup/faketime && cd .setup/faketime
	fetch() { apt-get download libfaketime; }
	{ fetch || { apt-get update -qq && fetch; }; } >/dev/null 2>&1 || { echo "libfaketime could not be downloaded: one test will be skipped"; exit 0; }
	dpkg-deb -x ./*.deb . && rm -f ./*.deb

prometheus: ## Unpack Prometheus and Alertmanager, with which alerts and dashboards are tested
	@test -x .setup/prometheus/usr/bin/promtool && exit 0
	command -v apt-get >/dev/null || { echo "No apt-get here: put promtool, prometheus and amtool on PATH, or those tests are skipped"; exit 0; }
	echo "==> Prometheus from the distribution's packages, unpacked and not installed: nothing starts by itself"
	rm -rf .setup/prometheus && mkdir -p .setup/prometheus && cd .setup/prometheus
	fetch() { apt-get download prometheus prometheus-alertmanager; }
	{ fetch || { apt-get update -qq && fetch; }; } >/dev/null 2>&1 || { echo "Prometheus could not be downloaded: its tests will be skipped"; exit 0; }
	for package in *.deb; do dpkg-deb -x "$$package" .; done
	rm -f *.deb

asyncapi: ## Fetch the schema of AsyncAPI through npm, with which schemas/asyncapi.yaml is tested
	@test -s .setup/asyncapi/3.0.0.json && exit 0
	command -v npm >/dev/null || { echo "No npm here: schemas/asyncapi.yaml is not held against AsyncAPI's own schema"; exit 0; }
	echo "==> Schema of AsyncAPI"
	rm -rf .setup/asyncapi && mkdir -p .setup/asyncapi && cd .setup/asyncapi
	{ npm pack --silent @asyncapi/specs@6.11.1 && tar xzf ./*.tgz --strip-components=2 package/schemas/3.0.0.json; } >/dev/null 2>&1 \
	  || echo "It could not be fetched: the test will be skipped"
	rm -f ./*.tgz

kustomize: ## Install kustomize through Go's modules, with which the Kubernetes manifests are tested
	@test -x .setup/go/kustomize && exit 0
	command -v go >/dev/null || { echo "No Go here: the tests of the Kubernetes manifests will be skipped"; exit 0; }
	echo "==> kustomize"
	GOBIN="$$PWD/.setup/go" go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1 >/dev/null 2>&1 \
	  || echo "kustomize could not be built: the tests of the Kubernetes manifests will be skipped"

sbom: $(READY) ## Write a bill of materials (CycloneDX) of each lock into build/sbom/
	@mkdir -p build/sbom
	for lock in guard trainer; do
	  $(UV) tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py requirements --output-reproducible \
	    --output-format JSON --output-file "build/sbom/$$lock-$(RUNTIME).json" "deploy/locks/$$lock-$(RUNTIME).txt"
	  echo "build/sbom/$$lock-$(RUNTIME).json"
	done

kafka-demo: $(READY) kafka ## A guard on a real broker, and a crowd that turns hostile, live in the terminal
	$(BIN)/python -W ignore -m deploy.kafka.demo

lock: $(READY) ## Resolve the lock files anew
	deploy/locks/lock.sh $(UV)

clean: ## Remove the environment and everything that was built
	rm -rf $(VENV) .setup .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist demo-output
