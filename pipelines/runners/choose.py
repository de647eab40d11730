"""Which runner a command's `--runner` means: for each of Beam's local ones there is one of ours."""

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions

from bulklabel.pipelines.runners.beam_private import silence_loopback_worker
from bulklabel.pipelines.runners.prism import direct_runner_means_prism, find_prism

IN_PROCESS_RUNNER = "bulklabel.pipelines.runners.in_process.LocalRunner"
PRISM_RUNNER = "bulklabel.pipelines.runners.prism.PrismRunner"
LOCAL_RUNNERS = ("LocalRunner", "FnApiRunner", "DirectRunner", "BundleBasedDirectRunner", "PrismRunner")


def runner_name(options: PipelineOptions) -> str:
    """Returns the name of the runner's class, without its module; that of ours in this process if none is named."""
    return str(options.view_as(StandardOptions).runner or IN_PROCESS_RUNNER).rsplit(".", 1)[-1]


def is_local(options: PipelineOptions) -> bool:
    """Tells whether the runner works on this machine, and so knows no flags but Beam's."""
    return runner_name(options) in LOCAL_RUNNERS


def choose_runner(options: PipelineOptions) -> None:
    """Replaces the runner's name by that of the class that is meant, and finds Prism's program if that is needed.

    Raises:
        UserError: if Prism is asked for and there is none.
    """
    standard = options.view_as(StandardOptions)
    standard.runner = _meant(options, standard.runner)
    if standard.runner != IN_PROCESS_RUNNER:
        silence_loopback_worker()


def _meant(options: PipelineOptions, named: str | None) -> str:
    if named in (None, "FnApiRunner"):
        return IN_PROCESS_RUNNER
    if named == "PrismRunner":
        if not options.view_as(PortableOptions).job_endpoint:
            find_prism(options)
        return PRISM_RUNNER
    if named == "DirectRunner":
        return PRISM_RUNNER if direct_runner_means_prism(options) else IN_PROCESS_RUNNER
    return str(named)
