"""Launching: a graph is run and waited for, or handed to a service, where it goes on without the command."""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DebugOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner

from bulklabel.model.errors import UserError, first_line
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.exit_codes import RENDERED, SUBMITTED
from bulklabel.pipelines.console.logs import inform, is_json
from bulklabel.pipelines.console.progress import show_progress
from bulklabel.pipelines.runners.beam_private import job_id_of, pickle_without_local_paths
from bulklabel.pipelines.runners.choose import is_local, runner_name

if TYPE_CHECKING:
    from bulklabel.transforms.run_directory.plan import Plan

MIN_RAM = "min_ram=3GB"
"""What a worker needs at least: the process of a network as small as ours has 1.1 GB, nearly all of it TensorFlow's,
and the service's own processes up to 1 GB."""

DATAFLOW = "DataflowRunner"
CONSOLE = "https://console.cloud.google.com/dataflow/jobs"
CLIENT = "apache_beam.runners.dataflow.internal.apiclient"


def prepare(options: PipelineOptions) -> None:
    """Decides whether the command waits for its job, and sets our defaults for Dataflow.

    A job on Dataflow is never waited for. Others are, unless Beam is told `--no_wait_until_finish` and they can go on
    without the command.

    Raises:
        UserError: if the options are not enough for a job on Dataflow.
    """
    standard = options.view_as(StandardOptions)
    if runner_name(options) == DATAFLOW:
        standard.no_wait_until_finish = True
        _prepare_for_dataflow(options, standard)
    elif _ends_with_us(options):
        standard.no_wait_until_finish = False


def _ends_with_us(options: PipelineOptions) -> bool:
    """Tells whether the job, or what serves it, ends with this process."""
    portable = options.view_as(PortableOptions)
    served = portable.job_endpoint not in (None, "embed") or options.view_as(FlinkRunnerOptions).flink_submit_uber_jar
    return is_local(options) or portable.environment_type == "LOOPBACK" or not served


def _prepare_for_dataflow(options: PipelineOptions, standard: StandardOptions) -> None:
    # A hint for the whole graph: a step with its own would have its own environment, and be fused with no other. There
    # are none with FlexRS, which does not take them.
    has_hint = any(hint.startswith("min_ram=") for hint in standard.resource_hints)
    if not has_hint and not options.view_as(GoogleCloudOptions).flexrs_goal:
        standard.resource_hints = [*standard.resource_hints, MIN_RAM]
    # What tells of this machine stays here: its `__main__`, its packages, and where Beam's own functions lie.
    setup = options.view_as(SetupOptions)
    setup.save_main_session = bool(setup.save_main_session)
    options.view_as(DebugOptions).add_experiment("disable_logging_submission_environment")
    pickle_without_local_paths()
    logging.getLogger(CLIENT).setLevel(logging.CRITICAL + 1)  # a refusal is reported in one line
    errors = PipelineOptionsValidator(options, create_runner(standard.runner)).validate()
    if errors:
        raise UserError(f"--runner {standard.runner}: {' '.join(first_line(error) for error in errors)}")


def launch(options: PipelineOptions, plan: "Plan", output: str, build: Callable[[beam.Pipeline], None]) -> bool:
    """Runs the graph that `build` makes; returns whether it has run to its end.

    If not, it goes on elsewhere, which has been reported.

    Raises:
        OSError: if Dataflow refuses the job.
    """
    waits = not options.view_as(StandardOptions).no_wait_until_finish
    progress = show_progress(output, plan) if waits else contextlib.nullcontext()
    with _refusals(), progress, beam.Pipeline(options=options) as root:
        build(root)
    if not waits:
        _report_submission(root.result, options)
    return waits


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if type(error).__module__ not in ("google.api_core.exceptions", CLIENT):
            raise
        why = re.sub(r"^\d+ [A-Z]+ \S+: ", "", first_line(error)).rstrip(".")
        raise OSError(f"Dataflow refused the job: {why}") from error


def _report_submission(result: Any, options: PipelineOptions) -> None:
    """Reports what was submitted and how its end is seen, in words that Airflow's operator finds the job's name in."""
    account, job, cloud = current(), _job_of(result), options.view_as(GoogleCloudOptions)
    if job is None:
        account.state = RENDERED
        inform("rendered")
        line = f"{account.output}: the job was rendered, and nothing was submitted."
    else:
        account.state = SUBMITTED
        console = (
            f"{CONSOLE}/{cloud.region}/{job}?project={cloud.project}" if runner_name(options) == DATAFLOW else None
        )
        inform(f"Submitted job: {job}", job=job, console=console)
        line = (
            f"Submitted job: {job} {f'({console}) ' if console else ''}goes on without this command, and is done when "
            f"there is {account.output}/_SUCCESS; then `bulklabel verify {account.output}` ends with exit code 0."
        )
    if not is_json():
        print(line)


def _job_of(result: Any) -> str | None:
    """Returns the name that a service gave to the job; None if it was only rendered, for a template or in a dry run."""
    if getattr(result, "has_job", False):
        return str(result.job_id())
    return job_id_of(result)
