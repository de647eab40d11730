"""Touches Beam's private attributes, all of those that bulklabel needs: the place to look at when Beam is upgraded.

Each function says why there is no public way in Beam 2.77, with which it was read and tested.
"""

from collections.abc import Callable
from typing import Any

from apache_beam.internal import cloudpickle_pickler
from apache_beam.internal.cloudpickle.cloudpickle import get_relative_path
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PipelineResult
from apache_beam.runners.worker import sdk_worker

from bulklabel.pipelines.console.logs import log


def given_flags(options: PipelineOptions) -> tuple[str, ...]:
    """Returns the flags as they were given.

    Beam 2.77: every public view fills in defaults, so a flag that was left out looks like one given with its default.
    """
    return tuple(options._flags)


def job_id_of(result: Any) -> str | None:
    """Returns the name that a job service gave to a job, None where there is no service.

    Beam 2.77: Dataflow's result has `job_id()`, that of the portable runners has only the attribute.
    """
    return getattr(result, "_job_id", None)


def call_at_end(result: PipelineResult, callback: Callable[[], None]) -> None:
    """Lets the result of a portable runner call this as soon as its job has ended, before Beam's own cleanup.

    What fails then is logged. Beam would raise it in place of what the job failed with, and say only "Errors".

    Beam 2.77: callbacks are taken by the result's constructor alone, and the runner has called it.
    """
    result._cleanup_callbacks = tuple(map(_only_logged, (callback, *result._cleanup_callbacks)))


def _only_logged(callback: Callable[[], None]) -> Callable[[], None]:
    """Returns a callback that logs its errors.

    Beam 2.77: what a callback raises becomes the error of the pipeline, whatever it failed with.
    """

    def call() -> None:
        try:
            callback()
        except Exception as error:
            log.warning("cleaning up after the job failed: %r", error)

    return call


def fail_with(result: PipelineResult, error: Exception) -> None:
    """Lets `wait_until_finish` of a portable runner's result raise this error, in place of the one that Beam has.

    Beam 2.77: it is called within `Pipeline.run`, which nobody can wrap for one runner alone.
    """
    result._runtime_exception = error


def silence_loopback_worker() -> None:
    """Keeps a worker in this process from printing the traceback of an error, which it also logs and returns.

    Beam 2.77: `sdk_worker` calls the builtin `print`, so only a name of its module keeps it from that.
    """
    sdk_worker.print = lambda *_, **__: None


def pickle_without_local_paths() -> None:
    """Lets pickled functions name their files relative to Python's path, and not to this machine's folders.

    Beam 2.77: the pickler's default configuration is a constant of a module in `apache_beam.internal`.
    """
    cloudpickle_pickler.DEFAULT_CONFIG.filepath_interceptor = get_relative_path
