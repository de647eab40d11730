"""Runs a DAG file for some days by Airflow, in Airflow's own environment: `python airflow_runs.py DAY DAG_FILE …`.

After the log of each run comes a line `DAG RUN <state>`.
"""

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG
from airflow.utils.db import initdb


def dag_in(path: Path) -> DAG:
    """The only DAG of a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (dag,) = (value for value in vars(module).values() if isinstance(value, DAG))
    return dag


def main(day: str, *paths: str) -> None:
    """Make the database, and run the DAGs of the files one after another."""
    initdb()
    for path in paths:
        dag = dag_in(Path(path))
        for task in dag.tasks:
            task.retries = 0  # they would be waited for
        run = dag.test(logical_date=datetime.fromisoformat(day).replace(tzinfo=UTC))
        print("DAG RUN", run.state.value, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
