"""What `deploy/dataflow/metadata.json` must be: written by `python -m tests.engines.flex_metadata`."""

import argparse
import json
import re
from typing import Any

from bulklabel.pipelines.flags.score import parser
from tests.conftest import ROOT

FILE = ROOT / "deploy" / "dataflow" / "metadata.json"

NO_PARAMETERS = ("help", "metrics_textfile")
"""The launcher's disk is gone when somebody would look for the textfile."""

BEAMS = {
    "sdk_container_image": ("image of the workers: the template's own", r"\S+/\S+:\S+", "TEXT", False),
    "number_of_worker_harness_threads": ("shards that a process has in hand at once", r"[1-9]\d*", "NUMBER", True),
    "resource_hint": ("such as accelerator=type:nvidia-l4;count:1;install-nvidia-driver", r"\w+=.+", "TEXT", True),
    "min_cpu_platform": (
        "processor at least, such as Intel Ice Lake: one kind gives the same bytes",
        ".+",
        "TEXT",
        True,
    ),
    "disk_size_gb": ("gigabytes of a worker's disk", r"[1-9]\d*", "NUMBER", True),
}
"""Parameters that are Beam's: what for, the form of the value, its type, and whether it may be left out."""

NUMBER = r"\d+(\.\d+)?"
FORMS = {
    "fraction": r"0?\.\d+|[01](\.0+)?",
    "seconds": NUMBER,
    "positive": r"[1-9]\d*",
    "not_negative": r"\d+",
    "duration": rf"{NUMBER}[smh]?",
    "truth_key": r"id|name|stem|last:[1-9]\d{0,3}",
}
"""By the type of a flag."""

TEXTS = ("duration", "truth_key")
"""Types that are no numbers for the console's form."""

PLACE = r"[a-z0-9]+://.+"
"""No path of the launcher."""


def metadata() -> dict[str, Any]:
    """The template's name, and its parameters: those of `score`, then Beam's."""
    flags = parser()
    own = [_parameter(action) for action in flags._actions if action.dest not in NO_PARAMETERS]
    beams = [_entry(name, *about) for name, about in BEAMS.items()]
    return {"name": "bulklabel score", "description": flags.description, "parameters": [*own, *beams]}


def _parameter(action: argparse.Action) -> dict[str, Any]:
    text = re.sub(r"%\(default\)[sg]", f"{action.default}", (action.help or "").replace("; repeatable", ""))
    kind, form = "TEXT", ".+"
    if isinstance(action, argparse._StoreTrueAction):
        kind, form = "BOOLEAN", "true|false"
    elif action.choices:
        form = "|".join(map(re.escape, action.choices))
    elif action.metavar in ("PATH", "DIR", "DIR|latest"):
        form = "|".join([PLACE, *str(action.metavar).split("|")[1:]])
    elif action.type is not None:
        name = getattr(action.type, "__name__", "")
        kind, form = "NUMBER" if name in FORMS and name not in TEXTS else "TEXT", FORMS.get(name, ".+")
    if isinstance(action, argparse._AppendAction):
        text, form = f"{text}; several as a list in JSON", rf'{form}|\[".*"\]'
    return _entry(action.dest, text, form, kind, not action.required)


def _entry(name: str, text: str, form: str, kind: str, optional: bool) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "helpText": f"{text}.",
        "isOptional": optional,
        "regexes": [f"^({form})$"],
        "paramType": kind,
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(metadata(), indent=2, ensure_ascii=False) + "\n")
