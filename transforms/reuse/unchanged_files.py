"""The files of an input that earlier runs have scored and that are unchanged: left out of a plan, or carried over."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, Listing
from bulklabel.transforms.files.stores.path_names import MISSING
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.reading.image_metadata import is_metadata
from bulklabel.transforms.reading.records import Inputs, Shard
from bulklabel.transforms.reuse.earlier_parts import passing_sources_of, rows_of_sources, sources_of
from bulklabel.transforms.run_directory.finished_run import FinishedRun
from bulklabel.transforms.run_directory.parts import PART_KINDS, PASSING, REJECTED, REUSED
from bulklabel.transforms.run_directory.plan import ReusedRecords


@dataclass(frozen=True)
class UnchangedFiles:
    """Holds what one earlier run has of an input.

    `paths` are the files that it could use and that are unchanged, `shards` its own, cut to these files. `problems`
    are its shards of unchanged files that it could not use, by what `_problem_key` says of them.
    """

    run: FinishedRun
    paths: frozenset[str]
    shards: Sequence[Shard]
    problems: Mapping[Any, Shard]

    def reused(self, problems: Sequence[Shard] = ()) -> ReusedRecords:
        """Counts the records of its shards, and of some of those with a problem, that the run scored and rejected.

        Raises:
            StoreError: if one of the run's parts is needed for it, and is missing or damaged.
        """
        plan, path, counts = self.run.plan, self.run.directory.path, dict.fromkeys(PART_KINDS, 0)
        for shard in (*self.shards, *problems):
            for kind in PART_KINDS:
                name = plan.stamp.name(kind, shard)
                whole = shard.names == plan.shards[shard.index].names
                counts[kind] += int(self.run.entries[name]["rows"]) if whole else rows_of_sources(path, name, shard)
        return ReusedRecords(path, plan.digest, *counts.values())


def find_unchanged(
    runs: Sequence[FinishedRun], listings: Sequence[Listing], carry_over: bool
) -> Iterator[UnchangedFiles]:
    """Yields for each run the unchanged files that it has and no run before it.

    A file is unchanged if it has the path, the size and the version that it had when the run was planned. That a plan
    lists it is no proof that the run has its records, so their rows must be there.

    Raises:
        StoreError: if a part of a run is needed, and is missing or damaged.
    """
    inputs = by_path(listings)
    taken: set[str] = set()
    for run in runs:
        same = {file.path for file in run.plan.inputs if _is_unchanged(file, inputs.get(file.path))}
        if not carry_over:  # files that a metadata file names and that do not exist: rejected then, and still so
            same |= {file.path for file in run.plan.inputs if file.size == MISSING} - inputs.keys()
        answered = _answered(run, same - taken)
        # A file whose records name their images by paths may be as it was, and its images others.
        unusable = {shard.source for shard in run.plan.shards if shard.problem or shard.by_path}
        problems = {
            _problem_key(shard): shard for shard in run.plan.shards if shard.problem and shard.source in answered
        }
        paths = answered - unusable
        taken |= paths
        cut = (_cut(shard, paths) for shard in run.plan.shards if not shard.problem)
        yield UnchangedFiles(run, frozenset(paths), [shard for shard in cut if shard], problems)


def without_unchanged(
    listings: Sequence[Listing], unchanged: Sequence[UnchangedFiles], input_format: str
) -> list[Listing]:
    """Returns the listings without the unchanged files; metadata files stay, for what they say of new images."""
    scored = frozenset(path for earlier in unchanged for path in earlier.paths)
    described = input_format == "images"
    return [
        replace(listing.without(lambda path: path in scored and not (described and is_metadata(path))), scored=scored)
        for listing in listings
    ]


def without_same_problems(new: Inputs, unchanged: Sequence[UnchangedFiles]) -> tuple[Inputs, tuple[ReusedRecords, ...]]:
    """Takes out the files that could not be used, and cannot for the same reason now.

    Such files are among the new ones, since something else (a column's name, say) may have made them usable.

    Returns:
        The other new files and shards, and how many records of each run are reused.
    """
    still = {_problem_key(shard) for shard in new.shards}
    known: dict[Any, Shard] = {}
    reused = []
    for earlier in unchanged:
        same = {key: shard for key, shard in earlier.problems.items() if key in still and key not in known}
        known |= same
        reused.append(earlier.reused([*same.values()]))
    unusable = {shard.source for shard in known.values()}
    rest = Inputs(
        tuple(file for file in new.files if file.path not in unusable),
        tuple(shard for shard in new.shards if _problem_key(shard) not in known),
    )
    return rest, tuple(reused)


def with_unchanged(new: Inputs, unchanged: Sequence[UnchangedFiles]) -> tuple[Inputs, tuple[ReusedRecords, ...]]:
    """Adds the unchanged files, as shards of their own before the new ones, whose answers will be carried over.

    Returns:
        All files and shards, and how many records of each run are reused.
    """
    inputs = {file.path: file for file in new.files}
    for earlier in unchanged:
        inputs |= {file.path: file for file in earlier.run.plan.inputs if file.path in earlier.paths}
    carried = [
        replace(shard, reused=(number, shard.index))
        for number, earlier in enumerate(unchanged)
        for shard in earlier.shards
    ]
    planned = Inputs(tuple(inputs[path] for path in sorted(inputs)), (*carried, *new.shards))
    return planned, tuple(earlier.reused() for earlier in unchanged)


def by_path(listings: Sequence[Listing]) -> dict[str, File]:
    """Returns the files of the listings by their paths."""
    return {file.path: file for listing in listings for file in listing.files}


def _answered(run: FinishedRun, paths: Set[str]) -> set[str]:
    """Returns those of some files whose every record has a row in the run's parts, of predictions or of rejected ones.

    A run with `--match content` leaves out images that earlier runs know by other names. A record that was rejected for
    what may not come again has no answer.

    Raises:
        StoreError: if a part of the run is needed for it, and is missing or damaged.
    """
    answered: set[str] = set()
    lacking: set[str] = set()
    for shard in run.plan.shards:
        wanted = paths & set(shard.data_paths)
        if wanted and PASSING in run.entries[run.plan.stamp.name(REJECTED, shard)]:
            passing = passing_sources_of(run, shard)
            lacking |= {path for path in wanted if escape_surrogates(path) in passing}
        if wanted and not _is_whole(run, shard):
            there = sources_of(run, shard) if shard.names else set()
            lacking |= {path for path in wanted if escape_surrogates(path) not in there}
        answered |= wanted
    return answered - lacking


def _is_whole(run: FinishedRun, shard: Shard) -> bool:
    """Returns whether the two parts of a shard have all of its records, by what the manifest says of them."""
    predictions, rejected = (run.entries[run.plan.stamp.name(kind, shard)] for kind in PART_KINDS)
    if shard.records is not None:
        return bool(predictions["rows"] + rejected["rows"] == shard.records)
    return run.plan.recipe.carry_over or not any(map(sum, predictions.get(REUSED, ())))


def _is_unchanged(then: File, now: File | None) -> bool:
    return bool(then.version) and then == now


def _problem_key(shard: Shard) -> tuple[Any, ...]:
    return shard.source, shard.position, shard.records, shard.problem


def _cut(shard: Shard, paths: set[str]) -> Shard | None:
    """Returns a shard with those of its files that are among the paths; None if it has none of them."""
    if not shard.names:
        return shard if shard.source in paths else None
    names = tuple(name for name in shard.names if files.join(shard.source, name) in paths)
    return replace(shard, stop=len(names), records=len(names), names=names) if names else None
