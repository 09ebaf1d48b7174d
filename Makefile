# SPDX-License-Identifier: Apache-2.0
# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Reproducible set-up: constraints.txt has the versions that were tested together. uv installs in a tenth of the time: the
# one that UV names, else one of its own. Where it cannot, pip does, and says why if it cannot either.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off
UV_INSTALL = $(or $(UV),$(BIN)/uv) pip install --quiet --python $(BIN)/python
comma := ,
install = { $(UV_INSTALL) $(1) 2> /dev/null || $(PIP) $(1); }
# Tests that take long repeat less here than in .ci/run; OTEL_LOGGEDMODEL_TESTS=full make test repeats as much.
WORKERS := --numprocesses auto --dist worksteal
# Jaeger is compiled from its module, which takes some minutes; .ci/run leaves it out.
BACKENDS := jaeger zipkin phoenix mlflow
# Many processes are started here, and each would compile everything anew where this variable forbids to keep that.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-integrations test-senders test-mlflow test-vendors test-backends test-distros test-shipping test-oldest test-pythons lint format docs docs-site dashboards proto otelcol record bench clean
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '  make %-17s %s\n' "$$name" "$$text"; done

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed here, and '$(PYTHON)' is not: install it, or name another with make PYTHON=python3.12"; exit 1; }
	@echo "setting up a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "python3 cannot make virtual environments here; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(if $(UV),true,$(PIP) uv --constraint constraints-tools.txt 2> /dev/null || true)
	@touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing FastAPI, OpenTelemetry and the backend, whose ClickHouse (chDB) is most of 1 GB: about a minute the first time ..."
	@$(call install,--editable '.[demo$(comma)server]' --constraint constraints.txt) || { \
	  echo "the installation failed: pip needs to reach a package index; see its message above"; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing what the tests need (about a minute the first time) ..."
	@$(call install,--editable '.[server$(comma)mcp$(comma)dev$(comma)lint$(comma)declarative]' --constraint constraints.txt) || { \
	  echo "the installation failed: pip needs to reach a package index; see its message above"; exit 1; }
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## Run a small application in two versions, and ask the backend which is better
	@$(BIN)/python examples/demo/run.py $(DEMO_ARGS)

test: $(VENV)/.dev ## Run the tests
	@OTEL_LOGGEDMODEL_REQUIRE_SERVER=1 $(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)

test-oldest: $(VENV)/.python ## Run the tests of the library with the oldest supported OpenTelemetry and Python
	@$(PYTHON) scripts/environments.py oldest
	@OTEL_LOGGEDMODEL_TESTS=library $(VENV)/oldest/bin/python -m pytest $(WORKERS) $(PYTEST_ARGS)

test-integrations: $(VENV)/.dev ## Run the tests with real servers, task queues and instrumentations
	@$(PYTHON) scripts/environments.py integrations
	@OTEL_LOGGEDMODEL_REQUIRE_INTEGRATIONS=1 $(VENV)/integrations/bin/python -m pytest $(WORKERS) \
	  $(or $(PYTEST_ARGS),tests/integrations)

test-senders: $(VENV)/.dev ## Run the tests with SDKs of other languages; needs Node, Chromium, Go, Java and Rust
	@OTEL_LOGGEDMODEL_REQUIRE_SENDERS=1 $(BIN)/python -m pytest $(or $(PYTEST_ARGS),tests/senders)

test-mlflow: $(VENV)/.python ## Run the tests with a real MLflow server
	@$(PYTHON) scripts/environments.py mlflow
	@OTEL_LOGGEDMODEL_REQUIRE_MLFLOW=1 $(VENV)/mlflow/bin/python -m pytest $(WORKERS) \
	  $(or $(PYTEST_ARGS),tests/with_mlflow tests/genai/test_adapters.py)

test-backends: $(VENV)/.dev ## Run the tests with Jaeger, Zipkin, Phoenix and MLflow; needs Go, Java and PostgreSQL
	@$(if $(filter jaeger,$(BACKENDS)),$(PYTHON) scripts/build_jaeger.py > /dev/null)
	@$(PYTHON) scripts/environments.py backends $(filter mlflow,$(BACKENDS))
	@OTEL_LOGGEDMODEL_REQUIRE_BACKENDS=1 $(BIN)/python -m pytest $(PYTEST_ARGS) \
	  $(patsubst %,tests/backends/test_%.py,$(filter-out mlflow,$(BACKENDS)))
	@$(if $(filter mlflow,$(BACKENDS)),OTEL_LOGGEDMODEL_TESTS=full OTEL_LOGGEDMODEL_REQUIRE_BACKENDS=1 \
	  OTEL_LOGGEDMODEL_REQUIRE_MLFLOW=1 $(VENV)/mlflow/bin/python -m pytest tests/with_mlflow/test_postgresql.py)

test-vendors: $(VENV)/.dev ## Run the tests with vendors' set-ups of OpenTelemetry
	@$(PYTHON) scripts/environments.py vendors vendor-azure older-events
	@OTEL_LOGGEDMODEL_REQUIRE_VENDORS=1 $(BIN)/python -m pytest $(WORKERS) $(or $(PYTEST_ARGS),tests/vendors)

test-distros: ## Run the tests with vendors' distributions of OpenTelemetry
	@$(PYTHON) scripts/test_distros.py $(PYTEST_ARGS)

test-shipping: $(VENV)/.dev ## Build the packages and try them; check what is for GitHub, GitLab, Grafana and Docker
	@$(PYTHON) scripts/environments.py tools
	@OTEL_LOGGEDMODEL_REQUIRE_SHIPPING=1 $(BIN)/python -m pytest $(or $(PYTEST_ARGS),tests/shipping)

test-pythons: ## Run the tests of what can differ with every supported Python that is installed
	@$(PYTHON) scripts/test_pythons.py $(PYTEST_ARGS)

lint: $(VENV)/.dev ## Check style, types, the direction of imports and generated code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --cache-dir $(VENV)/.import_linter_cache
	@$(PYTHON) scripts/generate_protos.py --check
	@$(PYTHON) scripts/document_environment.py --check
	@$(BIN)/python scripts/document_commands.py --check

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

docs: $(VENV)/.dev ## Bring docs/ up to date: environment variables, commands
	@$(PYTHON) scripts/document_environment.py
	@$(BIN)/python scripts/document_commands.py

docs-site: $(VENV)/.python ## Build the site of the documentation in dist/site; a warning fails it
	@$(PYTHON) scripts/environments.py tools
	@PYTHONWARNINGS=error::SyntaxWarning $(VENV)/tools/bin/sphinx-build --quiet --fail-on-warning --keep-going --jobs auto --builder html \
	  --doctree-dir $(VENV)/.doctrees docs dist/site
	@echo "dist/site/index.html"

dashboards: $(VENV)/.python ## Write the dashboards for Grafana anew
	@$(PYTHON) scripts/environments.py tools
	@$(VENV)/tools/bin/python scripts/make_dashboards.py

proto: ## Regenerate the code of proto/
	@$(PYTHON) scripts/generate_protos.py

otelcol: ## Build the Collector of collector/builder.yaml; needs Go
	@$(PYTHON) scripts/build_collector.py

record: $(VENV)/.dev ## Record what a framework emits; make record FRAMEWORK=strands
	@$(BIN)/python scripts/record.py $(FRAMEWORK)

bench: $(VENV)/.dev ## Measure what the library costs, side by side with others
	@$(BIN)/python -m benchmarks

clean: ## Remove the virtual environments
	@rm -rf $(VENV)
