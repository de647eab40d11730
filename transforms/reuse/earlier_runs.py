"""The finished runs that `--since` names: which of them can be used, and what a plan says of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.finished_run import FinishedRun, find_run
from bulklabel.transforms.run_directory.plan import EarlierRun, Plan, Recipe, changes, recipe_content

DECIDING = ("model_digest", "labels", "preprocessing", "versions", "input_format", "columns", "truth")
"""The fields of a recipe on which probabilities and truth depend; thresholds and layout can be changed afterwards."""


@dataclass(frozen=True)
class EarlierRuns:
    """Holds finished runs, in the order in which their answers are looked up; perhaps none.

    `carry_over` means that their answers are written again, `by_content` that images are recognised by their bytes.
    """

    runs: tuple[FinishedRun, ...] = ()
    carry_over: bool = False
    by_content: bool = False

    @property
    def paths(self) -> list[str]:
        """Returns where they are."""
        return [run.directory.path for run in self.runs]

    def warnings(self, recipe: Recipe) -> list[str]:
        """Returns a line for each run that cannot be used, since it was not scored as this recipe says."""
        differing = [(run.path, self._differences(run, recipe)) for run in self.runs]
        return [
            f"--since {path}: nothing of it can be reused ({', '.join(words)})." for path, words in differing if words
        ]

    def usable(self, recipe: Recipe) -> list[FinishedRun]:
        """Returns the runs whose answers are those of a recipe.

        Raises:
            UserError: if images are to be recognised, and a run does not know its images.
        """
        usable = [run for run in self.runs if not self._differences(run, recipe)]
        for run in usable if self.by_content else ():
            if not run.plan.recipe.by_content:
                raise UserError(
                    f"--since {run.path}: it was scored without --match content, so its images are not known; "
                    "leave it out, or leave out --match content."
                )
        return usable

    def with_answers_of(self, runs: Sequence[FinishedRun], recipe: Recipe) -> Recipe:
        """Returns the recipe, which names the runs if workers will read their answers."""
        if not (self.carry_over or self.by_content):
            return recipe
        known = tuple(EarlierRun(run.directory.path, run.plan.digest, len(run.plan.shards)) for run in runs)
        return replace(recipe, since=known, by_content=self.by_content, carry_over=self.carry_over)

    def _differences(self, run: FinishedRun, recipe: Recipe) -> list[str]:
        """Returns in words why a run's answers are none of a recipe."""
        old, carried = run.plan.recipe, run.plan.recipe.columns.carry
        lacking = [name for name in recipe.columns.carry if self.carry_over and name not in carried]
        return changes(_deciding(old), _deciding(recipe)) + [f"it did not carry {name}" for name in lacking]


def find_earlier_runs(paths: Sequence[str], output: str, carry_over: bool, by_content: bool) -> EarlierRuns:
    """Returns the finished runs at some paths, each once.

    Raises:
        UserError: if one is no finished run, or is the output itself.
    """
    runs: dict[str, FinishedRun] = {}
    for path in paths:
        folder = files.place_of(path)  # a link such as `latest` may lead elsewhere tomorrow
        if files.same_place(folder, output):
            raise UserError(f"--since {path} is the output itself; give each run its own --output.")
        runs[folder] = runs.get(folder) or replace(find_run(folder), path=path)
        manifest, fault = runs[folder].directory.statement()
        if manifest is None:
            raise UserError(
                f"--since {path}: the run has not finished, {fault}; run its command again, or leave it out."
            )
    return EarlierRuns(tuple(runs.values()), carry_over, by_content)


def summary(plan: Plan) -> str:
    """Returns a line on what earlier runs have of the input, and what is left to do."""
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
    return {name: content.get(name) for name in DECIDING}
