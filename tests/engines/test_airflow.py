"""Airflow's own operator runs the pipeline: real Airflow with a database, in an environment of its own."""

import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import ROOT, answers
from tests.engines.airflow_environment import installed

DAG_FILE = ROOT / "deploy" / "airflow" / "score_dag.py"


@pytest.fixture(scope="module")
def airflow_python() -> Path:
    """The interpreter of an environment with Airflow."""
    return installed()


def replaced(text: str, changes: dict[str, str]) -> str:
    """The text with changes that must each change something."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def dag_files(folder: Path, corpus: Path, model_directory: Path) -> list[Path]:
    """The DAG with places of here, three times: with two files, with a flag that is true, with no model."""
    places = {
        "/opt/bulklabel/.venv/bin/python": sys.executable,
        "/opt/bulklabel": str(ROOT),
        '"/srv/bulklabel/images/ds={{ ds }}"': ", ".join(f'"{path}"' for path in sorted(corpus.iterdir())),
        "/srv/bulklabel/model": str(model_directory),
        "/srv/bulklabel": str(folder),
    }
    text = replaced(DAG_FILE.read_text(), places)
    dags: dict[str, dict[str, str]] = {
        "first": {},
        "second": {'"overwrite": False': '"overwrite": True'},
        "third": {str(model_directory): f"{folder}/nowhere", "/ds=": "/bad="},
    }
    (folder / "dags").mkdir()
    for name, changes in dags.items():
        (folder / "dags" / f"{name}.py").write_text(replaced(text, {"bulklabel_score": name, **changes}))
    return [folder / "dags" / f"{name}.py" for name in dags]


def run_airflow(python: Path, folder: Path, *arguments: str) -> str:
    """Airflow's Python with a home and a database below the folder; what was printed."""
    done = subprocess.run(
        [str(python), *arguments],
        cwd=folder,
        env=os.environ
        | {
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": str(ROOT),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def logs(
    airflow_python: Path, corpus: Path, model_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A folder of scores, and what Airflow logged of a run, of one more of the same day, and of one without a model."""
    folder = tmp_path_factory.mktemp("airflow")
    paths = dag_files(folder, corpus, model_directory)
    driver = ROOT / "tests" / "engines" / "airflow_runs.py"
    output = run_airflow(airflow_python, folder, str(driver), "2026-11-22", *map(str, paths))
    runs = re.split(r"^DAG RUN (\w+)\n", output, flags=re.MULTILINE)
    assert runs[1::2] == ["success", "success", "failed"], output
    return folder / "scores", runs[:-1:2]


def test_a_dag_run_gives_the_answers_of_any_other(logs: tuple[Path, list[str]], finished: Path) -> None:
    scores, (log, *_) = logs
    assert answers(scores / "ds=2026-11-22") == answers(finished)
    assert (scores / "ds=2026-11-22" / "_SUCCESS").exists()
    (line,) = re.findall(r"Running command: (.*)", log)
    assert "--labels=airflow-version=v" in line
    assert line.count("--input=") == 2
    assert "--threshold" not in line
    assert "--overwrite" not in line
    assert not re.search(r"\[warning .*\.hooks\.beam\.", log), "a run that goes well writes nothing to stderr"


def test_a_scheduled_run_comes_when_its_day_is_over(logs: tuple[Path, list[str]]) -> None:
    found = re.search(r"next_dagrun='([^']+)' next_dagrun_create_after='([^']+)'", logs[1][0])
    assert found
    start, created = map(datetime.fromisoformat, found.groups())
    assert created - start == timedelta(days=1)


def test_a_second_run_of_the_day_does_nothing(logs: tuple[Path, list[str]]) -> None:
    log = logs[1][1]
    assert " --overwrite " in log
    assert "ds=2026-11-22: nothing to do, this plan is finished." in log


def test_a_failing_run_fails_its_task_with_our_line_in_the_log(logs: tuple[Path, list[str]]) -> None:
    scores, (*_, log) = logs
    assert len(re.findall(r"bulklabel: error: .*nowhere", log)) == 1
    assert "failed with return code 2" in log
    assert not (scores / "bad=2026-11-22").exists()
