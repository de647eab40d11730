# Two commands on a fresh machine with Python 3.11, 3.12 or 3.13: `make demo` and `make test`.
# The first of these that runs; one that a version manager only pretends to have does not.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do $$each -c '' 2>&- && echo $$each && break; done)
BIN := .venv/bin

# Two processes that take the tests a file at a time, in the order of tests/conftest.py.
PROCESSES := -n 2 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0

.PHONY: demo test check format flink test-flink bench lock clean

demo: .venv/installed
	$(BIN)/bulklabel demo --train

test: .venv/tested
	$(BIN)/pytest $(PROCESSES)

check: .venv/tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# A Flink cluster on this machine with all that a job needs, until Ctrl-C; see docs/runners/flink.md.
flink: .venv/tested
	$(BIN)/python -m tests.engines.flink_session

test-flink: .venv/tested
	$(BIN)/pytest tests/engines/test_flink.py

# bulklabel beside its peers, on the same images and network; see docs/performance.md. `make bench ROUNDS=5`.
ROUNDS := 3
BENCH := .tools/bench/bin/python
bench: .venv/installed .tools/bench/installed
	$(BIN)/python -m benchmarks.compare_peers --rounds $(ROUNDS)

format: .venv/tested
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A lock file has all that is needed, so nothing but what it names is looked at: with dependencies to resolve, a release
# that came after the lock can make an installer refuse it. Whether nothing is missing is checked afterwards. One package
# comes as source alone: the locked setuptools builds it, and not the newest.
FROM_LOCK := --quiet --no-deps --no-build-isolation --require-hashes
UV := $(BIN)/uv pip
INSTALL := $(UV) install --python $(BIN)/python --compile-bytecode $(FROM_LOCK)
CHECK := $(UV) check --quiet --python $(BIN)/python

# What installs all else, in a quarter of pip's time, and what builds the package.
.venv/bootstrapped: requirements-build.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --no-user --disable-pip-version-check $(FROM_LOCK) -r requirements-build.lock
	touch $@

.venv/installed: .venv/bootstrapped requirements.lock pyproject.toml setup.py model/images/resample.c model/images/png/unfilter.c
	$(INSTALL) -r requirements.lock
	rm -f model/report/vega.js
	$(UV) install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(CHECK)
	touch $@

.venv/tested: .venv/installed requirements-cloud.lock requirements-test.lock
	$(INSTALL) -r requirements-cloud.lock -r requirements-test.lock
	$(CHECK)
	touch $@

# The peers, in an environment of their own; the locked setuptools builds the one that comes as source.
.tools/bench/installed: .venv/bootstrapped benchmarks/peers.lock
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .tools/bench
	$(UV) install --python $(BENCH) $(FROM_LOCK) -r requirements-build.lock
	$(UV) install --python $(BENCH) --compile-bytecode $(FROM_LOCK) -r benchmarks/peers.lock
	$(UV) check --quiet --python $(BENCH)
	touch $@

COMPILE := $(UV) compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url $(UPGRADE)
# Reads the names in lock files that another one is installed besides.
besides = $$(sed -n 's/==.*//p' $(1) | sed 's/^/--no-emit-package /')
ALL := .tools/all.lock
# What bulklabel's peers have in the same version.
SAME := apache-beam|keras|numpy|pillow|pyarrow|scikit-learn|tensorflow

# Exact versions and hashes of everything, from what pyproject.toml asks for, and of the Airflow that tests run and of the
# peers of `make bench`. Versions stay what they are where they can; `make lock UPGRADE=--upgrade` takes the newest. All are
# found together, so that the files agree, and each file is a part of that.
lock: .venv/bootstrapped
	mkdir -p .tools
	cat requirements*.lock > $(ALL)
	$(COMPILE) --extra dev --group build -o $(ALL) pyproject.toml
	$(COMPILE) -c $(ALL) -o requirements.lock pyproject.toml
	$(COMPILE) -c $(ALL) --extra aws --extra gcp --extra onnx $(call besides,requirements.lock) \
		-o requirements-cloud.lock pyproject.toml
	$(COMPILE) -c $(ALL) --extra dev $(call besides,requirements.lock requirements-cloud.lock) \
		-o requirements-test.lock pyproject.toml
	$(COMPILE) -c $(ALL) --group build -o requirements-build.lock
	$(COMPILE) -o tests/engines/airflow.lock tests/engines/airflow.in
	sed -nE 's/^(($(SAME))==[^ ]+) .*/\1/p' $(ALL) > .tools/same.in
	$(COMPILE) -c .tools/same.in -o benchmarks/peers.lock benchmarks/peers.in

clean:
	rm -rf .venv .tools build dist *.egg-info demo model/images/resample*.so model/images/png/unfilter*.so model/report/vega.js
