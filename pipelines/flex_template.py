"""The entry of the Dataflow template: parameters, each given once as `--name=value`, become the flags of `score`."""

import argparse
import json
import sys
from collections.abc import Sequence

from bulklabel.model.errors import UserError
from bulklabel.pipelines.flags.score import parser
from bulklabel.pipelines.run_command import run_command

YES, NO = "true", "false"


def flags_of(parameters: Sequence[str]) -> list[str]:
    """Returns the flags that parameters mean; Beam's own and what is no parameter of ours stay as they are.

    A template cannot give a parameter twice, nor one without a value. So a list in JSON repeats its flag, and flags
    that take no value are `true` or `false`.

    >>> flags_of(['--input=["gs://a", "gs://b"]', "--overwrite=true", "--carry_over=false"])
    ['--input=gs://a', '--input=gs://b', '--overwrite']

    Raises:
        UserError: if a value is no such thing.
    """
    actions = {flag: action for action in parser()._actions for flag in action.option_strings}
    flags = []
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        action = actions.get(name)
        if isinstance(action, argparse._StoreTrueAction) and equals:
            flags += [name] * _truth(name, value)
        elif isinstance(action, argparse._AppendAction) and value.startswith("["):
            flags += [f"{name}={item}" for item in _items(name, value)]
        else:
            flags.append(parameter)
    return flags


def _truth(name: str, value: str) -> bool:
    if value not in (YES, NO):
        raise UserError(f"{name}: {value!r} is neither {YES} nor {NO}.")
    return value == YES


def _items(name: str, value: str) -> list[str]:
    try:
        items = json.loads(value)
    except ValueError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise UserError(f'{name}: {value} is not a JSON list, such as ["gs://one", "gs://two"].')
    return items


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel score` with the parameters of a template; returns the exit code."""
    return run_command("score", sys.argv[1:] if argv is None else argv, flags_of)


if __name__ == "__main__":
    sys.exit(main())
