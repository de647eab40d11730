"""Makes answers of tables of another system's predictions, now or again from what an evaluation keeps of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.model.labels.examine_rule import truth_content
from bulklabel.model.labels.thresholds import DEFAULT_THRESHOLD
from bulklabel.transforms.answers.answers import Answers
from bulklabel.transforms.concurrency.ordered_map import map_in_threads
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.files.text import json_value
from bulklabel.transforms.predictions.choose_spec import PredictionOptions, check_columns, choose_spec
from bulklabel.transforms.predictions.prediction_files import list_predictions, open_table
from bulklabel.transforms.predictions.prediction_reader import PredictionReader, changed_files
from bulklabel.transforms.predictions.prediction_spec import PredictionSpec

PREDICTIONS, SPEC, RECORDS, TRUTH_WORDS = "predictions", "spec", "records", "truth_words"
"""What an evaluation's manifest keeps: the files with sizes and versions, how they are read, how many records there are
roughly, and how their truth is read."""


def find_predictions(paths: Sequence[str], options: PredictionOptions, output: str) -> Answers:
    """Returns the answers in the tables that paths stand for, by a threshold of one half; `output` is left out.

    Raises:
        UserError: if there are none, or they cannot be read, or it cannot be told how.
    """
    listed = list_predictions(paths, output)
    filled, tables = None, []
    for table in map_in_threads(open_table, listed):
        filled = filled or (table if table.first else None)
        tables.append(replace(table, first=table.first[:1]))  # of the others their columns are enough
    if filled is None:
        raise UserError(f"{', '.join(paths)}: there is no row of predictions; give tables with one row per record.")
    spec, choice = choose_spec(filled, options)
    for table in tables:
        check_columns(table, spec)
    origin = {
        PREDICTIONS: [file.row for file in listed],
        SPEC: spec.content,
        RECORDS: sum(table.rows for table in tables),
        TRUTH_WORDS: truth_content(choice, spec.labels),
    }
    return _answers(", ".join(paths), json_value(origin))


def predictions_again(path: str, kept: Mapping[str, Any]) -> Answers:
    """Returns the answers in the tables that an evaluation names; `path` is where it is.

    Raises:
        UserError: if one of them is not what it was, or is gone.
    """
    answers = _answers(path, {name: kept[name] for name in (PREDICTIONS, SPEC, RECORDS, TRUTH_WORDS)})
    changed = changed_files([File(*row) for row in kept[PREDICTIONS]])
    if changed:
        others = f", and {len(changed) - 1:,} more like it" * (len(changed) > 1)
        raise UserError(
            f"{path} is an evaluation of predictions that have changed: {changed[0]}{others}; evaluate again."
        )
    return answers


def prediction_line(answers: Answers) -> str:
    """Returns one line for the terminal on where the probabilities of tables are."""
    spec = PredictionSpec.from_json(answers.origin[SPEC])
    names = ", ".join(spec.labels[:5]) + ", …" * (len(spec.labels) > 5)
    columns = ", ".join(map(repr, spec.columns[:3])) + ", …" * (len(spec.columns) > 3)
    ids = "file and row" if spec.id_column is None else repr(spec.id_column)
    return f"{spec.outputs} of {len(spec.labels):,} labels ({names}) in {columns}; ids are from {ids}"


def _answers(path: str, origin: Mapping[str, Any]) -> Answers:
    spec = PredictionSpec.from_json(origin[SPEC])
    listed = tuple(File(*row) for row in origin[PREDICTIONS])
    return Answers(
        path=path,
        labels=spec.labels,
        thresholds=(DEFAULT_THRESHOLD,) * len(spec.labels),
        reader=PredictionReader(listed, spec),
        records=int(origin[RECORDS]),
        origin=origin,
        about={
            "bulklabel": version("bulklabel"),
            "predictions": listed[0].path if len(listed) == 1 else f"{listed[0].path} and {len(listed) - 1:,} more",
            "predictions_digest": hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest(),
            "input_files": len(listed),
            "input_bytes": sum(file.size for file in listed),
        },
        carried=spec.other_columns,
        truth_words=origin[TRUTH_WORDS],
    )
