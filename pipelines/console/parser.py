"""Parsers whose errors are one line, and a first look at a command line before it is parsed as a whole."""

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from bulklabel.model.errors import UserError


class LineParser(argparse.ArgumentParser):
    """A parser whose errors are raised, as one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; see `{self.prog} --help`.")


def known_early(argv: Sequence[str], add_flags: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    """Some flags' values before the command line as a whole is parsed; their defaults if they are wrong themselves."""
    parser = LineParser(add_help=False, allow_abbrev=False)
    add_flags(parser)
    try:
        return parser.parse_known_args(argv)[0]
    except UserError:
        return parser.parse_args([])
