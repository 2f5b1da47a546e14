# `make` lists what there is. Everything is installed into $(VENV), nothing outside this folder is touched.
#
# PYTHON    the interpreter to build the environment with; the first of python3.11, 3.12, 3.13, python3 unless given
# PIP_ARGS  more arguments for pip, for example a CPU-only torch on Linux:
#               make setup PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
# VENV      where the environment lives

VENV ?= .venv
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
PIP_ARGS ?=
PYTEST_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The tests need no network; a test that reaches for one fails at once and says so.
OFFLINE := HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_DATASETS_OFFLINE=1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test test-slow lint format clean

help: ## list the targets
	@echo "Vantage. Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "On Linux without an NVIDIA GPU, save several gigabytes on the first run with"
	@echo '  PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"'

setup: $(VENV)/.installed ## make .venv and install Vantage into it

setup-dev: $(VENV)/.installed-dev ## the same, with what the tests need

demo: $(VENV)/.installed ## train the embedded model for a few minutes and report what changed
	$(BIN)/vantage quickstart
	@echo
	@echo "Done. The lines above say where the run lies: curves, every answer, and the evaluation before and after."
	@echo "Next: '$(BIN)/vantage --help', and recipes/ for the experiments that it can run."

test: $(VENV)/.installed-dev lint ## lint, check the types, run the fast tests
	$(OFFLINE) $(BIN)/python -m pytest $(PYTEST_ARGS)

test-slow: $(VENV)/.installed-dev ## run the tests that train
	@# pytest leaves with 5 where nothing carries the mark, which is no failure
	$(OFFLINE) $(BIN)/python -m pytest -m slow $(PYTEST_ARGS) || test $$? -eq 5

lint: $(VENV)/.installed-dev ## ruff and mypy, changing nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## let ruff lay out the code and mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove the environment and every cache; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are younger than what they depend on, so that nothing is installed twice.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --constraint constraints.txt $(PIP_ARGS) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --constraint constraints.txt $(PIP_ARGS) --editable ".[dev]"
	@touch $@ $(VENV)/.installed

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python found. Vantage needs 3.11 or later: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$("$(PYTHON)" --version); Vantage needs 3.11 or later: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
