"""Beam's in-process runner, made to tell its worker processes the options, as remote ones do, and to hear them."""

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import Pipeline
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_provision_api_pb2, beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo, RunnerResult

PipelineProto = beam_runner_api_pb2.Pipeline

BEAMS_WORKER, OUR_WORKER = b"apache_beam.runners.worker.sdk_worker_main", b"bulklabel.pipelines.runners.sdk_worker_main"


class LocalRunner(FnApiRunner):  # type: ignore[misc]
    """Runs a pipeline in this process and its children, which are given the pipeline's options.

    Without them workers of `--direct_running_mode=multi_processing` know neither endpoint nor keys of a store.
    """

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> RunnerResult:
        """Runs the pipeline as Beam does, with the options where its workers look for them."""
        known = options.to_runner_api()
        for value in known.fields.values():
            if value.HasField("number_value"):  # an int would arrive as `2.0`, which is none to the worker's parser
                number = value.number_value
                value.string_value = str(int(number)) if number.is_integer() else repr(number)
        provision = ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=known))
        super().__init__(provision_info=provision)  # again: Beam makes runners before it gives them the options
        return super().run_pipeline(pipeline, options)

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> RunnerResult:
        """Runs the graph as Beam does, with workers that log what they would print."""
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.payload = environment.payload.replace(BEAMS_WORKER, OUR_WORKER)
        return super().run_via_runner_api(pipeline_proto, options)
