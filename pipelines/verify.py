"""`bulklabel verify`: whether an output still is what its run left, file by file, and scores the same again."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from bulklabel.model.errors import UserError
from bulklabel.pipelines.console.run import run_command
from bulklabel.pipelines.flags.common import CommandParser, add_store_flags, add_trust_flag, not_negative, store_flags
from bulklabel.pipelines.runners.beam_options import beam_options

if TYPE_CHECKING:
    import argparse

    from bulklabel.transforms.verifying.found_output import Output
    from bulklabel.transforms.verifying.rescore import Rescored


def parser() -> CommandParser:
    """The flags of `verify`."""
    flags = CommandParser("verify", "Check every file of a finished run, and that it reconciles with its plan.")
    flags.add_argument("run", metavar="RUN", help="the --output of a finished `score`")
    flags.add_argument("--model", metavar="DIR", help="where the run's model directory is now (default: where it was)")
    flags.add_argument(
        "--sample",
        type=not_negative,
        default=0,
        metavar="N",
        help="read so many records from the input again, and score them again (default: %(default)s)",
    )
    add_trust_flag(flags)
    add_store_flags(flags)
    return flags


def verify(argv: Sequence[str]) -> None:
    """Print every fault of a run, one a line, or what was checked.

    Raises:
        UserError: if the command line cannot be used, or there is no run.
        FaultsFoundError: if there is a fault.
    """
    flags = parser()
    options, rest = flags.parse_known_args(argv)
    if rest and list(argv[:1]) != [options.run]:
        raise UserError("with Beam's flags the run comes first: `bulklabel verify RUN …`.")
    beam_options([*rest, *store_flags(options)], flags)

    from bulklabel.transforms.files.stores.retry import planning
    from bulklabel.transforms.verifying.found_output import find_output
    from bulklabel.transforms.verifying.run_faults import FaultsFoundError, model_faults, output_faults

    with planning():
        found = find_output(options.run)
    faults = list(_told(output_faults(found)))
    wrong = list(_told(model_faults(found, options.model)))
    rescored = _rescored(found, options) if options.sample and not wrong else None
    faults += [*wrong, *_told(rescored.faults if rescored else ())]
    if faults:
        raise FaultsFoundError(
            f"{options.run} has {len(faults):,} fault{'s' * (len(faults) > 1)}; delete its damaged and foreign files "
            "and _SUCCESS, and run the same `bulklabel score` again."
        )
    print(_summary(options.run, found, rescored))


def _told(faults: Iterable[str]) -> Iterator[str]:
    """The faults, each printed as soon as it is found."""
    from bulklabel.transforms.files.text import clean

    for fault in faults:
        print(" ".join(clean(fault).splitlines()), flush=True)  # names of files may hold anything
        yield fault


def _rescored(found: "Output", options: "argparse.Namespace") -> "Rescored | None":
    """Some records scored again; none where it is not known which there are, which has been told."""
    from bulklabel.transforms.scoring.load_scorer import load_scorer
    from bulklabel.transforms.verifying.rescore import Rescored, choose_rows, rescore
    from bulklabel.transforms.verifying.run_faults import model_directory

    plan, directory, rows = found.plan, model_directory(found, options.model), found.scored_rows
    if plan is None or directory is None or not rows:
        return None
    try:
        scorer = load_scorer(directory, plan.recipe.model_digest, options.trust_model_code)
    except UserError as error:
        return Rescored(faults=[f"model: {error}"])
    return rescore(found.place, plan, choose_rows(rows, options.sample, plan.digest), scorer)


def _summary(run: str, found: "Output", rescored: "Rescored | None") -> str:
    """What was checked, when all of it is as it should be."""
    manifest = found.manifest
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
    """Run `verify`; the exit code."""
    return run_command(verify, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
