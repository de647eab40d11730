"""Applies thresholds, from which probability on a label is predicted, and reads them from files."""

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from bulklabel.model.errors import UserError
from bulklabel.model.parse_json import parse_json

DEFAULT_THRESHOLD = 0.5
TUNED = "tuned"


def predict_labels(probabilities: npt.NDArray[np.float32], thresholds: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Returns where a label's probability is at or above its threshold, N×L.

    Both sides are compared as float32, the precision of the network and of the part files: a threshold of 0.7
    includes a stored probability that prints as 0.7.

    >>> predict_labels(np.array([[0.7, 0.3]], np.float32), [0.7, 0.5]).tolist()
    [[True, False]]
    """
    return probabilities >= np.asarray(thresholds, np.float32)


def parse_threshold(text: str) -> float:
    """Returns the number that a text is, if it is from 0 to 1.

    Raises:
        ValueError: if it is not.

    >>> parse_threshold("0.25")
    0.25
    """
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(f"{text} is not between 0 and 1")
    return value


def read_thresholds(content: bytes, labels: Sequence[str], origin: str) -> tuple[float, ...]:
    """Returns the thresholds in a file, a JSON object from label to number, in the order of `labels`.

    Raises:
        UserError: if it is no such object, a label is missing or unknown, or a number is not from 0 to 1.

    >>> read_thresholds(b'{"dog": 0.6, "cat": 0.4}', ["cat", "dog"], "thresholds.json")
    (0.4, 0.6)
    """
    try:
        given = {str(label): parse_threshold(str(value)) for label, value in parse_json(content).items()}
    except (ValueError, AttributeError) as error:
        raise UserError(
            f'{origin} is not a thresholds file ({error}); expected a JSON object like {{"cat": 0.4, "dog": 0.55}}.'
        ) from error
    missing = [label for label in labels if label not in given]
    unknown = sorted(set(given) - set(labels))
    if missing or unknown:
        close = get_close_matches(unknown[0], labels, n=1) if unknown else []
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        what = f"the label {unknown[0]!r}, unknown to the model{meant}" if unknown else f"none for {missing[0]!r}"
        raise UserError(f"{origin} has {what}; give a number for each of the model's {len(labels)} labels.")
    return tuple(given[label] for label in labels)
