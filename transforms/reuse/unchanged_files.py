"""What earlier runs have scored already, of the files of an input: it is left out of a plan, or taken over."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File, Listing
from bulklabel.transforms.reading.find_shards import shards_of
from bulklabel.transforms.reading.image_folders import MISSING
from bulklabel.transforms.reading.image_metadata import is_metadata
from bulklabel.transforms.reading.records import Inputs, Shard
from bulklabel.transforms.reuse.earlier_parts import rows_of_sources
from bulklabel.transforms.run_directory.file_names import SUCCESS_FILE
from bulklabel.transforms.run_directory.finished_run import FinishedRun, find_run
from bulklabel.transforms.run_directory.parts import KINDS
from bulklabel.transforms.run_directory.plan import Earlier, Plan, Recipe, Reused, changes, recipe_content

DECIDING = ("model_digest", "labels", "preprocessing", "versions", "input_format", "columns")
"""The fields of a recipe on which probabilities and truth depend; thresholds and layout can be changed afterwards."""


@dataclass(frozen=True)
class Share:
    """What one run has of an input: `paths` are files that are as they were, `shards` its own, cut to these files.

    `problems` are its shards of files that are as they were and could not be used, as `_key` has them.
    """

    run: FinishedRun
    paths: frozenset[str]
    shards: Sequence[Shard]
    problems: Mapping[Any, Shard]

    def reused(self, problems: Sequence[Shard] = ()) -> Reused:
        """How many records of its shards it scored and rejected, and of those with a problem that are given.

        Raises:
            StoreError: if one of its parts is needed to say so, and is missing or damaged.
        """
        counts = {entry["name"]: int(entry["rows"]) for kind in KINDS for entry in self.run.manifest[kind]}
        plan, found = self.run.plan, dict.fromkeys(KINDS, 0)
        for shard in (*self.shards, *problems):
            for kind in KINDS:
                name = plan.stamp.name(kind, shard)
                whole = shard.names == plan.shards[shard.index].names
                found[kind] += counts[name] if whole else rows_of_sources(self.run.directory.path, name, shard)
        return Reused(self.run.directory.path, plan.digest, *found.values())


@dataclass(frozen=True)
class Since:
    """Finished runs, in the order in which they are asked; perhaps none.

    `carry_over` says that their answers are to be written again, `by_content` that images are recognised, too.
    """

    runs: tuple[FinishedRun, ...] = ()
    carry_over: bool = False
    by_content: bool = False

    @property
    def places(self) -> list[str]:
        """Where they are."""
        return [run.directory.path for run in self.runs]

    def doubts(self, recipe: Recipe) -> list[str]:
        """A line for each run that is of no use, since it was not scored as this recipe says."""
        found = [(run.path, self._differences(run, recipe)) for run in self.runs]
        return [f"--since {path}: nothing of it can be reused ({', '.join(words)})." for path, words in found if words]

    def plan(self, listings: Sequence[Listing], recipe: Recipe) -> Plan:
        """The plan of what is in the listings, without what the runs have of it, or with their answers.

        A file is as it was if it has the path, the size and the modification time that it had then. One that could not
        be used is looked at again, and left out if the same is wrong with it now.

        Raises:
            UserError: if no file has a column that is asked for, or a run does not know its images.
            StoreError: if a run has lost a part.
        """
        here = {file.path: file for listing in listings for file in listing.files}
        usable = [run for run in self.runs if not self._differences(run, recipe)]
        for run in usable if self.by_content else ():
            if not run.plan.recipe.by_content:
                raise UserError(
                    f"--since {run.path}: it was scored without --match content, so its images are not known; "
                    "leave it out, or leave out --match content."
                )
        shares = list(_shares(usable, here, self.carry_over))
        new = shards_of(_rest(listings, shares, recipe.input_format), recipe.input_format, recipe.columns)
        plan = _with_answers(new, shares, here, recipe) if self.carry_over else _without_answers(new, shares, recipe)
        if self.carry_over or self.by_content:
            known = tuple(Earlier(run.directory.path, run.plan.digest, len(run.plan.shards)) for run in usable)
            asked = replace(recipe, since=known, by_content=self.by_content, carry_over=self.carry_over)
            plan = replace(plan, recipe=asked)
        return plan if self.runs else replace(plan, reused=None)

    def _differences(self, run: FinishedRun, recipe: Recipe) -> list[str]:
        """In words, why a run's answers are none of a recipe."""
        old, carried = run.plan.recipe, run.plan.recipe.columns.carry
        lacking = [name for name in recipe.columns.carry if self.carry_over and name not in carried]
        return changes(_deciding(old), _deciding(recipe)) + [f"it did not carry {name}" for name in lacking]


def find_since(paths: Sequence[str], output: str, carry_over: bool, by_content: bool) -> Since:
    """The finished runs at some paths, each once.

    Raises:
        UserError: if one is no finished run, or is the output itself.
    """
    runs: dict[str, FinishedRun] = {}
    for path in paths:
        place = files.absolute(path)
        if place == output:
            raise UserError(f"--since {path} is the output itself; give an --output of its own to each run.")
        runs[place] = runs.get(place) or find_run(path)
        if not files.exists(files.join(place, SUCCESS_FILE)):
            raise UserError(
                f"--since {path}: the run has not finished, {SUCCESS_FILE} is missing; "
                "run its command again, or leave it out."
            )
    return Since(tuple(runs.values()), carry_over, by_content)


def account_of(plan: Plan) -> str:
    """In a line, what earlier runs have of the input, and what is left to do."""
    reused, new = plan.reused or (), plan.new_shards
    scored, rejected = sum(run.scored for run in reused), sum(run.rejected for run in reused)
    runs = f" in {', '.join(run.run for run in reused)}" if reused else ""
    before = f"{scored:,} records were scored and {rejected:,} rejected before{runs}"
    if not new:
        return f"{before}; nothing is new."
    looked_at = "are in files that are new: their images are looked up" if plan.recipe.by_content else "are new"
    records = [shard.records for shard in new if shard.records is not None]
    if len(records) == len(new):
        return f"{before}; {sum(records):,} {looked_at}."
    return f"{before}; {len({shard.source for shard in new}):,} files are new."


def _deciding(recipe: Recipe) -> dict[str, Any]:
    content = recipe_content(replace(recipe, columns=replace(recipe.columns, carry=())))
    return {name: content[name] for name in DECIDING}


def _shares(runs: Sequence[FinishedRun], here: Mapping[str, File], carry_over: bool) -> Iterator[Share]:
    """What each run has of the files that are here, and no run before it."""
    had: set[str] = set()
    for run in runs:
        same = {file.path for file in run.plan.inputs if _same(file, here.get(file.path))} - had
        unusable = {shard.source for shard in run.plan.shards if shard.problem}
        problems = {_key(shard): shard for shard in run.plan.shards if shard.problem and shard.source in same}
        paths = same - unusable
        if not carry_over:  # files that a metadata file names and that are not there: rejected then, and no news
            paths |= {file.path for file in run.plan.inputs if file.size == MISSING} - here.keys() - had
        had |= paths
        cut = (_cut(shard, paths) for shard in run.plan.shards if not shard.problem)
        yield Share(run, frozenset(paths), [shard for shard in cut if shard], problems)


def _same(then: File, now: File | None) -> bool:
    return now is not None and then.size == now.size and then.modified == now.modified != 0


def _key(shard: Shard) -> tuple[Any, ...]:
    return shard.source, shard.position, shard.records, shard.problem


def _cut(shard: Shard, paths: set[str]) -> Shard | None:
    """A shard with those of its files that are among the paths; None if there is none."""
    if not shard.names:
        return shard if shard.source in paths else None
    names = tuple(name for name in shard.names if files.join(shard.source, name) in paths)
    return replace(shard, stop=len(names), records=len(names), names=names) if names else None


def _rest(listings: Sequence[Listing], shares: Sequence[Share], input_format: str) -> list[Listing]:
    """The listings without what the runs have; metadata files stay, for what they say of new images."""
    scored = frozenset(path for share in shares for path in share.paths)
    described = input_format == "images"
    return [
        replace(listing.without(lambda path: path in scored and not (described and is_metadata(path))), scored=scored)
        for listing in listings
    ]


def _with_answers(new: Inputs, shares: Sequence[Share], here: Mapping[str, File], recipe: Recipe) -> Plan:
    """The plan that takes the runs' answers over, in shards of its own before the new ones."""
    inputs = {file.path: file for file in new.files}
    inputs |= {path: here[path] for share in shares for path in share.paths}
    taken = [
        replace(shard, reused=(number, shard.index)) for number, share in enumerate(shares) for shard in share.shards
    ]
    return Plan(
        tuple(inputs[path] for path in sorted(inputs)),
        _counted([*taken, *new.shards]),
        recipe,
        tuple(share.reused() for share in shares),
    )


def _without_answers(new: Inputs, shares: Sequence[Share], recipe: Recipe) -> Plan:
    """The plan of what is new alone."""
    still = {_key(shard) for shard in new.shards}
    known: dict[Any, Shard] = {}
    reused = []
    for share in shares:
        same = {key: shard for key, shard in share.problems.items() if key in still and key not in known}
        known |= same
        reused.append(share.reused([*same.values()]))
    unusable = {shard.source for shard in known.values()}
    return Plan(
        tuple(file for file in new.files if file.path not in unusable),
        _counted([shard for shard in new.shards if _key(shard) not in known]),
        recipe,
        tuple(reused),
    )


def _counted(shards: Sequence[Shard]) -> tuple[Shard, ...]:
    return tuple(replace(shard, index=index) for index, shard in enumerate(shards))
