"""Flink with worker pools on loopback, for tests and people: `python -m tests.engines.flink_session`; Ctrl-C ends."""

import contextlib
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.engines.flink_cluster import HOSTS, Cluster
from tests.engines.worker_pools import Pool, environment_of_sdist, pools_behind

REST, JOBS, POOLS = 8081, 8099, 50000
"""The ports that Flink's and Beam's own manuals use."""


@dataclass(frozen=True)
class Session:
    """A cluster, the Python of its workers, and the port of the pools that its TaskManagers have."""

    cluster: Cluster
    python: Path
    pool_port: int

    def external(self, port: int) -> list[str]:
        """Flags for a job on the cluster with workers of the pools at a port."""
        return self.cluster.flags("--environment_type=EXTERNAL", f"--environment_config=pool:{port}")


@contextlib.contextmanager
def session(folder: Path, rest: int = REST, job_port: int = JOBS, pool_port: int = POOLS) -> Iterator[Session]:
    """Start all, and stop all in the end.

    Each TaskManager has a pool of its own: one that two share takes the workers of one for those of the other.
    """
    with contextlib.ExitStack() as stack:
        cluster = Cluster(folder / "flink", rest, job_port)
        python = environment_of_sdist(folder)
        stack.callback(cluster.stop)
        cluster.start()
        stack.enter_context(pools_behind(pool_port, Pool, HOSTS, python, folder))
        yield Session(cluster, python, pool_port)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.suppress(KeyboardInterrupt),
        session(Path(folder)) as started,
    ):
        print(f"Flink is at http://localhost:{REST}; Ctrl-C ends it. Jobs go there with:", *started.external(POOLS))
        signal.pause()
