# Two commands on a fresh machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin

# Two processes that take the tests a file at a time, in the order of tests/conftest.py.
PROCESSES := -n 2 --dist=loadfile --no-loadscope-reorder

.PHONY: demo test check format flink test-flink lock clean

demo: .venv/installed
	$(BIN)/bulklabel demo

test: .venv/installed
	$(BIN)/pytest $(PROCESSES)

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# A Flink cluster on this machine with all that a job needs, until Ctrl-C; see docs/runners/flink.md.
flink: .venv/installed
	$(BIN)/python -m tests.engines.flink_session

test-flink: .venv/installed
	$(BIN)/pytest tests/engines/test_flink.py

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/installed: requirements.lock pyproject.toml setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

COMPILE := .venv/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links

# Exact versions and hashes of everything, from what pyproject.toml asks for, and of the Airflow that tests run.
lock: .venv/installed
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/pip install --quiet pip-tools
	$(COMPILE) --extra dev -o requirements.lock pyproject.toml
	$(COMPILE) -o tests/engines/airflow.lock tests/engines/airflow.in

clean:
	rm -rf .venv .tools build dist *.egg-info demo
