"""Reads Pascal VOC's lists of images, one a label: `ImageSets/Main/<label>_<set>.txt`."""

import posixpath
import re
from collections.abc import Sequence
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.truth.table_rows import TableRows, reporting

VOC_FILE = re.compile(r"[^/]_(train|val|trainval|test)\.txt$")
"""Matches the names of such lists."""

CELLS = {"1": 1, "-1": 0, "0": -1}
"""What stands behind an image, and what it is in a column of labels: present, absent, and only in a difficult view."""


def voc_rows(paths: Sequence[str]) -> TableRows:
    """Returns a row for each image in some lists, with a column for each label.

    Raises:
        UserError: if a file is no such list, or two contradict each other.
    """
    rows: dict[str, dict[str, Any]] = {}
    labels: dict[str, None] = {}
    for path in paths:
        label = posixpath.basename(path).removesuffix(".txt").rpartition("_")[0]
        labels[label] = None
        with reporting(path, "text"):
            lines = files.read(path).decode("utf-8-sig").splitlines()
        for number, line in enumerate(lines, 1):
            image, *rest = line.split() or [""]
            if image and (not label or len(rest) != 1 or rest[0] not in CELLS):
                raise UserError(
                    f"{path}, line {number}: {line[:40]!r} is not an image and 1, 0 or -1; give Pascal VOC's lists "
                    "of a label, such as ImageSets/Main/cat_val.txt, or a table."
                )
            if not image:
                continue
            row = rows.setdefault(image, {"id": image})
            if row.setdefault(label, CELLS[rest[0]]) != CELLS[rest[0]]:
                raise UserError(f"{path}, line {number}: another line says something else of {image!r} and {label!r}.")
    return TableRows(["id", *labels], iter(rows.values()), id_column="id", kind="Pascal VOC's lists")
