"""Makes docs/flags.md, all flags of all commands, from their parsers: `python -m tests.support.flags_page`."""

import argparse
import importlib

from bulklabel.pipelines.cli import COMMANDS
from bulklabel.pipelines.flags.parser import GROUPS, CommandParser
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "flags.md"

HEAD = """# All flags

All flags and their commands, as in `bulklabel COMMAND --help`. Words before the first flag are inputs. Flags may have
hyphens instead of underscores. You can add Apache Beam's own flags, such as `--direct_num_workers`.
"""


def page() -> str:
    """Returns the page: a table for each group, with a row for each meaning of a flag."""
    parsers = {name: importlib.import_module(f"bulklabel.pipelines.flags.{name}").parser() for name in COMMANDS}
    parts = [HEAD]
    for title in GROUPS:
        rows: dict[tuple[str, str], list[str]] = {}
        for name, parser in parsers.items():
            for action in parser.group(title)._group_actions:
                rows.setdefault((flag_of(action, parser), text_of(action)), []).append(f"`{name}`")
        lines = [f"| {flag} | {text} | {', '.join(names)} |" for (flag, text), names in sorted(rows.items())]
        parts.append(
            "\n".join(
                [
                    f"## {title[0].upper()}{title[1:]}",
                    "",
                    "| flag | meaning | commands |",
                    "| --- | --- | --- |",
                    *lines,
                ]
            )
        )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def flag_of(action: argparse.Action, parser: CommandParser) -> str:
    """Returns a flag with what it takes."""
    formatter = parser._get_formatter()
    value = formatter._format_args(action, action.dest.upper()).replace("|", r"\|")
    if not action.option_strings:
        return f"`{value}`"
    return f"`{' '.join([action.option_strings[0], *([value] if action.nargs != 0 else [])])}`"


def text_of(action: argparse.Action) -> str:
    """Returns what a flag means, with its default."""
    return ((action.help or "") % {"default": action.default}).replace("|", r"\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page())
