"""Beam's options, from what a command line has besides the command's own flags."""

import argparse
from collections.abc import Sequence

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.pipelines.flags.parser import CommandParser, near_flag
from bulklabel.pipelines.runners.choose import choose_runner, is_local
from bulklabel.transforms.files.stores.retry import StoreOptions  # noqa: F401 (Beam knows the flags of what is imported)


def beam_options(beam_flags: Sequence[str], options: argparse.Namespace, parser: CommandParser) -> PipelineOptions:
    """Makes Beam's options, chooses the runner, and tells file systems about them, which can be used after this.

    Args:
        beam_flags: what the command's own parser left over.
        options: the command's own flags; those of stores travel to workers among Beam's.
        parser: the command's, to suggest a flag where one was mistyped.

    Raises:
        UserError: if a flag is neither the command's nor Beam's (for local runners alone, since a remote one may know
            more), or the runner is Prism and there is none.
    """
    beams = PipelineOptions([*beam_flags, *_store_flags(options)])
    if is_local(beams):
        _check_beam_flags(beam_flags, parser)
    FileSystems.set_options(beams)
    choose_runner(beams)
    return beams


def _store_flags(options: argparse.Namespace) -> list[str]:
    names = [name for name in ("store_timeout", "store_retries") if name in options]
    return [f"--{name}={getattr(options, name)}" for name in names]


def beam_flag_parser() -> argparse.ArgumentParser:
    """Returns a parser with the flags of every class of options that Beam knows in this process."""
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)  # it hands its parser out for more flags
    return parsers[0]


def _check_beam_flags(flags: Sequence[str], parser: CommandParser) -> None:
    beam_parser = beam_flag_parser()
    _, unknown = beam_parser.parse_known_args(flags)
    if unknown:
        word = unknown[0]
        if not word.startswith("-"):
            raise UserError(f"{word}: {parser.misplaced}; see `{parser.prog} --help`.")
        beams = [name for action in beam_parser._actions for name in action.option_strings]
        flag = word.partition("=")[0]
        close = near_flag(flag, parser.flags) or near_flag(flag, beams)
        raise UserError(f"{word}: no such flag{close or f'; see `{parser.prog} --help`.'}")
