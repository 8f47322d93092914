# Everything a newcomer types. PYTHON=python3.12 make demo picks another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint docs bench clean

$(VENV)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[rt]'
	touch $@

$(VENV)/.dev: pyproject.toml requirements-lock.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c requirements-lock.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.demo  ## build the twin of central Helsinki, run it, write the report
	$(BIN)/mndt demo

test: $(VENV)/.dev  ## all default tests
	$(BIN)/python -m pytest

lint: $(VENV)/.dev  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev  ## the documentation site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev
	$(BIN)/pip install --quiet -e '.[peers]'
	$(BIN)/mndt bench step --users 13000 --cells 184 --threads 1 --json

clean:
	rm -rf $(VENV) site dist build
