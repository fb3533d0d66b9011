# Every target sets up what it needs; Python 3.10 or newer is all that has to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types bench docs lock clean

$(READY): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "Python 3.10 or newer is needed: make PYTHON=python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

demo: $(READY)  ## The main job on the example project: build, plan, sync, change, sync again
	@$(BIN)/python example_dbt_project/scripts/demo.py

test: $(READY)  ## Everything that is tested
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)  ## Throughput, latency, memory and start-up, as a table
	$(BIN)/python -m benchmarks

docs: $(READY)  ## Write the generated pages of docs/ anew
	$(BIN)/python -m docs.generate

lock:  ## Pin requirements/dev.in; needs uv
	uv pip compile --universal --python-version 3.10 --generate-hashes --no-header --no-strip-extras --quiet requirements/dev.in --output-file requirements/dev.txt

clean:
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis example_dbt_project/target example_dbt_project/*.duckdb
