"""What each worker must have before its first shard: the versions of where the plan was made, and its files."""

import os
import pickle
import platform
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import apache_beam as beam

from bulklabel.model.errors import StoreError, UserError
from bulklabel.model.model_directory import DESCRIPTION_FILE
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.file_names import PLAN_FILE
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.run_directory.run_directory import RunDirectory

T = TypeVar("T")

INPUTS = 8
"""Input files, spread over the plan, that a worker looks for: one that lacks a mount would reject their records."""

CARRYING_PACKAGES = ("apache-beam", "bulklabel")
"""They decide no answer, but whether a graph that was made with one version does on another what it says."""


@dataclass(frozen=True)
class Needs:
    """What there is where a run was submitted, and must be on each worker, too.

    `versions` are names and versions of packages, and of Python; `files` are flags with a path each that is there;
    `submitter` is host and number of the process, of which nothing need be asked.
    """

    directory: RunDirectory
    versions: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    submitter: tuple[str, int]


def needs_of(plan: Plan, directory: RunDirectory, model_directory: str) -> Needs:
    """What the workers of a plan that was made in this process need; the model's path is absolute.

    A model directory whose name no text can hold is not found here, and not asked for.
    """
    recipe, model = plan.recipe, files.join(model_directory, DESCRIPTION_FILE)
    there = [file.path for file in plan.inputs if file.size >= 0]
    found = [("--input", path) for path in there[:: -(-len(there) // INPUTS) or 1]]
    found += [("--since", files.join(run.place, PLAN_FILE)) for run in recipe.since]
    found += [("--model", model)] if plan.new_shards and files.exists(model) else []
    carrying = {name: _version(name) for name in ("Python", *CARRYING_PACKAGES)}
    versions = {**carrying, **recipe.versions}
    known = tuple((name, value) for name, value in versions.items() if value is not None)
    return Needs(directory, known, tuple(found), _process())


@lru_cache(maxsize=8)
def check_worker(needs: Needs) -> None:
    """Check this process against what a run needs: once, and again after an error. Nothing large is imported.

    Raises:
        UserError: if it has other versions, or does not see a file that is there for the submitter.
        StoreError: if a store fails, or another plan is at the output.
    """
    host, number = _process()
    if (host, number) == needs.submitter:
        return
    differing = {name: found for name, known in needs.versions if (found := _version(name)) != known}
    if differing:
        here = ", ".join(f"{name} {found}" if found else f"no {name}" for name, found in differing.items())
        there = ", ".join(f"{name} {known}" for name, known in needs.versions if name in differing)
        raise UserError(
            f"the worker on {host} has {here}, and the plan was made with {there}: answers of two versions are not "
            "mixed; install on the workers what the submitting machine has, or submit from what they have."
        )
    output = needs.directory.path
    try:
        owner = needs.directory.owner()
    except FileNotFoundError:
        raise _unseen(host, "--output", files.join(output, PLAN_FILE)) from None
    if owner != needs.directory.stamp.plan_digest:
        raise StoreError(
            f"{output}: the worker on {host} finds another plan there; either this is a folder of its own, "
            "or another run took it over: give an --output that all workers see, and one to each plan."
        )
    for flag, path in needs.files:
        if not files.exists(path):
            raise _unseen(host, flag, path)


class CheckedStart(beam.PTransform):  # type: ignore[misc]
    """One element, after the worker that runs the first step of a graph was checked.

    That step names our classes in its data alone: where the package is missing, giving it data fails. Did making it
    fail, Flink would wait three minutes at each attempt, and then say nothing of the cause. And it is made of what is
    built into Python, since bytecode that travels does nonsense on another Python, or ends the process. Grouping parts
    it from the next step, which is made of our classes: after a reshuffle Flink would take the one of the shards for
    done, and leave them all to one worker.
    """

    def __init__(self, needs: Needs) -> None:
        super().__init__()
        self._needs = needs

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Any]:
        """Nothing in."""
        sealed = {b"": [pickle.dumps([(b"", _Check(self._needs))])]}
        return (
            root
            | "Begin" >> beam.Impulse()
            | "Sealed" >> beam.FlatMap(sealed.__getitem__)
            | "Checked" >> beam.FlatMap(pickle.loads).with_output_types(tuple[bytes, Any])
            | "Apart" >> beam.GroupByKey()
        )


class CheckWorker(beam.DoFn):  # type: ignore[misc]
    """Passes elements on, after the worker was checked: not in `setup`, for then Flink waits, as in `CheckedStart`."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def process(self, element: T) -> Iterator[T]:
        """The same element."""
        check_worker(self._needs)
        yield element


class _Check:
    """Becomes None when it is unpickled, unless the process that does so lacks what a run needs."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def __reduce__(self) -> tuple[Callable[[Needs], None], tuple[Needs]]:
        return check_worker, (self._needs,)


def _process() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()


def _version(name: str) -> str | None:
    if name == "Python":
        return ".".join(platform.python_version_tuple()[:2])
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _unseen(host: str, flag: str, path: str) -> UserError:
    return UserError(
        f"the worker on {host} does not see {path}; for {flag} give what all workers see at the same path: a store "
        "such as s3:// or gs://, or a folder that every machine mounts."
    )
