"""`bulklabel verify`: whether an output still is what a command left, file by file, and scores the same again."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.pipelines.run_command import run_command
from bulklabel.transforms.answers.run_answers import RUN
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.files.text import escape_surrogates
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.load_scorer import load_scorer
from bulklabel.transforms.verifying.folder_faults import PublishedFiles, folder_faults, published_files
from bulklabel.transforms.verifying.output_files import OutputFiles, read_output
from bulklabel.transforms.verifying.rescore import Rescored, choose_rows, rescore
from bulklabel.transforms.verifying.run_faults import FaultsFoundError, model_directory, model_faults, output_faults


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:  # noqa: ARG001 (nothing runs on Beam)
    """Prints every fault of a run, an evaluation or a comparison, one a line, or what was checked.

    Raises:
        UserError: if there is none of these.
        FaultsFoundError: if there is a fault.
    """
    with fail_fast():
        output = read_output(options.run)
        published = published_files(output)
    if published is not None:
        _verify_folder(options, output, published)
        return
    faults = list(_printed(output_faults(output)))
    wrong = list(_printed(model_faults(output, options.model)))
    rescored = _rescored(output, options) if options.sample and not wrong else None
    faults += [*wrong, *_printed(rescored.faults if rescored else ())]
    if faults:
        raise FaultsFoundError(
            f"{options.run} has {len(faults):,} fault{'s' * (len(faults) > 1)}; delete its damaged and foreign files "
            "and _SUCCESS, and run the same `bulklabel score` again."
        )
    print(_summary(options.run, output, rescored))


def _verify_folder(options: argparse.Namespace, output: OutputFiles, published: PublishedFiles) -> None:
    """Prints every fault of an evaluation or a comparison, or what was checked.

    Raises:
        UserError: if a sample is to be scored, of which there are no parts here.
        FaultsFoundError: if there is a fault.
    """
    run = published.manifest.get(RUN)
    if options.sample:
        whose = f"its run {run}" if run else "a run"
        raise UserError(
            f"--sample: {options.run} is not a run, and has no parts that could be scored again; give {whose}."
        )
    faults = list(_printed(folder_faults(options.run, output, published)))
    if faults:
        raise FaultsFoundError(
            f"{options.run} has {len(faults):,} fault{'s' * (len(faults) > 1)}; move foreign files away, and "
            f"{published.again}."
        )
    size = sum(int(entry["bytes"]) for entry in published.entries.values()) / 1e6
    also = f"; what it is of is still there: verify {run} by itself" if run else ""
    made = f"is as `bulklabel {published.command}` left it"
    print(f"{options.run} {made}: {len(published.entries)} files, {size:,.1f} MB{also}")


def _printed(faults: Iterable[str]) -> Iterator[str]:
    """Prints each fault as soon as there is one, and passes it on."""
    for fault in faults:
        print(" ".join(escape_surrogates(fault).splitlines()), flush=True)  # names of files may hold anything
        yield fault


def _rescored(output: OutputFiles, options: argparse.Namespace) -> Rescored | None:
    """Scores some records again; None where it is not known which there are, which is a fault of its own."""
    plan, directory, rows = output.plan, model_directory(output, options.model), output.scored_rows
    if plan is None or directory is None or not rows:
        return None
    try:
        trusted, tolerance = options.trust_model_code, options.golden_tolerance
        scorer = load_scorer(directory, plan.recipe.model_digest, trusted, tolerance=tolerance, wrappers=trusted)
    except UserError as error:
        return Rescored(faults=[f"model: {error}"])
    chosen = choose_rows(rows, options.sample, plan.digest)
    return rescore(RunDirectory(output.path, plan.stamp), plan, chosen, scorer, tolerance)


def _summary(run: str, output: OutputFiles, rescored: Rescored | None) -> str:
    """Returns what was checked, for a run without a fault."""
    manifest = output.manifest
    if manifest is None:
        raise ValueError("a run without a manifest has a fault")
    counts, entries = manifest.counts, [*manifest.parts.values(), *manifest.published.values()]
    size = sum(int(entry["bytes"]) for entry in entries) / 1e6
    lines = [
        f"{run} is as its run left it: {len(manifest.parts):,} parts and {len(manifest.published)} other files, "
        f"{size:,.1f} MB; {counts['records']:,} records, {counts['scored']:,} scored, {counts['rejected']:,} rejected"
    ]
    if rescored:
        lines.append(
            f"{rescored.records:,} records scored again: no probability differs by more than {rescored.largest:.2g}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel verify`; returns the exit code."""
    return run_command("verify", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
