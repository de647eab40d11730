"""Fetches and builds what tests of engines and stores run, while others run that need none of it."""

import contextlib
import subprocess
from collections.abc import Callable, Collection, Sequence
from functools import partial
from threading import Thread

import pytest

from tests.engines import airflow_environment, flink_cluster
from tests.support import servers

NEEDS: tuple[tuple[tuple[str, Callable[[], object]], ...], ...] = (
    (("test_flink.py", flink_cluster.installed), ("test_airflow.py", airflow_environment.installed)),
    (
        ("test_flink.py", partial(servers.installed, "boot")),
        ("test_prism.py", partial(servers.installed, "prism")),
        ("test_stores.py", partial(servers.installed, "s3")),
        ("test_stores.py", partial(servers.installed, "gs")),
    ),
)
"""By file of tests, what it needs, in the order in which it is made: what is downloaded, and what Go builds."""


def fetch_ahead(files: Collection[str]) -> None:
    """Starts to make what some files of tests need; whoever needs it first waits for it."""
    for needs in NEEDS:
        steps = [step for name, step in needs if name in files]
        Thread(target=_make, args=(steps,), daemon=True).start()


def _make(steps: Sequence[Callable[[], object]]) -> None:
    for step in steps:
        # The test that needs it tries again, and says what is wrong.
        with contextlib.suppress(OSError, subprocess.CalledProcessError, pytest.skip.Exception, pytest.fail.Exception):
            step()
