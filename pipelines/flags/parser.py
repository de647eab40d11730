"""Parsers whose errors are one line, and a first look at a command line before it is parsed as a whole."""

import argparse
import contextlib
import difflib
import shutil
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import NoReturn

from bulklabel.model.errors import UserError

Check = Callable[[argparse.Namespace, Sequence[str], Sequence[str]], None]
"""Looks at a command's parsed flags, the whole command line, and what of it is Beam's; raises a UserError."""

IMAGES, OUTPUT, TRUTH, METRICS, REQUIREMENTS, EARLIER, TRAINING, NETWORK, RUNNING = (
    "images",
    "model and output",
    "truth",
    "metrics and thresholds",
    "requirements",
    "earlier runs",
    "training",
    "network",
    "how it runs",
)
"""Groups of flags, in the order in which `--help` has them; a command has some of them."""

GROUPS = (IMAGES, OUTPUT, TRUTH, METRICS, REQUIREMENTS, EARLIER, TRAINING, NETWORK, RUNNING)

WIDEST = 120
"""Columns that `--help` fills at most."""

INPUT = "--input"
CLOSE = 0.7
"""How alike two names are, from 0 to 1, where one may be meant by the other."""


def words_first(names: Sequence[str], message: str) -> Check:
    """Returns a check that no value of Beam's flags was taken for a word: argparse cannot tell where theirs end.

    Args:
        names: the options that are words, in order.
        message: of the error, if Beam's flags are given and other words come first.
    """

    def check(options: argparse.Namespace, argv: Sequence[str], beam_flags: Sequence[str]) -> None:
        if beam_flags and list(argv[: len(names)]) != [getattr(options, name) for name in names]:
            raise UserError(message)

    return check


class LineParser(argparse.ArgumentParser):
    """Raises its errors, as one line, instead of printing the usage; takes `--a-flag` for `--a_flag`."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parses flags as argparse does, those of this parser also with hyphens."""
        return super().parse_known_args(None if args is None else [self._spelt(each) for each in args], namespace)

    def group(self, title: str) -> argparse._ArgumentGroup:
        """Returns the group of flags with a title, which is added where there is none."""
        groups = {group.title: group for group in self._action_groups}
        return groups.get(title) or self.add_argument_group(title)

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

    def __init__(
        self,
        command: str,
        description: str,
        usage: Sequence[str],
        begins: str,
        examples: Sequence[str],
        check: Check | None = None,
    ) -> None:
        """Makes a parser that has the flags of all commands.

        Args:
            command: its name.
            description: what the command does, for `--help`.
            usage: what the command needs at least, in order.
            begins: what it does, in words that flags stand in by their names, for the first line that it prints; or
                nothing, if all that it prints is for programs.
            examples: command lines without `bulklabel`, for `--help`.
            check: called after parsing, for what one flag demands of another.
        """
        lines = [f"  bulklabel {command} {example}".rstrip() for example in examples]
        super().__init__(
            prog=f"bulklabel {command}",
            usage=" ".join(["bulklabel", command, *usage, "[FLAGS]"]),
            description=description,
            epilog="\n".join(
                ["examples:", *lines, "", "Apache Beam's own flags, such as --direct_num_workers, can be added."]
            ),
            formatter_class=_Help,
            allow_abbrev=False,
        )
        for title in GROUPS:
            self.group(title)
        self.examples = tuple(examples)
        self._begins = begins
        self._check = check
        add_log_flags(self)

    def parse_command(self, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Returns the command's own flags, and what is left over for Beam.

        Words before the first flag are inputs, where the command has some and takes no other words.

        Raises:
            UserError: if the command line cannot be used.
        """
        argv = self._with_inputs(argv)
        try:
            options, beam_flags = self.parse_known_args(argv)
        except UserError as error:
            raise self._cause(argv, str(error)) or error from None
        if self._check is not None:
            self._check(options, argv, beam_flags)
        return options, beam_flags

    def first_line(self, options: argparse.Namespace) -> str:
        """Returns what the command begins to do, with the paths that it was given."""
        given = {
            name: ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else value
            for name, value in vars(options).items()
        }
        return self._begins.format(**given)

    @property
    def flags(self) -> list[str]:
        """Returns the command's own flags."""
        return list(self._option_string_actions)

    @property
    def misplaced(self) -> str:
        """Returns what to say of a word that follows no flag, and is none."""
        action = self._option_string_actions.get(INPUT)
        if action is None:
            return "it follows no flag that takes it"
        if action.nargs is None:
            return "one run is read at a time"
        return f"it follows no flag that takes it; inputs come first, or after {INPUT}"

    def _with_inputs(self, argv: Sequence[str]) -> list[str]:
        words = list(takewhile(lambda word: not word.startswith("-"), argv))
        if not words or INPUT not in self._option_string_actions:
            return list(argv)
        return [INPUT, *words, *argv[len(words) :]]

    def _cause(self, argv: Sequence[str], error: str) -> UserError | None:
        """Returns what to say where a required flag is missing, since it is misspelt, or an input is misplaced."""
        if "required" not in error:
            return None
        for word in argv:
            flag = self._spelt(word).partition("=")[0]
            close = near_flag(flag, self.flags) if flag.startswith("-") and flag not in self.flags else ""
            if close:
                return UserError(f"{flag}: no such flag{close}")
        if INPUT in error and INPUT not in argv:
            with contextlib.suppress(UserError):
                _, left = self.parse_known_args([INPUT, "?", *argv])
                if left and not any(word.startswith("-") for word in left):
                    return UserError(f"{left[0]}: {self.misplaced}; see `{self.prog} --help`.")
        return None


class _Help(argparse.RawDescriptionHelpFormatter):
    """Lays out `--help`: the examples as they are, and flags and what they mean side by side."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(WIDEST, shutil.get_terminal_size().columns) - 2)


def near(word: str, words: Iterable[str]) -> str:
    """Returns the end of a line that tells which of some words was probably meant, or an empty text.

    >>> near("--inptu", ["--input", "--output"])
    '; did you mean --input?'
    """
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=CLOSE)
    return f"; did you mean {close[0]}?" if close else ""


def near_flag(flag: str, flags: Sequence[str]) -> str:
    """Returns the end of a line that tells which flag was probably meant by one that does not exist.

    >>> near_flag("-i", ["--input", "--output"])
    '; did you mean --input?'
    """
    name = flag.lstrip("-").replace("-", "_")
    begun = [each for each in flags if name and each.startswith(f"--{name}")]
    return near(begun[0], begun) if begun else near(f"--{name}", flags)


LOG_FORMATS = TEXT, JSON = ("text", "json")


def add_log_flags(parser: LineParser) -> None:
    """Adds the flag that says what stderr looks like."""
    parser.group(RUNNING).add_argument(
        "--log_format",
        choices=LOG_FORMATS,
        default=TEXT,
        help="json: each line on stderr is a JSON object, and stdout has only the summary (default: %(default)s)",
    )


def known_early(argv: Sequence[str], *add_flags: Callable[[LineParser], None]) -> argparse.Namespace:
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
