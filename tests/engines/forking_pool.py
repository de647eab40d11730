"""Beam's worker pool, whose workers are forked from a process that has imported what they need, so they start at once.

`python forking_pool.py PORT` starts it; what is imported is what the Python's environment has installed.
"""

import multiprocessing
import sys
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker.sdk_worker import SdkHarness
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

FORKS = multiprocessing.get_context("forkserver")


def work(control: str, worker_id: str) -> None:
    """Is a worker until it is told to stop, as Beam's pool starts it."""
    SdkHarness(control, worker_id=worker_id, state_cache_size=0, data_buffer_time_limit_ms=-1).run()


class ForkingPool(BeamFnExternalWorkerPoolServicer):  # type: ignore[misc]
    """Starts and stops workers when a TaskManager asks for it."""

    def StartWorker(self, request: Any, _: Any) -> Any:  # noqa: N802
        worker = FORKS.Process(target=work, args=(request.control_endpoint.url, request.worker_id))
        worker.start()
        self._worker_processes[request.worker_id] = worker
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, _: Any) -> Any:  # noqa: N802
        worker = self._worker_processes.pop(request.worker_id, None)
        if worker:
            worker.terminate()
            worker.join()
        return beam_fn_api_pb2.StopWorkerResponse()


if __name__ == "__main__":
    FORKS.set_forkserver_preload([BeamFnExternalWorkerPoolServicer.__module__, "bulklabel.pipelines.score"])
    _, server = ForkingPool.start(use_process=True, port=int(sys.argv[1]))
    server.wait_for_termination()
