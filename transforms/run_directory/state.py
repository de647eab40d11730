"""What is left to do for a plan at its output."""

from enum import Enum

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files
from bulklabel.transforms.run_directory.file_names import PLAN_FILE, SUCCESS_FILE
from bulklabel.transforms.run_directory.parts import KINDS
from bulklabel.transforms.run_directory.plan import Plan


class State(Enum):
    """What there is to do for a plan at its output."""

    FINISHED = "finished"
    CONTINUES = "continues"
    STARTS = "starts"
    REPLACES = "replaces"


def settle(plan: Plan, output: str, overwrite: bool) -> State:
    """What is left to do for the plan at the output. Writes nothing.

    Raises:
        UserError: if another plan is there, or parts without a plan, and `overwrite` is not set.
    """
    try:
        saved = files.read(files.join(output, PLAN_FILE))
    except FileNotFoundError:
        if not any(files.list_folder(files.join(output, kind)) for kind in KINDS):
            return State.STARTS
        if not overwrite:
            raise UserError(
                f"{output} holds parts but no {PLAN_FILE}; give another --output, or --overwrite to replace them."
            ) from None
        return State.REPLACES
    differences = plan.differences(saved)
    if not differences:
        return State.FINISHED if files.exists(files.join(output, SUCCESS_FILE)) else State.CONTINUES
    if not overwrite:
        raise UserError(
            f"{output} holds another plan ({differences}); give another --output, or --overwrite to replace it."
        )
    return State.REPLACES
