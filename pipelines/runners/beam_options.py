"""Beam's options from what a command line has besides the command's own flags."""

import argparse
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bulklabel.model.errors import UserError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


def beam_options(flags: Sequence[str], parser: argparse.ArgumentParser) -> "PipelineOptions":
    """Beam's options from the flags that are not the command's own; file systems can be used after this.

    Raises:
        UserError: if a flag is neither the command's nor Beam's. Only for local runners: a remote one may know more.
            Or if the runner is Prism, and there is none.
    """
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    from bulklabel.pipelines.runners.choose import choose_runner, is_local
    from bulklabel.transforms.files.stores.retry import StoreOptions  # noqa: F401  # Beam knows the flags of what is imported

    options = PipelineOptions(list(flags))
    if is_local(options):
        _check_beam_flags(flags, parser)
    FileSystems.set_options(options)
    choose_runner(options)
    return options


def _check_beam_flags(flags: Sequence[str], parser: argparse.ArgumentParser) -> None:
    from apache_beam.options import pipeline_options

    beam_parser: Any = pipeline_options._BeamArgumentParser(allow_abbrev=False)
    for options in dict.fromkeys(pipeline_options.PipelineOptions.__subclasses__()):
        options._add_argparse_args(beam_parser)
    _, unknown = beam_parser.parse_known_args(flags)
    if unknown:
        own = [name for action in parser._actions for name in action.option_strings]
        known = own + [name for action in beam_parser._actions for name in action.option_strings]
        close = difflib.get_close_matches(unknown[0].split("=")[0], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"see `{parser.prog} --help`."
        raise UserError(f"{unknown[0]}: no such flag; {hint}")
