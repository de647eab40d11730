"""Checks each worker before its first shard: it must have the versions that the plan was made with, and its files."""

import os
import pickle
import platform
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import apache_beam as beam

from bulklabel.model.errors import StoreError, UserError
from bulklabel.model.model_directory import DESCRIPTION_FILE
from bulklabel.model.versions import installed_version
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.path_names import is_remote
from bulklabel.transforms.run_directory.file_names import PLAN_FILE
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory

T = TypeVar("T")

SAMPLED_INPUTS = 8
"""Input files, spread over the plan, that a worker looks for: without a mount it would reject all of its records."""

CARRYING_PACKAGES = ("apache-beam", "bulklabel")
"""Packages that decide no probabilities, but whether a graph made with one version does the same with another."""


@dataclass(frozen=True)
class WorkerRequirements:
    """Lists what the process that submitted a run has, and each worker must have, too.

    `versions` are names and versions of packages, and of Python; `files` are flags, each with a path that exists;
    `submitter` is that process's host and number, which need not be checked.
    """

    directory: RunDirectory
    versions: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    submitter: tuple[str, int]


def worker_requirements(plan: Plan, directory: RunDirectory, model_directory: str) -> WorkerRequirements:
    """Returns what workers need for a plan that was made in this process; `model_directory` is absolute.

    The model is left out if its path cannot be looked up as text has it, as with undecodable bytes in its name.
    """
    recipe, model = plan.recipe, files.join(model_directory, DESCRIPTION_FILE)
    inputs = [file.path for file in plan.inputs if file.size >= 0]
    step = -(-len(inputs) // SAMPLED_INPUTS) or 1
    required = [("--input", path) for path in inputs[::step]]
    required += [("--image_root", root) for root in recipe.columns.image_roots if not is_remote(root)]
    required += [("--truth", file.path) for file in (recipe.truth.files if recipe.truth else ())]
    required += [("--since", files.join(run.place, PLAN_FILE)) for run in recipe.since]
    required += [("--model", model)] if plan.new_shards and files.exists(model) else []
    carrying = {name: _version(name) for name in ("Python", *CARRYING_PACKAGES)}
    versions = {**carrying, **recipe.versions}
    return WorkerRequirements(directory, tuple(versions.items()), tuple(required), _process())


@lru_cache(maxsize=8)
def check_worker(requirements: WorkerRequirements) -> None:
    """Checks this process against what a run requires: once, and again after an error. It imports nothing large.

    Raises:
        UserError: if it has other versions, or does not see a file that the submitter sees.
        StoreError: if a store fails, or another plan is at the output.
    """
    host, number = _process()
    if (host, number) == requirements.submitter:
        return
    installed = {name: _version(name) for name, _ in requirements.versions}
    differing = {name: known for name, known in requirements.versions if installed[name] != known}
    if differing:
        has = ", ".join(f"{name} {installed[name]}" for name in differing)
        expected = ", ".join(f"{name} {known}" for name, known in differing.items())
        raise UserError(
            f"the worker on {host} has {has}, and the plan was made with {expected}: answers of two versions are not "
            "mixed; install on the workers what the submitting machine has, or submit from what they have."
        )
    output = requirements.directory.path
    try:
        owner = requirements.directory.owner()
    except FileNotFoundError:
        raise _not_visible(host, "--output", files.join(output, PLAN_FILE)) from None
    if owner != requirements.directory.stamp.plan_digest:
        raise StoreError(
            f"{output}: the worker on {host} finds another plan there; either this is a folder of its own, "
            "or another run took it over: give an --output that all workers see, and one to each plan."
        )
    for flag, path in requirements.files:
        if not files.exists(path):
            raise _not_visible(host, flag, path)


class CheckedStart(beam.PTransform):  # type: ignore[misc]
    """Yields one element, after the worker that runs the first step of a graph was checked.

    The first step names our classes in its data alone, so that a worker without the package fails when it is given
    data. If it failed when the step is made, Flink would wait three minutes at each attempt, and not report the cause.
    """

    def __init__(self, requirements: WorkerRequirements) -> None:
        super().__init__()
        self._requirements = requirements

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Any]:
        """Adds the steps, of which only the data knows our classes."""
        sealed = {b"": [pickle.dumps([(b"", _Check(self._requirements))])]}
        # The functions are built into Python: bytecode made by another Python does nonsense, or ends the process. A
        # pickle is looked up for the one element, and becomes a check when it is loaded. Grouping keeps these steps
        # apart from the next, which is made of our classes, as a reshuffle would; but after a reshuffle here Flink
        # would take the one of the shards for done, and leave all shards to one worker.
        return (
            root
            | "Begin" >> beam.Impulse()
            | "Sealed" >> beam.FlatMap(sealed.__getitem__)
            | "Checked" >> beam.FlatMap(pickle.loads).with_output_types(tuple[bytes, Any])
            | "Apart" >> beam.GroupByKey()
        )


class CheckWorker(beam.DoFn):  # type: ignore[misc]
    """Passes elements on after the worker was checked: not in `setup`, where Flink waits for minutes."""

    def __init__(self, requirements: WorkerRequirements) -> None:
        self._requirements = requirements

    def process(self, element: T) -> Iterator[T]:
        """Yields the same element."""
        check_worker(self._requirements)
        yield element


class _Check:
    """Checks the process that unpickles it, and becomes None there."""

    def __init__(self, requirements: WorkerRequirements) -> None:
        self._requirements = requirements

    def __reduce__(self) -> tuple[Callable[[WorkerRequirements], None], tuple[WorkerRequirements]]:
        return check_worker, (self._requirements,)


def _process() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()


def _version(name: str) -> str:
    return ".".join(platform.python_version_tuple()[:2]) if name == "Python" else installed_version(name)


def _not_visible(host: str, flag: str, path: str) -> UserError:
    return UserError(
        f"the worker on {host} does not see {path}; for {flag} give what all workers see at the same path: a store "
        "such as s3:// or gs://, or a folder that every machine mounts."
    )
