"""Prism, Beam's local runner in Go: found before anything is written, run beside the command, and ended with it."""

import contextlib
import json
import logging
import subprocess
import threading
import time
import zipfile
from typing import IO

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, PortableOptions, PrismRunnerOptions
from apache_beam.pipeline import Pipeline
from apache_beam.runners.portability import prism_runner
from apache_beam.runners.portability.portable_runner import PipelineResult
from apache_beam.version import __version__ as beam_version

from bulklabel.model.errors import UserError
from bulklabel.pipelines.console.logs import log
from bulklabel.pipelines.console.worker_logs import TRACEBACK
from bulklabel.pipelines.runners.beam_private import call_at_end, fail_with, given_flags

PACKAGE = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}"
"""What Go builds the program from that belongs to the installed Beam."""

SERVING = "Serving JobManagement"
OF_A_WORKER = "[SDK] "
LOOPBACK_THREADS = ("run_worker_", "read_state", "read_grpc_client_inputs")
SECONDS_TO_STOP = 2.0

SECONDS_ALONE = 30
"""Prism ends by itself after so long without a job: a command that is killed leaves it with one that fails at once."""


class PrismRunner(prism_runner.PrismRunner):  # type: ignore[misc]
    """Runs each pipeline on a Prism of its own, which is gone when the pipeline is done.

    Beam's lives until Python ends, and then for seconds; if the command is killed, for ever.
    """

    def run_portable_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> PipelineResult:
        """Runs the pipeline as Beam does, on the Prism at `--job_endpoint` if one is given."""
        portable = options.view_as(PortableOptions)
        if portable.job_endpoint:
            return super().run_portable_pipeline(pipeline, options)
        own = options.view_as(PrismRunnerOptions)
        asked = any(
            flag.startswith("--prism_log_level") for flag in given_flags(options)
        )  # its default is not to be heard
        prism = Prism(own.prism_location or find_prism(options), own.prism_log_level if asked else None)
        portable.job_endpoint = prism.endpoint
        try:
            result = super().run_portable_pipeline(pipeline, options)
        except BaseException as error:
            prism.end()
            if prism.cause_of_death:
                raise OSError(f"Prism died: {prism.cause_of_death}") from error
            raise

        def end() -> None:
            with contextlib.suppress(Exception):  # Prism may have died
                result.metrics()  # the result keeps them; nobody could ask later
            _wait_for_loopback_worker()
            prism.end()
            if prism.cause_of_death:
                fail_with(result, OSError(f"Prism died: {prism.cause_of_death}"))

        call_at_end(result, end)
        return result


class Prism:
    """Starts a Prism, and logs its workers' warnings, and its own messages from a level on if one is given."""

    def __init__(self, program: str, log_level: str | None) -> None:
        level = "debug" if log_level == "debug" else "info"  # with less it would not say where it listens
        flags = ["--job_port=0", "--serve_http=false", f"--idle_shutdown_timeout={SECONDS_ALONE}s"]
        self._process = subprocess.Popen(
            [program, *flags, "--log_kind=json", f"--log_level={level}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            process_group=0,  # Ctrl-C on a terminal is left to us
        )
        self._lines: IO[str] = self._process.stdout  # type: ignore[assignment]  # it is a pipe
        self._least = _level_of(log_level) if log_level else logging.CRITICAL + 1
        self.cause_of_death = ""
        """What it died of, if it is its own bug."""
        self.endpoint = self._listening()
        self._reader = threading.Thread(target=self._log_lines, name="prism", daemon=True)
        self._reader.start()

    def end(self) -> None:
        """Ends the process, which keeps nothing."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._lines.close()

    def _listening(self) -> str:
        lines = []
        for line in self._lines:
            lines.append(line.strip())
            if SERVING in line:
                return str(json.loads(line)["endpoint"])
        raise OSError(f"Prism ended before it began: {lines[0] if lines else 'it said nothing'}")

    def _log_lines(self) -> None:
        """Logs warnings of workers, and of Prism what was asked for.

        Tracebacks are left out: the run fails with that error, and the driver says so.
        """
        for line in self._lines:
            try:
                entry = json.loads(line)
                message, level = str(entry["msg"]), _level_of(entry["level"])
            except (ValueError, KeyError):
                if line.startswith("panic: "):
                    self.cause_of_death = line.removeprefix("panic: ").strip()
                continue
            if message.startswith(OF_A_WORKER):
                if level >= logging.WARNING and TRACEBACK not in message:
                    log.log(level, message.removeprefix(OF_A_WORKER))
            elif level >= self._least:
                about = {name: value for name, value in entry.items() if name not in ("time", "level", "msg", "source")}
                logging.getLogger("prism").log(max(level, logging.WARNING), "Prism: %s %s", message, about)


def _wait_for_loopback_worker() -> None:
    """Waits until a worker in this process has ended: its threads would fail with their connections."""
    until = time.monotonic() + SECONDS_TO_STOP
    for thread in threading.enumerate():
        if thread.name.startswith(LOOPBACK_THREADS) and thread.ident is not None:  # else it has not begun
            thread.join(max(0.0, until - time.monotonic()))


def _level_of(name: str) -> int:
    """Returns Python's level for a name as Prism writes it: `WARN`, `ERROR+2`."""
    return logging.getLevelNamesMapping().get(name.upper().split("+")[0].split("-")[0], logging.INFO)


def find_prism(options: PipelineOptions) -> str:
    """Puts the path of Prism's program into the options, downloaded by Beam if it was not named; returns the path.

    Raises:
        UserError: if there is none, or what was named is not Prism.
    """
    own = options.view_as(PrismRunnerOptions)
    build = f"build it with `go install {PACKAGE}` and name it with --prism_location."
    try:
        command, _ = prism_runner.PrismJobServer(options).subprocess_cmd_and_endpoint()
        path = str(command[0])
    except (RuntimeError, ValueError, OSError, zipfile.BadZipFile) as error:
        named = own.prism_location
        what = f"--prism_location {named}: no such program" if named else f"Prism cannot be downloaded ({error})"
        raise UserError(f"{what}; {build}") from None
    try:
        answer = subprocess.run([path, "--help"], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        answer = None
    if answer is None or b"idle_shutdown_timeout" not in answer.stderr + answer.stdout:
        raise UserError(f"{path} is not Prism, or not for this machine; {build}")
    own.prism_location = path
    return path


def direct_runner_means_prism(options: PipelineOptions) -> bool:
    """Tells whether `--runner=DirectRunner` means Prism here, as Beam decides it: where its program can be had.

    Only the runner in this process knows `--direct_num_workers` and `--direct_running_mode`: it is meant by them.

    Raises:
        UserError: if `--prism_location` names something else.
    """
    direct, own = options.view_as(DirectOptions), options.view_as(PrismRunnerOptions)
    if own.prism_location:
        find_prism(options)
        return True
    if (direct.direct_num_workers, direct.direct_running_mode) != (1, "in_memory"):
        return False
    with contextlib.suppress(UserError):
        find_prism(options)
    return own.prism_location is not None
