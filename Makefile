# `make` lists the targets. Everything runs in .venv, which `make setup` makes; nothing has to be activated.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
SOURCES := app scripts tests benchmarks docker
PYTEST_ARGS ?=
# Tests mostly wait for processes that they start: one more at a time than there are cores.
TEST_WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
PARALLEL := -n $(TEST_WORKERS) --dist worksteal
SOAK_SECONDS ?= 60
CHAOS_ROUNDS ?= 50
MUTANTS_SECONDS ?= 3600
MUTANTS ?=
ORIGINAL_TESTS ?=

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

.PHONY: setup
setup: .venv/.synced ## Make .venv from uv.lock (brings its own uv where none is installed)

.venv/.synced: pyproject.toml uv.lock
	uv=$$($(PYTHON) scripts/development/get_uv.py .uv) && "$$uv" sync --frozen --quiet
	touch $@

.PHONY: run
run: setup ## Run the service at http://127.0.0.1:8000 (honours the environment's settings)
	exec $(BIN)/memory server --http

.PHONY: test
test: setup ## Run the whole test suite, several tests at a time (TEST_WORKERS), the timed ones alone behind them
	$(BIN)/python -m pytest $(PARALLEL) -m "not timed" $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m timed $(PYTEST_ARGS)

.PHONY: test-fast
test-fast: setup ## Run the tests that take less than ten seconds each
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not timed" $(PYTEST_ARGS)

.PHONY: test-large
test-large: setup ## Run the tests with large data: 200,000 memories migrated within 512 MB
	$(BIN)/python -m pytest tests/large -o timeout=1800 $(PYTEST_ARGS)

# Figures of containers, and the suites that leave them: load, chaos and quantization run the same lines again, for long.
COVERAGE_FOLDER := $(CURDIR)/.coverage-containers
COUNTED := $(foreach suite,world health clients migration cluster,tests/containers/test_$(suite).py) -k "not two_hundred"

.PHONY: coverage
coverage: setup ## Run the whole test suite, with Docker the image too; print what of app/ ran, fail below 90 % of the lines
	$(BIN)/coverage erase
	rm -rf $(COVERAGE_FOLDER) && install -d -m 0777 $(COVERAGE_FOLDER)
	$(BIN)/coverage run -m pytest -m "not timed" $(PYTEST_ARGS)
	if docker info >/dev/null 2>&1; then $(MAKE) coverage-containers; \
	  else echo "Lines that run in containers are not counted: Docker does not answer."; fi
	$(BIN)/coverage combine --quiet . $(COVERAGE_FOLDER)
	$(BIN)/coverage json --quiet -o .coverage.json
	$(BIN)/python scripts/development/coverage_figures.py .coverage.json 90

.PHONY: coverage-containers
coverage-containers: setup # The image's part of `make coverage`, where Docker runs: this machine's architecture.
	$(BAKE) image-coverage proxy-local
	TEST_COVERAGE_FOLDER=$(COVERAGE_FOLDER) TEST_IMAGE=mcp-memory:coverage TEST_PROXY_IMAGE=mcp-memory-proxy:local \
	  $(BIN)/python -m pytest --platform native $(COUNTED) $(PYTEST_ARGS)
	docker run --rm --network none --volume $(COVERAGE_FOLDER):/coverage --entrypoint /bin/sh mcp-memory:coverage \
	  -c 'chmod a+r /coverage/.coverage.*'

.uv/mutants/.synced: pyproject.toml uv.lock
	uv=$$($(PYTHON) scripts/development/get_uv.py .uv) && UV_PROJECT_ENVIRONMENT=.uv/mutants \
	  "$$uv" sync --frozen --quiet --no-default-groups --group mutants --no-install-project
	touch $@

.PHONY: mutants
mutants: .uv/mutants/.synced ## Change domain, migration and breaker in small ways; list what no unit test noticed (MUTANTS: patterns)
	nice -n 10 .uv/mutants/bin/python scripts/development/mutants.py .mutants .uv/mutants/bin/mutmut $(MUTANTS_SECONDS) $(MUTANTS)

# The original service's own tests, from its sdist, in an environment that holds it and not us.
.uv/original/.synced: tests/original/pyproject.toml tests/original/uv.lock
	uv=$$($(PYTHON) scripts/development/get_uv.py .uv) && UV_PROJECT_ENVIRONMENT=$(CURDIR)/.uv/original \
	  "$$uv" sync --project tests/original --frozen --quiet
	touch $@

.PHONY: test-original
test-original: setup .uv/original/.synced ## Run the original's tests against this service; fail where tests/original/expected.toml disagrees
	$(BIN)/python scripts/development/original_tests.py .uv/original-sdist .uv/original/bin/python $(ORIGINAL_TESTS)

.PHONY: lint
lint: setup ## Check style, types and the direction of imports
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: setup ## Format the sources
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

.PHONY: bench-context
bench-context: setup .uv/original/.synced ## Count what the tools cost an assistant in tokens, beside other memory servers
	uv=$$($(PYTHON) scripts/development/get_uv.py .uv) && UV="$$uv" "$$uv" run --frozen --quiet --with bpe-openai==0.1.4 python -m benchmarks.context

.PHONY: bench
bench: setup ## Measure and print the figures of docs/benchmarks.md
	$(BIN)/python -m benchmarks

.PHONY: soak
soak: setup ## Run the service under mixed load for SOAK_SECONDS (60) and fail on a leak
	$(BIN)/python -m benchmarks.soak --seconds $(SOAK_SECONDS)

.PHONY: clean
clean: ## Remove what make made
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov .coverage* .mutants

# Images. BUILD_CA_FILE: certificates that builds trust too, for machines behind a proxy that inspects HTTPS.
export BUILD_CA_FILE ?= $(or $(SSL_CERT_FILE),docker/no-ca.pem)
export REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
export VERSION ?= $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' app/mcp_memory/__init__.py)
# Newer buildx asks before it reads files elsewhere: certificates are.
export BUILDX_BAKE_ENTITLEMENTS_FS ?= 0
BAKE := docker buildx bake --file docker/docker-bake.hcl

.PHONY: image
image: ## Build the default image and the proxy for this machine's architecture
	$(BAKE) local

.PHONY: images
images: ## Build every image for AMD64 and ARM64 (needs the containerd image store and QEMU)
	$(BAKE) --load all

.PHONY: image-sizes
image-sizes: ## Print what the images cost to pull
	$(PYTHON) docker/image_sizes.py mcp-memory:dev mcp-memory:dev-torch

.PHONY: test-image
test-image: setup image ## Test this machine's image, and compose with it
	TEST_IMAGE=mcp-memory:local TEST_PROXY_IMAGE=mcp-memory-proxy:local \
	  $(BIN)/python -m pytest tests/images tests/compose $(PYTEST_ARGS)

.PHONY: test-image-torch
test-image-torch: setup ## Build this machine's torch image and test it
	$(BAKE) --load image-torch
	TEST_TORCH_IMAGE=mcp-memory:dev-torch $(BIN)/python -m pytest \
	  tests/images/test_image_torch.py tests/images/test_image_sizes.py $(PYTEST_ARGS)

.PHONY: test-image-proxy
test-image-proxy: setup image ## Test this machine's proxy: replicas behind it, TLS in front
	TEST_IMAGE=mcp-memory:local TEST_PROXY_IMAGE=mcp-memory-proxy:local $(BIN)/python -m pytest \
	  tests/compose/test_compose_cluster.py tests/compose/test_compose_tls.py $(PYTEST_ARGS)

.PHONY: test-image-emulated
test-image-emulated: setup ## Build the ARM64 image where that is emulated, and test it
	$(BAKE) --load --set image.platform=linux/arm64 image
	TEST_IMAGE=mcp-memory:dev $(BIN)/python -m pytest tests/images --deselect tests/images/test_publish.py $(PYTEST_ARGS)

.PHONY: test-images
test-images: setup images ## Test every image on every platform that runs here
	TEST_IMAGE=mcp-memory:dev TEST_TORCH_IMAGE=mcp-memory:dev-torch TEST_PROXY_IMAGE=mcp-memory-proxy:dev \
	  $(BIN)/python -m pytest tests/images tests/compose $(PYTEST_ARGS)

CONTAINERS := $(BIN)/python -m pytest --require-containers tests/containers

.PHONY: test-containers
test-containers: setup ## Test the service beside a real Qdrant in containers, on both architectures (needs Qdrant's image)
	$(BAKE) --load image-all proxy-all
	TEST_IMAGE=mcp-memory:dev TEST_PROXY_IMAGE=mcp-memory-proxy:dev $(CONTAINERS) $(PYTEST_ARGS)

.PHONY: test-containers-native
test-containers-native: setup image ## The same for this machine's architecture alone
	TEST_IMAGE=mcp-memory:local TEST_PROXY_IMAGE=mcp-memory-proxy:local $(CONTAINERS) --platform native $(PYTEST_ARGS)

.PHONY: chaos
chaos: setup image ## Kill the service 200 times, and with Qdrant CHAOS_ROUNDS (50) times, and check what is left (CHAOS_SEED replays)
	MCP_TEST_KILLS=200 $(BIN)/python -m pytest tests/reliability/test_service_kills.py -s $(PYTEST_ARGS)
	CHAOS_ROUNDS=$(CHAOS_ROUNDS) TEST_IMAGE=mcp-memory:local $(CONTAINERS)/test_chaos.py --platform native -s $(PYTEST_ARGS)

# Tools that read files of this repository, in an environment of their own.
.uv/checks/.synced: pyproject.toml uv.lock
	uv=$$($(PYTHON) scripts/development/get_uv.py .uv) && \
	  UV_PROJECT_ENVIRONMENT=.uv/checks "$$uv" sync --frozen --quiet --only-group checks
	touch $@

ACTIONLINT := .uv/bin/actionlint-1.7.12
$(ACTIONLINT):
	GOBIN=$(CURDIR)/.uv/bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	mv .uv/bin/actionlint $@

.PHONY: lint-images
lint-images: .uv/checks/.synced ## Check the Dockerfile, every compose file and the alert rules (needs Docker)
	.uv/checks/bin/hadolint --config docker/hadolint.yaml docker/Dockerfile
	for files in compose.yaml compose/server.yaml compose/embedded.yaml compose/cluster.yaml \
	  "compose.yaml -f compose/monitoring.yaml" "compose.yaml -f compose/tls.yaml"; do \
	  GRAFANA_PASSWORD=- TLS_CERTIFICATE=- docker compose --project-directory . -f $$files config --quiet; done
	$(BAKE) --progress quiet alerts

.PHONY: lint-workflows
lint-workflows: .uv/checks/.synced $(ACTIONLINT) ## Check the workflows of .github (actionlint needs Go, zizmor runs offline)
	$(ACTIONLINT) -color
	.uv/checks/bin/zizmor --offline --no-progress --pedantic --quiet .github

.PHONY: reproducible
reproducible: ## Build this machine's image twice without cache and compare the layers
	$(PYTHON) docker/reproducible.py $(REPRODUCIBLE_ARGS)

# The Helm chart. Its tools are built by Go at pinned versions.
CHART := helm/mcp-memory
CHART_TOOLS := helm helm3 helm-docs helm-unittest kubeconform schemas

.PHONY: chart-tools
chart-tools: ## Build helm, helm-docs, helm-unittest and kubeconform into .chart-tools (needs Go)
	$(PYTHON) scripts/development/get_chart_tools.py .chart-tools $(CHART_TOOLS)

.PHONY: chart-docs
chart-docs: setup chart-tools ## Write the chart's README.md and values.schema.json from values.yaml
	$(BIN)/python scripts/development/make_values_schema.py $(CHART)
	.chart-tools/bin/helm-docs --chart-search-root $(CHART) --sort-values-order file --log-level warning

.PHONY: test-chart
test-chart: setup chart-tools ## Test the chart: templates, schema, generated files, both Helm versions (needs no cluster)
	.chart-tools/bin/helm-unittest --strict $(CHART)
	$(BIN)/python -m pytest tests/chart/static $(PYTEST_ARGS)

.PHONY: test-chart-cluster
test-chart-cluster: setup chart-tools ## Test the chart on the cluster of KUBECONFIG with CHART_IMAGE (docs/kubernetes.md)
	$(PYTHON) scripts/development/get_chart_tools.py .chart-tools versitygw
	$(BIN)/python -m pytest tests/chart/cluster $(PYTEST_ARGS)

.PHONY: ci
ci: lint lint-workflows lint-images test test-chart test-images test-containers ## Everything, on both architectures
