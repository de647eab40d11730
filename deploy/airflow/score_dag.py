"""An Airflow DAG that scores each day's images into an output of that day."""

from datetime import datetime, timedelta

from airflow.providers.apache.beam.operators.beam import BeamRunPythonPipelineOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

with DAG(
    "bulklabel_score",
    # The night after a day scores that day: `ds` is the start of the interval. Airflow 3 takes a plain "30 2 * * *"
    # for a moment without an interval, where `ds` would be the day of the run itself.
    schedule=CronDataIntervalTimetable("30 2 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
) as dag:
    BeamRunPythonPipelineOperator(
        task_id="score",
        py_file="/opt/bulklabel/pipelines/score.py",
        py_interpreter="/opt/bulklabel/.venv/bin/python",
        runner="FnApiRunner",  # in process; the operator's own default would have Beam look for a program to download
        pipeline_options={
            "input": ["/srv/bulklabel/images/ds={{ ds }}"],  # a list repeats the flag
            "model": "/srv/bulklabel/model",
            "output": "/srv/bulklabel/scores/ds={{ ds }}",
            "max_rejected_fraction": 0.02,
            "threshold": None,  # None leaves the flag out, and so does False
            "overwrite": False,
        },
    )
