"""Finds the names that a Parquet file gives to class numbers, in the metadata that Hugging Face's `datasets` writes."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

METADATA_KEY = b"huggingface"
"""The key of the schema's metadata; its JSON describes the features, see `datasets.Features.arrow_schema`."""


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
