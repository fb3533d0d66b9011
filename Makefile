# Every target sets up what it needs; Python 3.10 or newer is all that has to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(BIN)/uv
# $(call install,ENVIRONMENT,ARGUMENTS): uv takes seconds where pip takes minutes, but knows nothing of pip's settings: with a
# package index that only those name, it is pip that installs.
install = $(UV) pip install --quiet --python $(1)/bin/python $(2) || $(BIN)/python -m pip --python $(1)/bin/python --disable-pip-version-check install --quiet $(2)
ITSELF := --no-deps --no-build-isolation --editable .
# Other warehouses for the tests, and adapters whose SQL is rendered; BigQuery's emulator needs Python 3.11.
WAREHOUSES := postgres adapters $(shell $(PYTHON) -c 'import sys; print("bigquery" * (sys.version_info >= (3, 11)))')
# Spark takes minutes: it is tested by `make chaos`, and by `make test` once its environment is there.
ALL_WAREHOUSES := $(WAREHOUSES) $(if $(shell command -v java),spark)
OTHER_DBTS := 1.8 1.9 1.10 1.12
DUCKDB_FOR_V2 := @duckdb/node-bindings-linux-x64@1.5.6-r.1
# What goes end to end through dbt; `make test` runs it on the dbt that is developed on.
END_TO_END := tests/project tests/warehouse tests/cli tests/e2e tests/engine/test_end_to_end.py tests/test_example_project.py
# Modules are compiled once: every process that opens dbt would otherwise do so for three seconds.
unexport PYTHONDONTWRITEBYTECODE
# More than there are cores: many tests wait for processes that they have started.
PYTEST := -m pytest -n 3 --dist loadgroup
PURELIB := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

.PHONY: demo test test-matrix test-schedulers chaos lint types bench docs golden lock clean

$(READY): requirements/dev.txt requirements/uv.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "Python 3.10 or newer is needed: make PYTHON=python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(call install,$(VENV),--require-hashes -r requirements/dev.txt)
	$(call install,$(VENV),$(ITSELF))
	touch $@

# On top of the environment for development: only what that one lacks, or has in another version, is installed.
.venv-%/.ready: requirements/%.txt $(READY)
	$(BIN)/python -m venv --without-pip .venv-$*
	echo "import site; site.addsitedir('$$($(BIN)/python $(PURELIB))')" > $$(.venv-$*/bin/python $(PURELIB))/development.pth
	$(call install,.venv-$*,--no-deps --require-hashes -r requirements/$*.txt)
	touch $@

demo: $(READY)  ## The main job on the example project: build, plan, sync, change, sync again
	@$(BIN)/python example_dbt_project/scripts/demo.py

test: $(READY) $(WAREHOUSES:%=.venv-%/.ready)  ## Everything that is tested
	$(BIN)/python $(PYTEST)

test-matrix: $(OTHER_DBTS:%=test-dbt-%) test-dbt-2 test-schedulers  ## The end-to-end suite on the other releases of dbt, and the schedulers

# In environments of their own, each from its own lock file.
define alone
	$(BIN)/python -m venv --without-pip $(@D)
	$(call install,$(@D),--require-hashes -r $<)
	$(call install,$(@D),$(ITSELF))
	touch $@
endef

.venv-schedulers/.ready: requirements/schedulers.txt $(READY)
	$(alone)

.venv-dbt-%/.ready: requirements/dbt-%.txt $(READY)
	$(alone)

# dbt v2 is one program; it takes DuckDB's library from where it finds it.
.venv-dbt-2/.ready: requirements/dbt-2.txt $(READY)
	$(BIN)/python -m venv --without-pip $(@D)
	$(call install,$(@D),--require-hashes -r $<)
	cd $(@D) && npm pack --silent $(DUCKDB_FOR_V2) && tar --extract --file duckdb-*.tgz --strip-components 1 package/libduckdb.so
	touch $@

test-dbt-%: .venv-dbt-%/.ready
	.venv-dbt-$*/bin/python $(PYTEST) -p no:cacheprovider $(END_TO_END)

test-dbt-2: .venv-dbt-2/.ready $(READY)
	$(BIN)/python -m pytest tests/on_dbt_v2.py

test-schedulers: .venv-schedulers/.ready  ## The examples for schedulers, run
	.venv-schedulers/bin/python -m pytest -p no:cacheprovider tests/on_schedulers.py

chaos: $(READY) $(ALL_WAREHOUSES:%=.venv-%/.ready)  ## The suites that try to break the promises, many times over: REVETL_CHAOS=50 for fifty times
	REVETL_CHAOS=$${REVETL_CHAOS:-20} $(BIN)/python $(PYTEST) -rA --durations=10 tests/chaos tests/engine tests/adapters

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY) $(if $(filter postgres,$(ADAPTER)),.venv-postgres/.ready)  ## What things cost, as a table; ADAPTER=duckdb or postgres: plans at scale; NAMES="scale --rows 10000000"
	$(if $(filter postgres,$(ADAPTER)),.venv-postgres,$(VENV))/bin/python -m benchmarks $(if $(ADAPTER),plans --adapter $(ADAPTER) --rows 1000000 10000000,$(NAMES))

docs: $(READY)  ## Write the generated pages of docs/ anew
	$(BIN)/python -m docs.generate

golden: .venv-adapters/.ready  ## Write the SQL of the adapters that are rendered but not run anew
	.venv-adapters/bin/python tests/adapters/render.py tests/adapters/golden

lock: $(READY)  ## Pin requirements/*.in
	for name in uv:3.10 dev:3.10 postgres:3.10 adapters:3.10 bigquery:3.11 spark:3.10 $(OTHER_DBTS:%=dbt-%:3.10) dbt-2:3.10 schedulers:3.10; do \
		$(UV) pip compile --universal --python-version $${name#*:} --generate-hashes --no-header --no-strip-extras --quiet requirements/$${name%:*}.in --output-file requirements/$${name%:*}.txt; \
	done

clean:
	rm -rf .venv* dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis example_dbt_project/target example_dbt_project/*.duckdb
