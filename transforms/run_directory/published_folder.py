"""PublishedFolder: a folder in which `_SUCCESS` comes last, and is deleted before what it is about is replaced."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bulklabel.model.errors import StoreError
from bulklabel.transforms.files import files
from bulklabel.transforms.files.listing import File
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, SUCCESS_FILE
from bulklabel.transforms.run_directory.manifest import TIMINGS, file_fault
from bulklabel.transforms.run_directory.success import success_fault, success_of


class Files(Protocol):
    """Lists the functions of `transforms.files.files` that these folders use."""

    def read(self, path: str) -> bytes:
        """Returns a file's bytes; raises `FileNotFoundError` if there is no such file."""

    def read_start(self, path: str, size: int) -> bytes:
        """Returns at most the first `size` bytes of a file; raises `FileNotFoundError` if there is no such file."""

    def list_folder(self, folder: str) -> list[File]:
        """Returns all files below a folder."""

    def list_temporary(self, folder: str) -> list[File]:
        """Returns the temporary files of writers, alive or dead, in a folder."""

    def check_writable(self, folder: str) -> None:
        """Raises `UserError` if the folder cannot be written."""

    def write(self, path: str, content: bytes) -> None:
        """Makes a file whole or not at all, replacing what was there."""

    def delete(self, paths: Sequence[str]) -> None:
        """Deletes files, in any order; those that are not there are gone already."""


@dataclass(frozen=True)
class PublishedFolder:
    """Publishes files, their manifest and `_SUCCESS` in a folder; `path` is absolute.

    It holds no connection and no state, so it can be pickled, compared and hashed.
    """

    path: str

    @property
    def files(self) -> Files:
        """Returns the functions by which it reaches its files; tests put a store in memory here."""
        return files

    def stated_manifest(self) -> bytes | None:
        """Returns the manifest that `_SUCCESS` names, if what it lists is there; None if there is no such statement."""
        return self.statement()[0]

    def statement(self) -> tuple[bytes | None, str]:
        """Returns the manifest that `_SUCCESS` names, or None and why nothing is stated."""
        success, manifest = self.read_if_there(SUCCESS_FILE), self.read_if_there(MANIFEST_FILE)
        fault = success_fault(success, manifest) or self.content_fault(manifest or b"")
        return (None, fault) if fault else (manifest, "")

    def content_fault(self, manifest: bytes) -> str | None:
        """Returns why the folder does not hold what an accepted manifest lists; None if it does."""
        try:
            entries = {str(entry["name"]): entry for entry in json.loads(manifest)["published"]}
            faults = (file_fault(name, self.read_if_there(name), entry) for name, entry in entries.items())
            return next(filter(None, faults), None)
        except (KeyError, TypeError):
            return f"{MANIFEST_FILE} is damaged, or of another version"

    def publish(self, content: Mapping[str, bytes], manifest: bytes) -> None:
        """Writes files and the manifest that lists them, and `_SUCCESS` if it says that it was accepted.

        `_SUCCESS` is deleted first, and once more if there is to be none: another run may have written it meanwhile.

        Args:
            content: the files by their names.
            manifest: the content of `manifest.json`.

        Raises:
            StoreError: if another run, which was asked for something else, publishes at the same time.
        """
        self.withdraw()
        for name, written in content.items():
            self.write(name, written)
        self.write(MANIFEST_FILE, manifest)
        if json.loads(manifest)["accepted"]:
            self._complete(manifest)
        else:
            self.withdraw()

    def says_same(self, manifest: bytes, other: bytes) -> bool:
        """Tells whether what another run has published here may stand for what this one would: times may differ."""
        return manifest == other or _without_times(manifest) == _without_times(other)

    def withdraw(self) -> None:
        """Deletes `_SUCCESS`, whosever it is, before anything that it is about is replaced."""
        self.files.delete([self.path_of(SUCCESS_FILE)])

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, by its name below the folder."""
        self.files.write(self.path_of(name), content)

    def _complete(self, manifest: bytes) -> None:
        """Writes `_SUCCESS` for a manifest that was written, once all is there that it lists.

        Two runs may publish at once. If their manifests say the same, whoever comes last names the one that is there.
        So everything is read again after each write.

        Raises:
            StoreError: if another run, which was asked for something else, has published meanwhile.
        """
        written = None
        try:
            while True:
                current = self.read_if_there(MANIFEST_FILE) or b""
                if not self.says_same(manifest, current):
                    raise self._overtaken(f"{MANIFEST_FILE} is gone, or was replaced")
                fault = self.content_fault(current)
                if fault:
                    raise self._overtaken(fault)
                success = success_of(current)
                if success == written:
                    return
                self.write(SUCCESS_FILE, success)
                written = success
        except StoreError:
            if written is not None:
                self.take_back(SUCCESS_FILE, written)
            elif self.stated_manifest() is None:  # another run's `_SUCCESS` is about what this one has replaced
                with contextlib.suppress(StoreError):
                    self.withdraw()
            raise

    def take_back(self, name: str, content: bytes) -> None:
        """Deletes a file that was written too late, unless another run has replaced it, and `_SUCCESS` before it."""
        with contextlib.suppress(FileNotFoundError):
            if self._is(name, content):
                self.files.delete([self.path_of(SUCCESS_FILE)])
                self.files.delete([self.path_of(name)])

    def _is(self, name: str, content: bytes) -> bool:
        """Tells whether a file is as it was written; a `_SUCCESS` that cannot be read is taken for it.

        A run that cannot see that it has succeeded ends with an error: no statement is better than one beside that.
        """
        try:
            return self.files.read(self.path_of(name)) == content
        except StoreError:
            if name != SUCCESS_FILE:
                raise
            return True

    def read_if_there(self, name: str) -> bytes | None:
        """Returns the bytes of a file, by its name below the folder; None if there is none."""
        try:
            return self.files.read(self.path_of(name))
        except FileNotFoundError:
            return None

    def path_of(self, name: str) -> str:
        """Returns the path of a file, by its name below the folder."""
        return files.join(self.path, name)

    def _overtaken(self, fault: str) -> StoreError:
        return StoreError(
            f"{self.path}: {fault}: another run, which was asked for something else, has published here meanwhile; "
            "run the same command again."
        )


def _without_times(manifest: bytes) -> Any:
    """Returns the content of a manifest but for when it was made; what cannot be read is itself."""
    try:
        return {name: value for name, value in json.loads(manifest).items() if name != TIMINGS}
    except (ValueError, AttributeError, RecursionError):
        return manifest
