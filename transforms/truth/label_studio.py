"""Reads the exports of Label Studio: tasks in JSON, and a row an annotation in JSON or CSV."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from bulklabel.model.errors import RecordError, UserError
from bulklabel.model.parse_json import RepeatedKeyError, parse_json
from bulklabel.transforms.truth.table_rows import TableRows

UPLOAD = re.compile(r"^/?data/upload/(?:\d+/)?(?:[0-9a-f]{8}-)?")
"""Matches what stands before the name of an image that was uploaded."""

LOCAL = re.compile(r"^/?data/local-files/?\?d=")
"""Matches what stands before the path of an image in local storage."""

CHOICE_COLUMNS = ("choice", "choices", "label", "labels")
"""What the field of choices is called in the templates."""

KIND = "Label Studio's annotations"

Choices = dict[Any, list[set[str]]]
"""The choices of each annotation, by task; an export may have a task twice."""


def task_rows(path: str, tasks: Sequence[Any]) -> TableRows:
    """Returns a row for each image that somebody annotated, with a column for each choice that somebody made.

    A choice is present if all annotators made it, absent if none did, and -1 where they differ. Annotations that were
    cancelled do not count, and where some are marked as ground truth, the others do not.

    Raises:
        UserError: if a task has no image.

    >>> result = [{"type": "choices", "value": {"choices": ["cat"]}}]
    >>> task = {"data": {"image": "/data/upload/1/a0b1c2d3-7.jpg"}, "annotations": [{"result": result}, {"result": []}]}
    >>> list(task_rows("a.json", [task]).rows)
    [{'image': '7.jpg', 'cat': -1}]
    """
    images: dict[str, Choices] = defaultdict(dict)
    for number, task in enumerate(tasks, 1):
        annotations = [
            each for each in task.get("annotations", task.get("completions", ())) if not each.get("was_cancelled")
        ]
        counted = [each for each in annotations if each.get("ground_truth")] or annotations
        if counted:
            image = _image(path, number, task.get("data", {}))
            images[image][task.get("id", number)] = [_made(each.get("result", ())) for each in counted]
    return _by_image(images)


def annotation_rows(path: str, table: TableRows) -> TableRows:
    """Returns the rows of `task_rows` from those of a table with a row an annotation.

    Raises:
        UserError: if its columns of images or of choices cannot be told.
    """
    column = next((name for name in CHOICE_COLUMNS if name in table.names), None)
    if column is None:
        raise UserError(
            f"{path}: none of Label Studio's columns is called {' or '.join(CHOICE_COLUMNS)}; export JSON, or rename "
            f"one: there are {', '.join(table.names)}."
        )
    images: dict[str, Choices] = defaultdict(dict)
    for number, row in enumerate(table.rows, 1):
        made = _names(_unquoted(row.get(column)))
        images[_image(path, number, row)].setdefault(row.get("annotation_id"), []).append(set(made))
    return _by_image(images)


def _by_image(images: Mapping[str, Choices]) -> TableRows:
    labels = sorted({name for tasks in images.values() for made in tasks.values() for names in made for name in names})

    def rows() -> Iterator[Mapping[str, Any]]:
        for image, tasks in images.items():
            made = [names for annotations in tasks.values() for names in annotations]
            votes = {label: sum(label in names for names in made) for label in labels}
            cells = {label: 1 if count == len(made) else -1 if count else 0 for label, count in votes.items()}
            yield {"image": image} | cells

    return TableRows(["image", *labels], rows(), id_column="image", kind=KIND)


def _image(path: str, number: int, data: Mapping[str, Any]) -> str:
    """Returns the id of a task's image: what it was called before it was uploaded, or its path."""
    value = data.get("image")
    if not isinstance(value, str) or not value:
        raise UserError(f"{path}, task {number}: it has no 'image'; it has {', '.join(map(str, data)) or 'nothing'}.")
    if LOCAL.match(value):
        return unquote(LOCAL.sub("", value))
    return unquote(UPLOAD.sub("", value)) if UPLOAD.match(value) else value


def _made(result: Iterable[Mapping[str, Any]]) -> set[str]:
    """Returns the choices of an annotation, and the labels of its regions."""
    kinds = [(str(each.get("type", "")), each.get("value", {})) for each in result]
    return {name for kind, value in kinds if kind.endswith(("choices", "labels")) for name in _names(value.get(kind))}


def _unquoted(value: Any) -> Any:
    """Returns a value as it is, or the object or list that a text is in JSON."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            return parse_json(value)
        except RepeatedKeyError as error:
            raise RecordError("read", "damaged_record", str(error)) from error
        except ValueError:
            return value
    return value


def _names(value: Any) -> list[str]:
    """Returns the choices in a value: one is a text by itself, and several are a list, perhaps in an object.

    >>> _names("cat"), _names(["cat", "dog"]), _names({"choices": ["cat"]}), _names(None)
    (['cat'], ['cat', 'dog'], ['cat'], [])
    """
    if isinstance(value, Mapping):
        return _names(value.get("choices"))
    if isinstance(value, list):
        return [name for item in value for name in _names(item)]
    return [str(value)] if value not in (None, "") else []
