"""The input formats: a module each, and a line each here."""

from model.errors import UserError
from transforms.files import File
from transforms.readers.parquet import ParquetReader
from transforms.records import Reader

READERS: dict[str, Reader] = {
    "parquet": ParquetReader(),
}

AUTO = "auto"


def choose_format(files: list[File]) -> str:
    """The one format that the files' names say they are.

    Raises:
        UserError: if they say none, or several.
    """
    formats = {_format_of(file) for file in files}
    if len(formats) > 1:
        raise UserError(f"the input mixes {' and '.join(sorted(formats))}; give one format a run.")
    return formats.pop()


def _format_of(file: File) -> str:
    for name, reader in READERS.items():
        if file.path.endswith(reader.extensions):
            return name
    raise UserError(f"{file.path} has no known extension; say what it is with --input_format {'|'.join(READERS)}.")
