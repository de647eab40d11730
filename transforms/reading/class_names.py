"""Finds the names that a file itself gives to its class numbers: Hugging Face's in Parquet, Ground Truth's in JSON."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

METADATA_KEY = b"huggingface"
"""The key of the schema's metadata; its JSON describes the features, see `datasets.Features.arrow_schema`."""


DESCRIPTION = "-metadata"
"""The end of the key that says what the value of another key means, in the manifests of SageMaker's Ground Truth."""


def class_names_of(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Returns for each column of class numbers, or of lists of them, the names that the file gives to 0, 1, 2 ….

    >>> feature = {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": ["dog", "cat"]}}
    >>> described = json.dumps({"info": {"features": {"labels": feature}}})
    >>> class_names_of(pa.schema({"labels": pa.list_(pa.int64())}, {"huggingface": described}))
    {'labels': ('dog', 'cat')}
    """
    try:
        described = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
        features = described["info"]["features"].items()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    names = {column: _names_in(feature) for column, feature in features}
    return {column: each for column, each in names.items() if each is not None}


def _names_in(feature: Any) -> tuple[str, ...] | None:
    """Returns the names of a feature that is a `ClassLabel`, or a sequence of one, in any of its notations."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names_in(feature[0])
    if not isinstance(feature, Mapping):
        return None
    names = feature.get("names")
    if (
        feature.get("_type") == "ClassLabel"
        and isinstance(names, list)
        and all(isinstance(name, str) for name in names)
    ):
        return tuple(names)
    return _names_in(feature["feature"]) if feature.get("_type") in ("Sequence", "List", "LargeList") else None


def with_class_names(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row of JSON with names for the class numbers that a key beside them explains.

    A number without a name is left, so that it is no label by itself.

    >>> with_class_names({"job": [0, 2], "job-metadata": {"class-map": {"0": "dog", "2": "cat"}}})["job"]
    ['dog', 'cat']
    >>> with_class_names({"job": 0, "job-metadata": {"class-name": "dog"}})["job"]
    ['dog']
    """
    for key in [key for key in row if key.endswith(DESCRIPTION) and isinstance(row[key], Mapping)]:
        field = key.removesuffix(DESCRIPTION)
        value, names, name = row.get(field), row[key].get("class-map"), row[key].get("class-name")
        if isinstance(value, list) and isinstance(names, Mapping):
            row = {**row, field: [names.get(str(item), item) for item in value]}
        elif isinstance(value, int) and isinstance(name, str) and name != field:
            row = {**row, field: [name]}
    return row
