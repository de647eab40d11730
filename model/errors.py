"""Defines what can go wrong without being our bug: with a command, with a file system, with a record."""


class UserError(Exception):
    """A command cannot run as it was given: one line that names the thing, what was expected and the fix."""


class StoreError(Exception):
    """A file system failed in mid-run, or another run took the output: one line; nothing that was written is lost."""


class SourceChangedError(StoreError):
    """An input is not what it was when the run was planned: its records cannot be told apart from others."""


class DeadlineError(Exception):
    """The time that a run was given is over: one line; the same command continues."""


class OutOfMemoryError(Exception):
    """The network has too little memory even for the smallest batch: one line."""


class RecordError(Exception):
    """One record cannot be scored.

    `stage` is `read`, `decode` or `predict`; `reason` is a word for counting; `detail` is for a person.
    """

    def __init__(self, stage: str, reason: str, detail: str) -> None:
        super().__init__(stage, reason, detail)
        self.stage = stage
        self.reason = reason
        self.detail = detail


def first_line(error: BaseException) -> str:
    """Returns the first line of a library's error, or its type where it has no words.

    >>> first_line(ValueError(" bad size ")), first_line(KeyError())
    ('bad size', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
