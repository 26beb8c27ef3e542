# Two commands for a newcomer: `make demo` and `make test`. `make` alone lists the rest.
# Everything is installed into folders of this checkout (.venv, .venv-*); Debian packages only when root.

PYTHON ?= python3
TESTS ?=
WORKERS ?= 2
# More than there are cores: half of their time, slow tests wait for what they started. `worksteal`: whoever is done takes
# over what others still have; without it the slowest folders, which come first, all lie with one worker.
SLOW_WORKERS ?= 3

VENV := .venv
BIN := $(VENV)/bin
# Programs from wheels (rclone) are found first; nothing else changes for the programs that are started.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# A package index that is slow, or fails for a moment, is waited for and asked again.
export PIP_DEFAULT_TIMEOUT := 120
export UV_HTTP_TIMEOUT := 120
PERSIST := packaging/persist.sh

# Every environment but the first is made by uv, which the first one holds.
NEW_VENV := $(PERSIST) $(BIN)/uv venv -q --seed --allow-existing --python
METADATA := setup.cfg pyproject.toml
PYTEST_OPTIONS := -q -n $(WORKERS) -p no:cacheprovider
OTHER_PYTHONS = $(PYTHON) packaging/list_pythons.py --except $$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.DEFAULT_GOAL := help
# Three suites at once, each with its workers, would only be in each other's way, also where MAKEFLAGS says -j.
.NOTPARALLEL:
.PHONY: help dev lint test test-here test-lowest test-pythons image-pythons demo packs build docs bench clean

help:
	@echo "make demo    show one incident from trigger to sealed evidence, on throw-away data (DIR=folder keeps it there)"
	@echo "make test    install what the tests need and run all of them; TESTS=pattern runs only those that match"
	@echo "make dev     the development environment in .venv"
	@echo "make lint    ruff (check and format) and pyright, strict"
	@echo "make packs   what SOAR users install, in dist/"
	@echo "make build   the wheel and the source distribution, in dist/"
	@echo "make docs    write again what is generated: the reference pages, the JSON Schemas, the cassettes"
	@echo "make bench   the benchmarks, with their results as data"
	@echo "make clean   remove the environments and what builds left behind"

dev: $(VENV)/.dev

$(BIN)/python:
	@packaging/create-venv.sh $(PYTHON) $(VENV)

$(VENV)/.dev: $(METADATA) | $(BIN)/python
	$(PERSIST) $(BIN)/python -m pip install -q 'uv >= 0.5'
	$(PERSIST) $(BIN)/uv pip install -q --python $(BIN)/python -e '.[test,dev]'
	@touch $@

$(VENV)/.debian: packaging/debian-test-packages.txt | $(BIN)/python
	@packaging/install-debian-packages.sh $<
	@touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# ---- tests: here, with the oldest allowed versions, and on the other Pythons of this machine ----

ifeq ($(TESTS),)
test: test-here test-lowest test-pythons
else
test: $(VENV)/.dev $(VENV)/.debian
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -k '$(TESTS)'
endif

test-here: $(VENV)/.dev $(VENV)/.debian .venv-sdk/.dev .venv-shuffle/.dev image-pythons
	@echo "== unit tests, $$($(BIN)/python -V)"
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'not slow and not served'
	@echo "== tests against servers, $$($(BIN)/python -V)"
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'served and not slow'
	@echo "== slow tests, $$($(BIN)/python -V)"
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -n $(SLOW_WORKERS) --dist worksteal -m slow

.venv-lowest/.dev: $(METADATA) $(VENV)/.dev
	@found=$$($(PYTHON) packaging/list_pythons.py | sed -n 's/^3\.10 //p'); \
		$(NEW_VENV) "$${found:-$(PYTHON)}" .venv-lowest
	$(PERSIST) $(BIN)/uv pip install -q --python .venv-lowest/bin/python --resolution lowest-direct -e '.[test]'
	@touch $@

test-lowest: .venv-lowest/.dev $(VENV)/.debian
	@echo "== unit tests and tests against servers, the oldest allowed versions, $$(.venv-lowest/bin/python -V)"
	PATH="$(CURDIR)/.venv-lowest/bin:$$PATH" .venv-lowest/bin/python -m pytest $(PYTEST_OPTIONS) -m 'not slow'

.venv-3.%/.dev: $(METADATA) $(VENV)/.dev
	@$(NEW_VENV) "$$($(PYTHON) packaging/list_pythons.py | sed -n 's/^3\.$* //p')" .venv-3.$*
	$(PERSIST) $(BIN)/uv pip install -q --python .venv-3.$*/bin/python -e '.[test]'
	@touch $@

test-pythons: $(VENV)/.dev $(VENV)/.debian
	@set -e; for version in $$($(OTHER_PYTHONS) | cut -d ' ' -f 1); do \
		$(MAKE) --no-print-directory .venv-$$version/.dev; \
		echo "== unit tests, $$(.venv-$$version/bin/python -V)"; \
		PATH="$(CURDIR)/.venv-$$version/bin:$$PATH" \
			.venv-$$version/bin/python -m pytest $(PYTEST_OPTIONS) -m 'not slow and not served'; \
	done

# ---- what the XSOAR pack is held against: the SDK, and Pythons with nothing but what the image holds ----

.venv-sdk/.dev: packaging/xsoar/sdk-packages.txt $(VENV)/.dev
	@$(NEW_VENV) $(PYTHON) .venv-sdk
	$(PERSIST) $(BIN)/uv pip install -q --python .venv-sdk/bin/python -r $<
	@touch $@

.venv-image-3.%/.dev: packaging/xsoar/image-packages.txt $(VENV)/.dev
	@$(NEW_VENV) "$$($(PYTHON) packaging/list_pythons.py | sed -n 's/^3\.$* //p')" .venv-image-3.$*
	$(PERSIST) $(BIN)/uv pip install -q --python .venv-image-3.$*/bin/python -r $<
	@touch $@

image-pythons: $(VENV)/.dev
	@set -e; for version in $$($(PYTHON) packaging/list_pythons.py --except 3.13 | cut -d ' ' -f 1); do \
		$(MAKE) --no-print-directory .venv-image-$$version/.dev; \
	done

# ---- what the Shuffle app is held against: its SDK, on the Python of its image where there is one ----

.venv-shuffle/.dev: $(METADATA) $(VENV)/.dev
	@found=$$($(PYTHON) packaging/list_pythons.py | sed -n 's/^3\.10 //p'); \
		$(NEW_VENV) "$${found:-$(PYTHON)}" .venv-shuffle
	$(PERSIST) $(BIN)/uv pip install -q --python .venv-shuffle/bin/python shuffle-sdk==0.0.41 -e .
	@touch $@

# ---- the rest ----

$(VENV)/.demo: $(METADATA) packaging/debian-demo-packages.txt | $(BIN)/python
	@packaging/install-debian-packages.sh packaging/debian-demo-packages.txt
	@echo "installing Snaphold into $(VENV)"
	@test -e $(VENV)/.dev || $(PERSIST) $(BIN)/python -m pip install -q -e '.[run,evidence,transfer]'
	@touch $@

demo: $(VENV)/.demo
	@$(BIN)/snaphold demo $(if $(DIR),--dir '$(DIR)')

packs: $(VENV)/.dev
	$(BIN)/python packaging/xsoar_pack.py $(if $(XSOAR_IMAGE),--docker-image '$(XSOAR_IMAGE)')
	$(BIN)/python packaging/shuffle_apps.py

build: $(VENV)/.dev
	$(BIN)/python -m build --outdir dist .

docs: $(VENV)/.dev
	$(BIN)/snaphold config schema configuration > schemas/.new && mv schemas/.new schemas/snaphold.schema.json
	$(BIN)/snaphold config schema incident > schemas/.new && mv schemas/.new schemas/incident.schema.json
	$(BIN)/snaphold playbook schema > schemas/.new && mv schemas/.new schemas/playbook.schema.json
	$(BIN)/python -m pytest -q -n 0 -p no:cacheprovider --regenerate -k up_to_date tests/targets tests/docs tests/test_cassettes.py

bench: $(VENV)/.dev $(VENV)/.debian
	@set -e; for benchmark in bench/*.py; do echo "== $$benchmark"; $(BIN)/python "$$benchmark"; done

clean:
	rm -rf .venv .venv-lowest .venv-3.* .venv-sdk .venv-image-* .venv-shuffle build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
	rm -rf integrations/*.egg-info
