"""Exit codes of commands, and the words for how a run ended."""

DONE, FAILED, BAD_COMMAND, GATE_FAILED, TOO_MANY_REJECTED = 0, 1, 2, 3, 4

STATES = {
    DONE: "finished",
    FAILED: "failed",
    BAD_COMMAND: "bad_command",
    GATE_FAILED: "gate_failed",
    TOO_MANY_REJECTED: "too_many_rejected",
}

NOTHING_TO_DO, STOPPED = "nothing_to_do", "stopped"
"""States that share their exit code with another: 0 and 1."""

SUBMITTED, RENDERED = "submitted", "rendered"
"""States with exit code 0 of a command that does not wait for its job, or made one that it did not submit."""

PLANNED = "planned"
"""The state with exit code 0 of a command that only said what a run would take."""

WITHOUT_AN_END = (SUBMITTED, RENDERED, PLANNED)
"""After these nobody knows yet how the run ends, for all that the exit code is 0."""

PUBLISHED = (DONE, GATE_FAILED, TOO_MANY_REJECTED)
"""After these there are metrics and a report."""
