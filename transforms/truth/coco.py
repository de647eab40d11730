"""Reads the annotations of COCO and LVIS: of an image that is listed, all categories are known."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from bulklabel.model.errors import UserError
from bulklabel.transforms.files.text import shortened
from bulklabel.transforms.truth.table_rows import TableRows

SECTIONS = ("images", "annotations", "categories")


def coco_rows(path: str, content: Mapping[str, Any]) -> TableRows:
    """Returns a row for each image, with a column for each category.

    A category is present if one annotation of the image has it, be it a crowd. Where an image lists the categories that
    were looked for in vain, as those of LVIS do, any other one is unknown.

    Raises:
        UserError: if there are no categories, or an annotation has an image or a category that is not listed.

    >>> cats = {"id": 17, "name": "cat"}, {"id": 90, "name": "dog"}
    >>> table = coco_rows("a.json", {"images": [{"id": 3, "file_name": "3.jpg"}], "categories": cats,
    ...     "annotations": [{"image_id": 3, "category_id": 90}]})
    >>> list(table.rows)
    [{'id': 3, 'file_name': '3.jpg', 'cat': 0, 'dog': 1}]
    """
    for section in SECTIONS:
        if not content.get(section):
            raise UserError(
                f"{path}: it has no {section!r}; give COCO's JSON of instances, with {', '.join(SECTIONS)}."
            )
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    images = content["images"]
    present = _present(path, content, names)
    id_column = "file_name" if "file_name" in images[0] else "coco_url"

    def rows() -> Iterator[Mapping[str, Any]]:
        for image in images:
            absent = image.get("neg_category_ids", names)
            cells = dict.fromkeys((names[each] for each in absent if each in names), 0) | dict.fromkeys(
                present[image["id"]], 1
            )
            yield {"id": image["id"], id_column: image.get(id_column)} | cells

    columns = list(dict.fromkeys(["id", id_column, *names.values()]))
    return TableRows(columns, rows(), id_column=id_column, kind="COCO's annotations")


def _present(path: str, content: Mapping[str, Any], names: Mapping[Any, str]) -> dict[Any, set[str]]:
    """Returns the names of each image's categories."""
    present: dict[Any, set[str]] = defaultdict(set)
    images = {image["id"] for image in content["images"]}
    for annotation in content["annotations"]:
        image, category = annotation.get("image_id"), annotation.get("category_id")
        for what, value, known in (("image_id", image, images), ("category_id", category, names)):
            if value not in known:
                number = shortened(str(annotation.get("id")))
                raise UserError(f"{path}: the annotation {number} has the {what} {value}, which is not listed.")
        present[image].add(names[category])
    return present
