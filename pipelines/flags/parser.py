"""Parsers whose errors are one line, and a first look at a command line before it is parsed as a whole."""

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from bulklabel.model.errors import UserError

Check = Callable[[argparse.Namespace, Sequence[str], Sequence[str]], None]
"""Looks at a command's parsed flags, the whole command line, and what of it is Beam's; raises a UserError."""


class LineParser(argparse.ArgumentParser):
    """Raises its errors, as one line, instead of printing the usage; takes `--a-flag` for `--a_flag`."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parses flags as argparse does, those of this parser also with hyphens."""
        return super().parse_known_args(None if args is None else [self._spelt(each) for each in args], namespace)

    def _spelt(self, argument: str) -> str:
        flag, equals, value = argument.partition("=")
        spelt = "--" + flag[2:].replace("-", "_")
        return spelt + equals + value if flag.startswith("--") and spelt in self._option_string_actions else argument

    def error(self, message: str) -> NoReturn:
        """Raises the error instead of printing the usage.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; see `{self.prog} --help`.")


class CommandParser(LineParser):
    """Parses the flags of one command, in snake_case and never abbreviated; what is left over is Beam's."""

    def __init__(self, command: str, description: str, check: Check | None = None) -> None:
        """Makes a parser that has the flags of all commands.

        Args:
            command: its name.
            description: what the command does, for `--help`.
            check: called after parsing, for what one flag demands of another.
        """
        super().__init__(
            prog=f"bulklabel {command}",
            description=description,
            epilog="Apache Beam's own flags, such as --runner or --direct_num_workers, can be added.",
            allow_abbrev=False,
        )
        self._check = check
        add_log_flags(self)

    def parse_command(self, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Returns the command's own flags, and what is left over for Beam.

        Raises:
            UserError: if the command line cannot be used.
        """
        options, beam_flags = self.parse_known_args(argv)
        if self._check is not None:
            self._check(options, argv, beam_flags)
        return options, beam_flags


LOG_FORMATS = TEXT, JSON = ("text", "json")


def add_log_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that says what stderr looks like."""
    parser.add_argument(
        "--log_format",
        choices=LOG_FORMATS,
        default=TEXT,
        help="json: each line on stderr is an object, and stdout is the summary alone (default: %(default)s)",
    )


def known_early(argv: Sequence[str], *add_flags: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    """Returns the values of some flags of a command line that may be wrong elsewhere.

    Their defaults where they are wrong themselves.
    """
    values = argparse.Namespace()
    for add in add_flags:
        parser = LineParser(add_help=False, allow_abbrev=False)
        add(parser)
        try:
            parser.parse_known_args(argv, values)
        except UserError:
            parser.parse_args([], values)
    return values
