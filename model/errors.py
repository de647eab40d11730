"""The two ways in which input can be bad: a command that cannot run, and a record that cannot be scored."""


class UserError(Exception):
    """A command cannot run as it was given: one line that names the thing, what was expected and the fix."""


class RecordError(Exception):
    """One record cannot be scored.

    `stage` is `read`, `decode` or `predict`; `reason` is a word for counting; `detail` is for a person.
    """

    def __init__(self, stage: str, reason: str, detail: str) -> None:
        super().__init__(stage, reason, detail)
        self.stage = stage
        self.reason = reason
        self.detail = detail
