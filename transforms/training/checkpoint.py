"""Keeps the state of a training in its output directory, until it is finished, and finds it there again."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bulklabel.transforms.files import files

NAME = re.compile(r"/training-([0-9a-f]{16})\.checkpoint$")


@dataclass(frozen=True)
class CheckpointFile:
    """Holds where the state of a training is kept: the file's name says which training that is.

    So the state of another training, with other flags, inputs or versions, is never taken for this one's.
    """

    folder: str
    name: str

    @staticmethod
    def of(output: str, decides: Mapping[str, Any]) -> "CheckpointFile":
        """Returns the file in an output directory for a training; `decides` is all (JSON-able) that it depends on."""
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return CheckpointFile(files.absolute(output), f"training-{digest[:16]}.checkpoint")

    @property
    def path(self) -> str:
        """The path of the file."""
        return files.join(self.folder, self.name)

    def load(self) -> bytes | None:
        """Returns what was kept, or None if there is nothing."""
        try:
            return files.read(self.path)
        except FileNotFoundError:
            return None

    def save(self, state: bytes) -> None:
        """Replaces what was kept."""
        files.write(self.path, state)

    def others(self) -> list[str]:
        """Returns the files of other trainings in the same directory."""
        return [
            file.path for file in files.list_folder(self.folder) if NAME.search(file.path) and file.path != self.path
        ]

    def delete(self) -> None:
        """Deletes the file, once it is not needed any more, and what a writer left that was killed."""
        unfinished = [file.path for file in files.list_temporary(self.folder) if f".{self.name}." in file.path]
        files.delete([self.path, *unfinished])
