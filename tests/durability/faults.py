"""Faults of the local file system, below our code: in a process that is forked for it, an operation fails."""

import io
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bulklabel.transforms.files import local_file as reading
from bulklabel.transforms.files.stores import local, retry

EVENTS = {"os.rename": "rename", "os.scandir": "list", "os.mkdir": "mkdir", "os.remove": "remove"}
"""What Python says just before it happens, and of an error that is raised then it makes the operation's own."""


@dataclass(frozen=True)
class Fault:
    """From its operation of this number on, below some folders, an operation fails: once or for ever.

    A write fails when half of the bytes are written.
    """

    operation: str = ""
    number: int = 0
    lasting: bool = False
    code: int = 0


class Faults:
    """Counts operations below folders, and lets those fail that a fault says."""

    def __init__(self, fault: Fault, folders: tuple[str, ...]) -> None:
        self._fault = fault
        self._folders = folders
        self.counts: Counter[str] = Counter()

    def happen(self, operation: str, path: Any) -> None:
        """Raise what the operation shall raise, if it shall."""
        if not str(path).startswith(self._folders):
            return
        self.counts[operation] += 1
        count, fault = self.counts[operation], self._fault
        if operation == fault.operation and (count == fault.number or (fault.lasting and count > fault.number)):
            raise OSError(fault.code, os.strerror(fault.code), path)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python's audit hook."""
        if event == "open" and isinstance(arguments[2], int):
            writes = arguments[2] & (os.O_WRONLY | os.O_RDWR)
            self.happen("create" if writes else "open", arguments[0])
        elif event in EVENTS:
            self.happen(EVENTS[event], arguments[0])


def inject(fault: Fault, folders: tuple[str, ...]) -> Counter[str]:
    """Let this process's local file system fail, for good; the operations that it makes from now on, as they add up."""
    faults = Faults(fault, folders)
    sys.addaudithook(faults.hear)
    retry.FIRST_PAUSE = 0.001

    class File(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            faults.happen("read", self.name)
            return super().readinto(buffer)

        def write(self, content: Any) -> int:
            try:
                faults.happen("write", self.name)
            except OSError:
                super().write(content[: len(content) // 2])
                raise
            return super().write(content)

    def opened(path: str, mode: str) -> Any:
        file = File(path, mode.replace("b", ""))
        return io.BufferedReader(file) if mode == "rb" else io.BufferedWriter(file)

    def synced(fsync: Callable[[int], None], descriptor: int) -> None:
        faults.happen("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    vars(local)["open"] = opened
    os.fsync = partial(synced, os.fsync)
    reading.LocalFile.__bases__ = (File,)
    return faults.counts
