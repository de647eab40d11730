"""Finds what is wrong with a remote runner before anything is planned or written."""

import contextlib
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    SparkRunnerOptions,
    WorkerOptions,
)

from bulklabel.model.errors import UserError
from bulklabel.pipelines.runners.choose import runner_name
from bulklabel.transforms.files.stores.path_names import is_remote

IN_THE_CLOUD = ("dataflow", "testdataflow")
"""Runners, in Beam's short spelling, whose workers are never on this machine, nor on one with the same mounts."""

PORTABLE = ("portable", "flink", "spark")

FLINKS_OWN = ("[local]", "[auto]")

SECONDS_TO_ANSWER, PAUSE = 10.0, 0.5


def check_submission(options: PipelineOptions, paths: Mapping[str, Sequence[str]]) -> None:
    """Checks that workers can reach what a command gives to a runner: paths, packages and services.

    Args:
        options: Beam's.
        paths: flags, each with the paths that workers read or write.

    Raises:
        UserError: if workers cannot see a path, are not told where to have bulklabel from, or a service that is to take
            the job does not answer.
    """
    runner = runner_name(options)
    kind = runner.lower().removesuffix("runner")
    for flag, path in ((flag, path) for flag, named in paths.items() for path in named if not is_remote(path)):
        if kind in IN_THE_CLOUD:
            raise UserError(
                f"{flag} {path} is on this machine, whose files workers of {runner} cannot see; "
                "copy it to a store and give its gs://… path."
            )
    _check_image(options, kind, runner)
    for flag, host, port in _services(options, kind):
        _check_answers(flag, host, port, options)


def _check_image(options: PipelineOptions, kind: str, runner: str) -> None:
    """Checks that workers will have bulklabel: Beam's own image, the default, has neither it nor TensorFlow."""
    portable, setup = options.view_as(PortableOptions), options.view_as(SetupOptions)
    given = (
        options.view_as(WorkerOptions).sdk_container_image,
        portable.environment_config or portable.environment_options,
        setup.setup_file or setup.extra_packages or setup.requirements_file,
    )
    if _in_containers(options, kind) and not any(given):
        otherwise = "" if kind in IN_THE_CLOUD else ", or --environment_type=EXTERNAL with worker pools that have it"
        raise UserError(
            f"--runner={runner}: workers would be containers of Beam's own image, without bulklabel; "
            f"give --sdk_container_image=IMAGE with it, --setup_file=./setup.py{otherwise}."
        )


def _in_containers(options: PipelineOptions, kind: str) -> bool:
    """Tells whether workers are containers; a Flink or Spark that Beam starts uses the command's own process."""
    asked = options.view_as(PortableOptions).environment_type
    if kind in IN_THE_CLOUD:
        return True
    if kind not in PORTABLE or asked:
        return kind in PORTABLE and asked == "DOCKER"
    if kind == "flink":
        return options.view_as(FlinkRunnerOptions).flink_master not in FLINKS_OWN
    return kind == "portable" or not options.view_as(SparkRunnerOptions).spark_master_url.startswith("local")


def _services(options: PipelineOptions, kind: str) -> Iterator[tuple[str, str, int]]:
    """Yields flag, host and port of what the job is given to; nothing where only Beam knows."""
    endpoint = options.view_as(PortableOptions).job_endpoint
    master = options.view_as(FlinkRunnerOptions).flink_master
    if kind == "portable" and not endpoint:
        raise UserError("--runner=PortableRunner needs the address of a job server; give --job_endpoint=HOST:PORT.")
    if kind in PORTABLE and endpoint and endpoint != "embed":
        flag, address = "--job_endpoint", urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    elif kind == "flink" and master not in FLINKS_OWN:
        flag, address = "--flink_master", urlsplit(master if "://" in master else f"//{master}")
    else:
        return
    with contextlib.suppress(ValueError):  # no number where the port should be
        if address.hostname and address.port:
            yield flag, address.hostname, address.port


def _check_answers(flag: str, host: str, port: int, options: PipelineOptions) -> None:
    """Waits until something listens: Beam would wait for minutes, and end without an error to read."""
    if urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return  # it is the proxy that would answer
    until = time.monotonic() + min(SECONDS_TO_ANSWER, options.view_as(PortableOptions).job_server_timeout)
    while True:
        try:
            socket.create_connection((host, port), max(PAUSE, until - time.monotonic())).close()
            return
        except OSError as error:
            if time.monotonic() + PAUSE > until:
                reason = error.strerror or str(error)
                raise UserError(
                    f"{flag}: nothing answers at {host}:{port} ({reason}); start it, or correct the address."
                ) from error
        time.sleep(PAUSE)
