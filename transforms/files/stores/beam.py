"""Adapts every other file system that Beam knows, such as `hdfs://`."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from bulklabel.model.errors import SourceChangedError, UserError
from bulklabel.transforms.files.listing import File, changed_words
from bulklabel.transforms.files.stores.globs import escaped, prefix_of
from bulklabel.transforms.files.stores.path_names import temporary_of

RAW = CompressionTypes.UNCOMPRESSED


class BeamStore:
    """Adapts one of Beam's file systems.

    Beam does not tell which of its errors another attempt may mend, so all of them are `ConnectionError`s here, apart
    from a missing file.
    """

    def __init__(self, scheme: str) -> None:
        try:
            self._has_dirs = bool(FileSystems.get_filesystem(f"{scheme}://").has_dirs())
        except (ValueError, BeamIOError) as error:
            raise UserError(
                f"{scheme}:// is not a file system that is installed and configured here; "
                "give a local path, s3:// or gs://, or Beam's flags for it."
            ) from error

    def page(self, pattern: str, token: str) -> tuple[list[File], str | None]:  # noqa: ARG002
        """Lists as `Store.page` does; there is only one page.

        Beam's own globs mean something else, so it is asked for all that starts as the glob does.
        """
        start = prefix_of(pattern)
        everything = pattern if start == pattern else f"{start}**"
        with _as_os_errors():
            entries = FileSystems.match([everything])[0].metadata_list
        return [_described(entry) for entry in entries], None

    def folders(self, folder: str, token: str) -> tuple[list[str], str | None]:
        """Lists as `Store.folders` does; Beam knows files alone, so that all of them are listed."""
        inside, token_of_next = self.page(f"{escaped(folder)}/**", token)
        names = {file.path.removeprefix(f"{folder}/").partition("/") for file in inside}
        return sorted(f"{folder}/{name}" for name, slash, _ in names if slash), token_of_next

    def describe(self, path: str) -> File:
        """Describes a file as `Store.describe` does."""
        with _as_os_errors():
            entries = FileSystems.match([escaped(path)])[0].metadata_list
        if not entries:
            raise FileNotFoundError(path)
        return replace(_described(entries[0]), path=path)

    def get(self, path: str, start: int, stop: int, version: str = "") -> bytes:
        """Reads as `Store.get` does; Beam tells the version of a path only, so that is asked before and after."""
        if version and self.describe(path).version != version:
            raise SourceChangedError(changed_words(path))
        with _as_os_errors(), FileSystems.open(path, compression_type=RAW) as file:
            file.seek(start)
            content = bytes(file.read(stop - start))
        if version and self.describe(path).version != version:
            raise SourceChangedError(changed_words(path))
        return content

    def put(self, path: str, content: bytes) -> None:
        """Writes as `Store.put` does; where there are folders, to a temporary file that is renamed when it is whole."""
        with _as_os_errors():
            if not self._has_dirs:
                _create(path, content)
                return
            temporary = temporary_of(path)
            _create(temporary, content)
            try:
                FileSystems.rename([temporary], [path])
            except BeamIOError as error:  # also if another run took the temporary file for a dead one's
                raise ConnectionError(str(next(iter(error.exception_details.values()), error))) from error

    def delete(self, path: str) -> None:
        """Deletes as `Store.delete` does."""
        with _as_os_errors():
            if not FileSystems.exists(path):
                raise FileNotFoundError(path)
            FileSystems.delete([escaped(path)])


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        details = getattr(error, "exception_details", None)
        inner = next(iter(details.values())) if details else error
        if isinstance(inner, FileNotFoundError):
            raise inner from error
        raise ConnectionError(str(inner)) from error


def _described(entry: FileMetadata) -> File:
    """Describes a file; Beam's file systems that do not know when it was modified say 0."""
    modified = entry.last_updated_in_seconds
    return File(entry.path, int(entry.size_in_bytes), str(modified) if modified else "")


def _create(path: str, content: bytes) -> None:
    with FileSystems.create(path, compression_type=RAW) as file:
        file.write(content)
