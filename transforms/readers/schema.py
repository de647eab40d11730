"""Whether the columns of a Parquet file can be a record's fields."""

import pyarrow as pa

from bulklabel.transforms.records import Problem


def problem_of(
    schema: pa.Schema, id_name: str, image_name: str, labels_names: tuple[str, ...], carry: tuple[str, ...]
) -> Problem | None:
    """Why no record of a file with this schema can be used, and what to do; None if they can.

    Each of `labels_names` is of a column of lists of labels.
    """
    for name in (id_name, image_name, *labels_names, *carry):
        if schema.names.count(name) > 1:
            return Problem("duplicate_column", f"the file has {schema.names.count(name)} columns named {name!r}")
    if image_name not in schema.names:
        return Problem(
            "missing_column",
            f"no column {image_name!r}, only {', '.join(schema.names) or 'none'}; "
            "name the one with the images by --image_column",
        )
    kind = schema.field(image_name).type
    if not _is_image(kind):
        return Problem("wrong_type", f"column {image_name!r} is {kind}; expected binary, or a struct of bytes and path")
    for problem in filter(None, (labels_problem(schema, name) for name in labels_names)):
        return Problem("wrong_type", problem)
    if id_name in schema.names and pa.types.is_nested(schema.field(id_name).type):
        return Problem("wrong_type", f"column {id_name!r} is {schema.field(id_name).type}; expected string or int")
    return None


def labels_problem(schema: pa.Schema, name: str) -> str | None:
    """Why a column cannot hold labels; None if it can, or if there is none."""
    kind = schema.field(name).type if name in schema.names else pa.null()
    if pa.types.is_null(kind) or (_is_list(kind) and _is_label(kind.value_type)):
        return None
    return f"column {name!r} is {kind}; expected list<string> or list<int>"


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return "bytes" in kind.names and _is_image(kind.field("bytes").type) and len(set(kind.names)) == len(kind.names)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_label(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_null(kind)
    )
